"""The bridges without the house: their own tables in a real PostgreSQL, LINE's stand-in, and ghosts made of paper."""

import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import asyncpg
import msgspec
from aiohttp import web
from hypothesis import HealthCheck, settings

from madoguchi.database_roles import url_as
from madoguchi.storage.bridging import Ledger, list_ledgers
from madoguchi_bridges import attachments, store
from madoguchi_bridges import bridge as bridge_module
from madoguchi_bridges.attachments import Attachment
from madoguchi_bridges.bridge import Bridge
from madoguchi_bridges.channels import Channel, Channels
from madoguchi_bridges.config import Config
from madoguchi_bridges.crossing import Crossing
from madoguchi_bridges.desk import AppTicket, Queue, Redeemed, Refused, Ticket
from madoguchi_bridges.files_out import FilesOut
from madoguchi_bridges.files_web import routes
from madoguchi_bridges.ghosts import CaseOver
from madoguchi_bridges.intake import Intake, ReplyTokens
from madoguchi_bridges.moves import Moves
from madoguchi_bridges.network import Prepared
from madoguchi_bridges.outbox import OFFER, Letter, Outbox
from madoguchi_bridges.pace import Meter
from madoguchi_bridges.seals import Seals
from madoguchi_bridges.throng import Throng
from madoguchi_bridges.web import PATH, Health, app
from tests.standins.line import LineStandin
from tests.standins.telegram import TelegramStandin

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
CHANNEL = "line-1"
# A slow machine must not change what is shown.
bridge_module.AT_ONCE_SECONDS = 60.0
Json = dict[str, Any]


@dataclass
class PaperRoom:
    """A case room that remembers what was said, once for each transaction id, as the server does."""

    room_id: str
    user_id: str
    open: bool = True
    said: dict[str, tuple[str, str, Json]] = field(default_factory=dict)  # txn id → (event id, kind, content)
    taken_back: list[str] = field(default_factory=list)

    def bodies(self) -> list[str]:
        return [content["body"] for _, kind, content in self.said.values() if kind == "m.room.message"]

    def told(self) -> list[Json]:
        return [content for _, kind, content in self.said.values() if kind == "jp.madoguchi.delivery"]


@dataclass
class PaperGhosts:
    """In place of Ghosts: rooms in memory. `trouble` is raised by the next calls; `crashes` after the room has it."""

    pool: asyncpg.Pool
    rooms: dict[str, PaperRoom] = field(default_factory=dict)
    troubles: list[BaseException] = field(default_factory=list)
    crashes: list[BaseException] = field(default_factory=list)
    entered: list[tuple[str, str]] = field(default_factory=list)

    async def present(self, person: store.Person) -> "PaperGhost":
        self._trouble()
        return PaperGhost(person.person, person.channel_id, f"@line_{person.person}:desk.test", self)

    async def open_case(self, person: store.Person) -> tuple["PaperGhost", str]:
        ghost = await self.present(person)
        if person.case_id is not None and person.room_id is not None:
            return ghost, person.room_id
        running = [r for r in self.rooms.values() if r.user_id == ghost.user_id and r.open]
        room = running[0] if running else PaperRoom(f"!{len(self.rooms)}:desk.test", ghost.user_id)
        self.rooms[room.room_id] = room
        await store.update_person(
            self.pool, person.person, user_id=ghost.user_id, case_id="c" + room.room_id, room_id=room.room_id
        )
        return ghost, room.room_id

    async def account(self, person: store.Person) -> str:
        return (await self.present(person)).user_id

    async def end(self, person_name: str) -> None:
        pass

    def _trouble(self) -> None:
        if self.troubles:
            raise self.troubles.pop(0)

    def room(self) -> PaperRoom:
        (room,) = self.rooms.values()
        return room


@dataclass
class PaperGhost:
    person: str
    channel_id: str
    user_id: str
    ghosts: PaperGhosts

    async def say(self, room_id: str, content: Json, txn_id: str, kind: str = "m.room.message") -> str:
        self.ghosts._trouble()
        room = self.ghosts.rooms[room_id]
        if txn_id not in room.said:
            if not room.open:
                raise CaseOver
            room.said[txn_id] = (f"${room_id}{len(room.said)}", kind, content)
        if self.ghosts.crashes:
            raise self.ghosts.crashes.pop(0)
        return room.said[txn_id][0]

    async def enter(self, room_id: str) -> None:
        self.ghosts._trouble()
        self.ghosts.entered.append((self.user_id, room_id))

    async def take_back(self, room_id: str, event_id: str, txn_id: str) -> None:
        room = self.ghosts.rooms[room_id]
        if not room.open:
            raise CaseOver
        if event_id not in room.taken_back:
            room.taken_back.append(event_id)


@dataclass
class PaperDesk:
    """The server as the bridges call it. `files`: mxc address → (who uploaded it, for which room, what); `told`: what
    the bridge reports of errands; `without_case`: ghosts to whom no link is given; `keys`: what tokens and codes lead
    to; `redeemed`: (ghost, channel, event) that brought one."""

    files: dict[str, tuple[str, str, bytes]] = field(default_factory=dict)
    troubles: list[BaseException] = field(default_factory=list)
    told: list[tuple[str, str, str]] = field(default_factory=list)
    without_case: set[str] = field(default_factory=set)
    keys: dict[str, Redeemed] = field(default_factory=dict)
    redeemed: list[tuple[str, str, str]] = field(default_factory=list)
    moved_to: str = "web"
    queue: Queue | None = field(default_factory=lambda: Queue(1, 1))
    errands: list[Json] = field(default_factory=list)

    async def upload(self, user_id: str, room_id: str, file: BinaryIO) -> str:
        if self.troubles:
            raise self.troubles.pop(0)
        file.seek(0)
        mxc = f"mxc://desk.test/{len(self.files)}"
        self.files[mxc] = (user_id, room_id, file.read())
        return mxc

    @contextlib.asynccontextmanager
    async def download(self, user_id: str, mxc: str) -> AsyncIterator[AsyncIterator[bytes]]:
        if self.troubles:
            raise self.troubles.pop(0)
        if mxc not in self.files:
            raise Refused(404, "M_NOT_FOUND")

        async def pieces() -> AsyncIterator[bytes]:
            content = self.files[mxc][2]
            for start in range(0, len(content), 1000):
                yield content[start : start + 1000]

        yield pieces()

    async def list_errands(self, after: int | None, timeout_ms: int) -> tuple[int, list[Json]]:
        return 1, self.errands

    async def get_queue(self) -> Queue | None:
        return self.queue

    async def list_guidance(self) -> list[Json]:
        return [
            {"name": "24時間子供SOSダイヤル", "phone": "0120-0-78310", "open_now": True},
            {"name": "チャイルドライン", "phone": "0120-99-7777", "open_now": False},
        ]

    async def make_ticket(self, user_id: str) -> Ticket:
        if user_id in self.without_case:
            raise Refused(404, "M_NOT_FOUND")
        return Ticket("https://desk.test/#move=t", "ABCD-2345", 1, self.moved_to)

    async def make_app_ticket(self, user_id: str) -> AppTicket:
        if user_id in self.without_case:
            raise Refused(409, "M_CONFLICT")
        return AppTicket("https://t.me/bot?start=m_t", "WXYZ-2345", "telegram-1", "県のTelegram", 2)

    async def redeem(self, user_id: str, channel_id: str, event: str, token: str | None, code: str | None) -> Redeemed:
        self.redeemed.append((user_id, channel_id, event))
        return self.keys.get(token or code or "", Redeemed("unknown"))

    async def tell(self, case_id: str, user_id: str, what: str) -> None:
        self.told.append((case_id, user_id, what))


@dataclass
class Bench:
    """Listener, worker and outbox of one bridges process, and LINE."""

    pool: asyncpg.Pool
    seals: Seals
    config: Config
    line: LineStandin
    channels: Channels
    tokens: ReplyTokens
    outbox: Outbox
    ghosts: PaperGhosts
    bridge: Bridge
    desk: PaperDesk
    moves: Moves
    told: list[tuple[str, str]] = field(default_factory=list)
    listens_at: str = ""
    telegram: TelegramStandin = field(default_factory=TelegramStandin)
    meter: Meter = None  # type: ignore[assignment]

    async def sets(self, mode: str, reason: str | None = "a reason") -> None:
        await self.pool.execute("UPDATE channels SET mode = $1, reason = $2 WHERE kind = 'line'", mode, reason)
        await self.channels.read()

    async def opens_telegram(self, *, polls: bool = False, mode: str = "relay") -> Channel:
        """A Telegram channel beside the one to LINE."""
        secrets = {"bot_token": self.telegram.token} | ({} if polls else {"webhook_secret": "a secret"})
        await self._insert_channel("telegram-1", "telegram", mode, secrets)
        await self.channels.read()
        channel = self.channels.get("telegram-1")
        assert channel is not None and isinstance(channel.network, Prepared)
        if not polls:
            await channel.network.prepare(self.listens_at + PATH.format(kind="telegram", channel_id="telegram-1"))
        return channel

    async def _insert_channel(self, channel_id: str, kind: str, mode: str, secrets: Json) -> None:
        await self.pool.execute(
            """
            INSERT INTO channels (id, kind, name, mode, reason, settings, sealed_secrets, added_at, added_by)
            VALUES ($1, $2, $2, $3, 'a reason', '{}', $4, now(), 'test')
            """,
            channel_id,
            kind,
            mode,
            self.sealed(secrets),
        )

    def sealed(self, secrets: Json) -> str:
        """A channel's secrets as its row holds them."""
        return base64.b64encode(self.seals.seal(msgspec.json.encode(secrets))).decode()

    async def works(self) -> None:
        """Works off all that can be worked off now, as if every rest were over."""
        for _ in range(200):
            await self.pool.execute("UPDATE bridge_intake SET next_at = 0 WHERE outcome IS NULL")
            await self.pool.execute("UPDATE bridge_outbox SET next_at = 0 WHERE outcome IS NULL")
            waiting = await self.bridge._list_ready()
            for person in waiting:
                await self.bridge.work_off(person)
            for seq in await self.bridge._list_aside():
                await self.bridge.work_aside(seq)
            leaving = await self.outbox._list_ready()
            for person in leaving:
                await self.outbox.work_off(person)
            untold = await self.outbox._list_untold()
            for person in untold:
                await self.outbox.tell_outcomes(person)
            if not waiting and not leaving and not untold:
                return
        raise AssertionError("the work does not come to an end")

    async def counsellor_says(self, text: str, event_id: str, refuse: str = "", **more: str) -> None:
        """In the room of the one running case."""
        (person,) = await store.list_present(self.pool)
        await self.outbox.put(person, person.room_id or "", event_id, Letter(text, refuse, **more))

    async def counsellor_sends(self, event_id: str, content: bytes, caption: str = "", **more: Any) -> Attachment:
        """A file, in the room of the one running case."""
        (person,) = await store.list_present(self.pool)

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        sealed = await attachments.seal(pieces(), 10**9, self.config.store)
        mxc = await self.desk.upload("@ken:desk.test", person.room_id or "", sealed.file)
        event = {"msgtype": "m.image", "body": "cat.jpg", "file": sealed.content(mxc)} | more
        attachment = attachments.attachment_of(event)
        assert attachment is not None
        await self.outbox.put(person, person.room_id or "", event_id, Letter(caption, attachment=attachment))
        return attachment

    async def outcomes(self) -> dict[str, int]:
        """What became of what came in, as it stands in the rows; the ledger must say no other."""
        rows = await self.pool.fetch(
            "SELECT coalesce(outcome, 'waiting') AS outcome, count(*) FROM bridge_intake GROUP BY 1"
        )
        assert not any(ledger.missing for ledger in await self.ledgers())
        return {row["outcome"]: row["count"] for row in rows}

    async def ledgers(self) -> list[Ledger]:
        async with self.pool.acquire() as db, db.transaction():
            return await list_ledgers(db)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def a_bench(database_url: str, key: bytes, tmp_path: Path, mode: str = "relay") -> AsyncIterator[Bench]:
    """An empty bridges database with one LINE channel, its listener running, nothing worked off by itself.

    The test looks on as the database's owner; what it tests may do what `bridges` may.
    """
    owner = await asyncpg.create_pool(database_url, min_size=1, max_size=2)
    pool = await asyncpg.create_pool(url_as(database_url, "madoguchi_bridges", key.hex()), min_size=1, max_size=6)
    await owner.execute(
        "TRUNCATE bridge_intake, bridge_people, bridge_outbox, bridge_doors, bridge_forgotten, bridge_links, "
        "bridge_references, bridge_quota "
        "RESTART IDENTITY"
    )
    await owner.execute("DELETE FROM channel_changes")
    await owner.execute("DELETE FROM channels WHERE kind NOT IN ('web', 'matrix')")
    line = LineStandin()
    await line.start()
    seals = Seals(key)
    telegram = TelegramStandin()
    await telegram.start()
    config = Config(
        server_name="desk.test", server_url="http://127.0.0.1:1", public_url="https://desk.test", database_url="",
        address=("127.0.0.1", 0), line_api_base=line.base_url, line_data_base=line.base_url,
        telegram_api_base=telegram.base_url, key_file=tmp_path,
        store=tmp_path, as_token="t", keeper="@keeper:desk.test", largest_file=100_000, link_days=7,
        files_url="https://desk.test",
    )  # fmt: skip
    channels = Channels(pool, seals, config)
    tokens = ReplyTokens()
    desk = PaperDesk()
    files = FilesOut(pool, seals, config, desk)  # type: ignore[arg-type]
    meter = Meter(pool, channels)
    outbox = Outbox(pool, seals, channels, tokens, files, meter)
    ghosts = PaperGhosts(pool)
    moves = Moves(pool, config, channels, desk, outbox)  # type: ignore[arg-type]
    crossing = Crossing(pool, config, desk, ghosts, outbox, moves)  # type: ignore[arg-type]
    bridge = Bridge(pool, seals, config, channels, desk, ghosts, outbox, moves, crossing, Throng())  # type: ignore[arg-type]
    bench = Bench(owner, seals, config, line, channels, tokens, outbox, ghosts, bridge, desk, moves)

    async def tell(item: store.Leaving, outcome: str) -> None:
        if item.event_key.startswith(OFFER):
            await moves.tell(item, outcome)
        else:
            bench.told.append((item.event_key, outcome))

    outbox.tell = tell
    listener = app(channels, Intake(pool, seals, tokens), Health(pool), routes(files, channels, config))
    runner = web.AppRunner(listener, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    bench.meter, bench.telegram = meter, telegram
    secrets = {"channel_secret": line.channel_secret, "access_token": line.access_token}
    await bench._insert_channel(CHANNEL, "line", mode, secrets)
    bench.listens_at = f"http://127.0.0.1:{runner.addresses[0][1]}"
    line.connect(bench.listens_at, CHANNEL)
    try:
        await channels.read()
        yield bench
    finally:
        await runner.cleanup()
        await channels.close()
        await pool.close()
        await owner.close()
        await line.stop()
        await telegram.stop()
