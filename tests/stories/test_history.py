"""What was said before somebody came is there when they come, whoever was killed meanwhile; the vault has it all."""

import asyncio
import contextlib
import os
import re
import secrets
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from nio import RoomMessageText

from madoguchi.crypto import cross_signing
from madoguchi.crypto.device import AgentDevice, Login
from madoguchi.storage import backups
from madoguchi.vault import pin
from tests import lost_keeper
from tests.cast import Line
from tests.house import House
from tests.standins.counsellor import DESK, CounsellorClient
from tests.words import word


class Young:
    """A young person at a Matrix client, in a case of their own."""

    def __init__(self, case: dict[str, Any], device: AgentDevice) -> None:
        self.case_id: str = case["case_id"]
        self.room_id: str = case["room_id"]
        self.device = device
        self.heard: set[str] = set()
        device.add_event_callback(self._hear, (RoomMessageText,))

    async def _hear(self, _room: Any, event: RoomMessageText) -> None:
        self.heard.add(event.body)

    @classmethod
    async def arrives(cls, house: House, home: Path) -> "Young":
        async with aiohttp.ClientSession() as http:
            line = Line(house.base_url, http)
            case = await line.call("POST", f"{DESK}/cases", {"channel": "web", "with_password": True})
        device = AgentDevice(house.base_url, case["user_id"], home / case["case_id"], bytes(32), name="phone")
        await device.start(Login.by_password(case["password"]))
        return cls(case, device)

    async def hears(self, text: str) -> None:
        """Waits until somebody has said it, readable."""

        async def said() -> bool:
            await self.device.sync_once(1000)
            return text in self.heard

        await until(said, within_s=60)

    async def says(self, text: str) -> None:
        await self.device.sync_once(0)
        await self.device.say(self.room_id, {"msgtype": "m.text", "body": text}, secrets.token_hex(8))

    def begins_a_new_session(self) -> None:
        self.device.invalidate_outbound_session(self.room_id)


class Stage:
    """The house, and who has come."""

    def __init__(self, house: House, home: Path, stack: AsyncExitStack) -> None:
        self.house, self.home, self._stack = house, home, stack

    async def mio(self) -> Young:
        young = await Young.arrives(self.house, self.home)
        self._stack.push_async_callback(young.device.close)
        return young

    async def counsellor(self, number: int) -> CounsellorClient:
        staff = self.house.staff[number]
        client = CounsellorClient(
            self.house.base_url, staff.user_id, staff.password, self.home / f"{staff.user_id}-{secrets.token_hex(3)}"
        )
        return await self._stack.enter_async_context(client)

    def opening(self, case_id: str, key_file: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
        """Somebody opens a case, and says why and before whom."""
        who = ("--reason", "exercise", "--holder", "Abe", "--holder", "Baba")
        return self.vault("open", case_id, "--key", key_file, *who, key=key)

    def vault(self, *words: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
        """`madoguchi vault …` on the running house."""
        return self.house.run("vault", *words, input_=key)

    def kept_keys(self, room_id: str) -> int:
        """How many of the room's sessions the keeper has on its disk."""
        (store,) = (self.house.data / "keeper").glob("*.db")
        with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as database:
            (count,) = database.execute(
                "SELECT (SELECT count(*) FROM megolminboundsessions WHERE room_id = ?1)"
                " + (SELECT count(*) FROM keeper_sealed WHERE room_id = ?1)",
                (room_id,),
            ).fetchone()
            return int(count)

    def opens(self, case_id: str) -> str:
        """The transcript of a case, by the demo vault's key."""
        key_file = str(self.house.data / "demo-vault-key.txt")
        told = self.opening(case_id, key_file)
        assert told.returncode == 0, told.stderr
        return told.stdout

    async def sealed(self, room_id: str, sessions: int) -> None:
        """Wait until so many of the room's sessions are in the vault."""
        await self._there_are(sessions, "SELECT count(*) FROM vault_keys WHERE room_id = $1", room_id)

    async def copied(self, room_id: str, sessions: int) -> None:
        """Wait until so many of them are in the keeper's own backup."""
        await self._there_are(sessions, "SELECT count(*) FROM key_backup_sessions WHERE room_id = $1", room_id)

    async def _there_are(self, count: int, question: str, room_id: str) -> None:
        async with connected(self.house) as connection:

            async def enough() -> bool:
                return bool(await connection.fetchval(question, room_id) >= count)

            await until(enough)

    async def grows_older(self) -> None:
        """What was said until now was said ten minutes ago."""
        async with connected(self.house) as connection:
            await connection.execute("UPDATE events SET at = at - 600000 WHERE type = 'm.room.encrypted'")


@contextlib.asynccontextmanager
async def connected(house: House) -> AsyncIterator[Any]:
    """The house's database."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(house.database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def until(true: Callable[[], Awaitable[bool]], within_s: float = 30) -> None:
    ends = time.monotonic() + within_s
    while not await true():
        assert time.monotonic() < ends, "did not happen"
        await asyncio.sleep(0.1)


@pytest.fixture
async def stage(house: House, tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(house, tmp_path, stack)


async def test_the_counsellor_reads_what_was_written_while_waiting(stage: Stage) -> None:
    mio, ken = await stage.mio(), await stage.counsellor(0)
    first, second = word("眠れない"), word("もう三日")
    await mio.says(first)
    mio.begins_a_new_session()
    await mio.says(second)
    room = await ken.accepts(mio.case_id)
    await ken.reads_history(room)
    await ken.sees(room, first)
    await ken.sees(room, second)
    later = word("来てくれた")
    await mio.says(later)
    await ken.sees(room, later)
    await ken.closes(mio.case_id)


async def test_the_next_counsellor_reads_the_conversation_from_its_start(stage: Stage) -> None:
    mio, ken, sato = await stage.mio(), await stage.counsellor(0), await stage.counsellor(1)
    asked, answered, went_on = word("眠れない"), word("聞いています"), word("ありがとう")
    await mio.says(asked)
    room = await ken.accepts(mio.case_id)
    await ken.says(room, answered)
    await mio.says(went_on)
    # What the colleague has to know is said beside the case, encrypted.
    side = await ken.opens_the_side_room(mio.case_id)
    summary = word("夜になるとつらくなる人です")
    await ken.says(side, summary)
    body = {"to": sato.user_id, "reason": "end of shift"}
    await ken.device.call("POST", f"{DESK}/cases/{mio.case_id}/hand_over", body)

    async def invited() -> bool:
        return {room, side} <= sato.device.invited_rooms.keys()

    await until(invited)
    for place in (side, room):
        await sato.device.call("POST", f"/_matrix/client/v3/rooms/{place}/join", {})
        await sato.reads_history(place)
    await sato.sees(side, summary)
    for text in (asked, answered, went_on):
        await sato.sees(room, text)

    async def ken_has_gone() -> bool:
        return not {room, side} & ken.device.rooms.keys()

    await until(ken_has_gone)
    await stage.sealed(room, 3)
    await stage.sealed(side, 1)
    await mio.device.sync_once(0)
    assert set(mio.device.rooms) == {room}
    await sato.closes(mio.case_id)
    conversation, beside = stage.opens(mio.case_id).split(f"room {side} (the staff's own)")
    assert asked in conversation and summary not in conversation
    assert f"相談員 健: {summary}" in beside


async def test_a_keeper_killed_while_people_write_loses_nothing(stage: Stage) -> None:
    mio = await stage.mio()
    said = [word(f"{number}") for number in range(8)]
    for number, text in enumerate(said):
        # A session of its own for each: eight keys on their way while the keeper dies and comes back.
        mio.begins_a_new_session()
        await mio.says(text)
        if number % 3 == 1:
            # It may be dead already; the supervisor takes its time with one that dies often.
            with contextlib.suppress(AssertionError):
                stage.house.process("keeper").kill()
    await stage.sealed(mio.room_id, len(said))
    transcript = stage.opens(mio.case_id)
    assert [text for text in said if text not in transcript] == []
    ken = await stage.counsellor(0)
    room = await ken.accepts(mio.case_id)
    await ken.reads_history(room)
    for text in said:
        await ken.sees(room, text)
    await ken.closes(mio.case_id)


async def test_a_keeper_that_was_away_for_long_misses_nothing(stage: Stage) -> None:
    mio = await stage.mio()
    keeper = stage.house.process("keeper")
    keeper.suspend()
    # More keys and more messages than one sync carries.
    said = [word(str(number)) for number in range(115)]
    for text in said:
        mio.begins_a_new_session()
        await mio.says(text)
    keeper.resume()
    await stage.sealed(mio.room_id, len(said))
    transcript = stage.opens(mio.case_id)
    assert [text for text in said if text not in transcript] == []
    # Nothing that anybody has said in this house by now is missing in the vault.
    await stage.grows_older()
    checked = stage.vault("check")
    assert "can be opened by the vault's holders" in checked.stdout, checked.stdout + checked.stderr


async def test_a_keeper_killed_between_acceptance_and_invitation_still_invites(stage: Stage) -> None:
    mio, ken = await stage.mio(), await stage.counsellor(0)
    text = word("眠れない")
    await mio.says(text)
    stage.house.process("keeper").suspend()
    await ken.device.call("POST", f"{DESK}/cases/{mio.case_id}/accept", {})
    stage.house.kills("keeper")
    room = await ken.accepts(mio.case_id)
    await ken.reads_history(room)
    await ken.sees(room, text)
    await ken.closes(mio.case_id)


async def test_a_keeper_whose_machine_is_lost_comes_back_with_what_it_had(stage: Stage, tmp_path: Path) -> None:
    mio, ken = await stage.mio(), await stage.counsellor(0)
    before = word("機械が壊れる前")
    await mio.says(before)
    await stage.sealed(mio.room_id, 1)
    key = tmp_path / "recovery.key"
    await lost_keeper.prepares(stage.house, key, mio.room_id)
    keeper = f"@keeper:{stage.house.server_name}"

    async def master() -> str | None:
        return cross_signing.master_of(await ken.device.query_devices([keeper]), keeper)

    was = await master()
    lost_keeper.loses(stage.house)
    # It does not make itself another identity, and says what it waits for.
    meanwhile = word("そのあいだ")
    mio.begins_a_new_session()
    await mio.says(meanwhile)

    async def said() -> bool:
        return "has lost its identity" in (await asyncio.to_thread(stage.house.run, "doctor")).stdout

    await until(said, within_s=lost_keeper.PATIENCE_S)
    wrong = stage.house.run("keeper", "recover", "--key", str(key), input_="another passphrase\n")
    assert "does not open" in wrong.stderr and await master() == was
    told = await lost_keeper.recovers(stage.house, "--key", str(key))
    assert "Identity restored; " in told and await master() == was
    # It goes on: what was said before is given to whoever comes, and what is said now is sealed.
    after = word("もどったあと")
    await mio.says(after)
    await stage.sealed(mio.room_id, 2)
    room = await ken.accepts(mio.case_id)
    await ken.reads_history(room)
    for text in (before, after):
        await ken.sees(room, text)
    transcript = stage.opens(mio.case_id)
    assert before in transcript and after in transcript
    # What was said while there was none can be read by those who were there; of the vault it is said why not.
    gap = f"case {mio.case_id}: 1 events by {mio.device.user}"
    assert meanwhile not in transcript and "1 unreadable" in transcript
    await stage.grows_older()

    async def explained() -> bool:
        checked = await asyncio.to_thread(stage.vault, "check")
        reason = rf"{re.escape(gap)} since [^:]+:\d+: its maker was asked for the key"
        return re.search(reason, checked.stdout) is not None

    await until(explained, within_s=lost_keeper.PATIENCE_S)
    # The recovery key is lost, too: another identity, and the history from the vault's holders, whose vault it is that
    # the keeper seals to.
    lost_keeper.loses(stage.house)
    named = stage.house.data / "keys" / pin.KEY_FILE
    name = named.read_text()
    named.unlink()
    vault_key = ("--vault-key", str(stage.house.data / "demo-vault-key.txt"))
    witnessed = ("--reason", "exercise", "--holder", "Abe")
    told = await lost_keeper.recovers(stage.house, "--new-identity", *vault_key, *witnessed)
    assert "Identity new; " in told and "roster sign" in told and named.read_text() == name
    assert await master() not in (None, was)
    body = {"to": stage.house.staff[1].user_id, "reason": "end of shift"}
    sato = await stage.counsellor(1)
    await ken.device.call("POST", f"{DESK}/cases/{mio.case_id}/hand_over", body)

    async def invited() -> bool:
        return room in sato.device.invited_rooms

    await until(invited)
    await sato.device.call("POST", f"/_matrix/client/v3/rooms/{room}/join", {})
    await sato.reads_history(room)
    for text in (before, after):
        await sato.sees(room, text)
    # Of a case that has ended no copy is kept for a recovery.
    await stage.copied(room, 2)
    await sato.closes(mio.case_id)
    async with connected(stage.house) as connection:
        assert await backups.delete_keys_of_ended(connection, keeper) >= 2
        left = await connection.fetchval("SELECT count(*) FROM key_backup_sessions WHERE user_id = $1", keeper)
        kept = await backups.get_current_backup(connection, keeper)
        given = await connection.fetch("SELECT detail FROM audit_log WHERE act = 'vault.keys_given'")
    assert ["Abe" in row["detail"] for row in given] == [True]
    assert kept is not None and kept.keys == left
    # With the case goes the gap: whoever looks for others is not told of it for ever.
    purged = await asyncio.to_thread(stage.house.run, "case", "purge", mio.case_id, "--reason", "exercise", "--yes")
    assert purged.returncode == 0, purged.stderr
    assert gap not in (await asyncio.to_thread(stage.vault, "check")).stdout


async def test_the_vault_opens_a_case_for_its_holders_only(stage: Stage) -> None:
    mio = await stage.mio()
    text = word("眠れない")
    await mio.says(text)
    await stage.sealed(mio.room_id, 1)
    transcript = stage.opens(mio.case_id)
    assert re.search(rf"^\d\d:\d\d:\d\d  相談者: {text}$", transcript, re.MULTILINE)
    assert ", 0 unreadable." in transcript
    key_file = str(stage.house.data / "demo-vault-key.txt")
    silent = stage.vault("open", mio.case_id, "--key", key_file, "--reason", "exercise")
    assert silent.returncode != 0 and "which holders are present" in silent.stderr and text not in silent.stdout
    other = stage.opening(mio.case_id, "-", key="A" * 43 + "=\n")
    assert other.returncode != 0
    assert "Wrong key" in other.stderr
    assert text not in other.stdout + other.stderr
    again = stage.vault("init")
    assert again.returncode != 0
    assert "never overwritten" in again.stderr
    unknown = stage.opening("nobody", key_file)
    assert "There is no case" in unknown.stderr
    async with connected(stage.house) as connection:
        question = "SELECT reason, holders, unreadable FROM vault_openings WHERE case_id = $1"
        rows = await connection.fetch(question, mio.case_id)
    assert [tuple(row) for row in rows] == [("exercise", ["Abe", "Baba"], 0)]


async def test_of_a_purged_case_nobody_keeps_a_key(stage: Stage) -> None:
    mio, ken = await stage.mio(), await stage.counsellor(0)
    await mio.says(word("忘れてほしい"))
    room = await ken.accepts(mio.case_id)
    await ken.says(room, word("わかりました"))
    await stage.sealed(mio.room_id, 2)
    await ken.closes(mio.case_id)
    assert stage.kept_keys(room) == 4
    # The keeper is not there just then, and dies before it can hear of it.
    stage.house.process("keeper").suspend()
    told = stage.house.run("case", "purge", mio.case_id, "--reason", "exercise", "--yes")
    assert "2 sealed keys" in told.stdout, told.stderr
    stage.house.kills("keeper")

    async def forgotten() -> bool:
        return stage.kept_keys(room) == 0

    await until(forgotten)
    assert "0 unreadable" in stage.opens(mio.case_id)


async def test_what_was_said_before_there_was_a_vault_is_in_it(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="mado-", dir=os.environ.get("MADOGUCHI_TEST_TMP", "/tmp")) as directory:
        house = House(Path(directory) / "data", demo=False)
        house.opens()
        try:
            async with AsyncExitStack() as stack:
                stage = Stage(house, tmp_path, stack)
                mio = await stage.mio()
                text = word("眠れない")
                await mio.says(text)
                house.kills("keeper")
                sheet = tmp_path / "sheet.txt"
                made = stage.vault("init", "--shares", "3", "--threshold", "2", "--out", str(sheet))
                assert made.returncode == 0, made.stderr
                assert sheet.stat().st_mode & 0o077 == 0
                shares = [line for line in sheet.read_text().splitlines() if not line.startswith("#")]
                await stage.sealed(mio.room_id, 1)
                told = stage.opening(mio.case_id, "-", key="\n".join(shares[1:]))
                assert text in told.stdout, told.stderr
                few = stage.opening(mio.case_id, "-", key=shares[0])
                assert "2 different shares are needed" in few.stderr
                # The key is exchanged under a keeper that runs, which goes on with the new one.
                new, why = tmp_path / "new.txt", ("--reason", "a holder leaves", "--holder", "Abe", "--holder", "Baba")
                exchanged = stage.vault("rotate", "--out", str(new), *why, key="\n".join(shares[1:]))
                assert exchanged.returncode == 0, exchanged.stderr
                later = word("まだ")
                mio.begins_a_new_session()
                await mio.says(later)
                await stage.sealed(mio.room_id, 2)
                told = stage.opening(mio.case_id, str(new))
                assert text in told.stdout and later in told.stdout, told.stderr
        finally:
            house.closes()
