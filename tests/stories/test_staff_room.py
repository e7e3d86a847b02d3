"""The staff room with the desk's bot, from Matrix clients that know nothing of the desk."""

import asyncio
from pathlib import Path

import asyncpg
from nio import JoinResponse, MatrixRoom, RoomMessageNotice

from tests.cast import DESK, Cast, Json, Person
from tests.house import House
from tests.stories.test_matrix_client import Young, at_a_client
from tests.words import word


class AtWork:
    """A member of staff at a Matrix client, in the staff room."""

    def __init__(self, young: Young) -> None:
        self.young = young
        self.room = ""
        young.client.add_event_callback(self._hears, RoomMessageNotice)

    async def _hears(self, room: MatrixRoom, event: RoomMessageNotice) -> None:
        self.young.heard.append((room.room_id, event.sender, event.body))

    async def comes_in(self) -> None:
        client = self.young.client

        def named() -> list[str]:
            return [room.room_id for room in client.invited_rooms.values() if room.name == "職員の部屋"]

        await self.young.until(lambda: bool(named()), 60)
        self.room = named()[0]
        assert isinstance(await client.join(self.room), JoinResponse)
        await self.young.until(lambda: self.room in client.rooms)

    def answers(self, words: str) -> list[str]:
        return [said for where, _, said in self.young.heard if where == self.room and words in said]

    async def hears(self, words: str) -> str:
        await self.young.until(lambda: bool(self.answers(words)), 40)
        return self.answers(words)[0]

    async def asks(self, command: str, words: str) -> str:
        await self.young.says(self.room, command)
        return await self.hears(words)


async def arrives(cast: Cast) -> tuple[Person, Json]:
    opened = await cast.line.call("POST", DESK + "/cases", {"channel": "web"})
    return Person(cast.line, "mio", "", opened), opened


async def test_a_shift_from_a_matrix_client_alone(house: House, cast: Cast, tmp_path: Path) -> None:
    first, second = house.staff[:2]
    async with (
        at_a_client(house, first.user_id, first.password, tmp_path / "ken") as one,
        at_a_client(house, second.user_id, second.password, tmp_path / "sato") as other,
    ):
        ken, sato = AtWork(one), AtWork(other)
        await ken.comes_in()
        await sato.comes_in()
        assert "!accept" in await ken.asks("!help", "!handover")
        mio, opened = await arrives(cast)
        notice = await ken.hears("待っています ・ ウェブ")
        await sato.hears(notice)
        number = notice.split()[0]

        # Two at once: one has it, the other is told who.
        await asyncio.gather(*(each.young.says(each.room, f"!accept {number}") for each in (ken, sato)))
        taken = await ken.hears(f"{number} を受けました")
        faster = await ken.hears("先に ")
        assert (len(ken.answers(taken)), len(ken.answers(faster))) == (1, 1)
        holder, colleague = (ken, sato) if "先に 健" in faster else (sato, ken)
        await holder.hears(f"{number} {'健' if holder is ken else '佐藤'} が受けました")
        await holder.young.until(lambda: opened["room_id"] in holder.young.client.invited_rooms)
        assert isinstance(await holder.young.client.join(opened["room_id"]), JoinResponse)

        await colleague.asks(f"!close {number}", "あなたの相談ではない")
        # What they say among themselves is read by nobody else, nor what stands beside a command.
        await holder.young.says(holder.room, word("おつかれさまです"))
        await holder.asks(word("!acept 眠れないと言っていました"), "その命令はありません")
        await holder.asks(word(f"!risk {number} high"), f"{number} の危険度: 高い")
        heir = second if holder is ken else first
        why = word("勤務の終わり", lies_in=("database", "wire"))
        await holder.asks(f"!handover {number} {heir.name} {why}", f"{number} を {heir.name} に引きつぎました")

        # The bot dies as the deed is done: done once, answered once.
        mine = await mio.get(DESK + "/cases/mine")
        await colleague.young.says(colleague.room, f"!close {number}")
        while mine["state"] != "closed":
            mine = await mio.get(DESK + "/cases/mine", after=mine["pos"], timeout=10_000)
        await asyncio.to_thread(house.kills, "keeper")
        await colleague.asks("!rest 0", "その番号の相談はありません")
        assert len(colleague.answers(f"{number} を終えました")) == 1
        # What is no command was left alone.
        assert len(holder.answers("その命令")) == 1
    connection = await asyncpg.connect(house.database_url)
    try:
        rows = await connection.fetch("SELECT step FROM case_steps WHERE case_id = $1 ORDER BY id", opened["case_id"])
    finally:
        await connection.close()
    assert [row["step"] for row in rows] == ["arrived", "accepted", "risk", "handed_over", "closed"]
