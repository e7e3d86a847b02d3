"""Whoever reads sees every event of their rooms exactly once, all in one order: over several `serve` processes, with
writers and readers at the same time, whatever the interleaving, lost connections and killed workers included.

The readers change the worker with every sync, and take `since` along: positions must mean the same everywhere.
"""

import asyncio
import contextlib
import random
import secrets
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.cast import V3, Cast, Json, Person, Refusal, segment
from tests.house import Workers

COUNT = 3


@pytest.fixture(scope="module")
def trio() -> Iterator[Workers]:
    """Three workers that this module may kill."""
    with TemporaryDirectory(prefix="mado-") as directory:
        workers = Workers(Path(directory), count=COUNT)
        workers.start()
        try:
            yield workers
        finally:
            workers.stop()


@dataclass(frozen=True)
class Plan:
    """One run: `rooms` rooms; each writer says `said[i]` things; each reader syncs with its own timeline limit."""

    rooms: int
    said: list[int]
    limits: list[int]
    cut_listeners_after_ms: list[int]
    seed: int


PLANS = st.builds(
    Plan,
    rooms=st.integers(1, 3),
    said=st.lists(st.integers(1, 25), min_size=2, max_size=6),
    limits=st.lists(st.sampled_from([1, 2, 5, 50]), min_size=2, max_size=4),
    cut_listeners_after_ms=st.lists(st.integers(0, 400), max_size=3),
    seed=st.integers(0, 1 << 30),
)


@dataclass
class Reader:
    """Follows all rooms by /sync, closing gaps through /messages, and notes what it saw in which order."""

    hands: list[Person]  # the same device through each worker
    limit: int
    dice: random.Random
    since: str = ""
    seen: dict[str, list[str]] = field(default_factory=dict)

    async def begin(self) -> None:
        self.since = (await self.hands[0].sync())["next_batch"]

    async def read_until(self, done: asyncio.Event, wanted: dict[str, set[str]]) -> None:
        while not (done.is_set() and all(ids <= set(self.seen.get(room, [])) for room, ids in wanted.items())):
            await self.step(timeout_ms=1000)

    async def step(self, timeout_ms: int) -> None:
        hand = self.dice.choice(self.hands)
        chosen = {"room": {"timeline": {"limit": self.limit, "types": ["m.room.message"]}}}
        try:
            told = await hand.sync(since=self.since, timeout_ms=timeout_ms, filter=chosen)
            rooms = {}
            for room, part in told.get("rooms", {}).get("join", {}).items():
                rooms[room] = await self.whole(hand, room, part["timeline"])
        except (aiohttp.ClientError, TimeoutError):  # a killed worker
            await asyncio.sleep(0.05)
            return
        for room, ids in rooms.items():
            self.seen.setdefault(room, []).extend(ids)
        self.since = told["next_batch"]

    async def whole(self, hand: Person, room: str, timeline: Json) -> list[str]:
        ids = [event["event_id"] for event in timeline["events"]]
        if timeline.get("limited"):
            only = {"types": ["m.room.message"]}
            earlier = await hand.reads_all(room, from_=timeline["prev_batch"], to=self.since, filter=only, limit=3)
            ids = [event["event_id"] for event in reversed(earlier)] + ids
        return ids


async def order_of(person: Person, room: str) -> list[str]:
    """The messages of a room from its start, as /messages tells."""
    events = await person.reads_all(room, dir_="f", limit=100, filter={"types": ["m.room.message"]})
    return [event["event_id"] for event in events]


class Stage:
    """One person on every worker, the rooms of a run, and what was acknowledged."""

    def __init__(self, workers: Workers, cast: Cast) -> None:
        self.workers = workers
        self.cast = cast
        self.lines = [cast.line_to(url) for url in workers.base_urls]
        self.rooms: list[str] = []
        self.acknowledged: dict[str, set[str]] = {}

    async def set(self, rooms: int) -> Person:
        mio = await self.cast.person("mio")
        self.rooms = [await mio.opens_a_room() for _ in range(rooms)]
        self.acknowledged = {room: set() for room in self.rooms}
        return mio

    async def write(self, mio: Person, count: int, dice: random.Random) -> None:
        """Say `count` things, each by some worker; retry with the same transaction id until acknowledged."""
        for _ in range(count):
            room, txn = dice.choice(self.rooms), secrets.token_hex(6)
            while True:
                try:
                    event = await mio.through(dice.choice(self.lines)).says(room, txn, txn=txn)
                except (aiohttp.ClientError, TimeoutError):
                    await asyncio.sleep(0.05)
                    continue
                self.acknowledged[room].add(event)
                break

    async def check(self, mio: Person, readers: list[Reader]) -> None:
        for room in self.rooms:
            order = await order_of(mio.through(self.lines[0]), room)
            assert len(set(order)) == len(order)
            assert self.acknowledged[room] <= set(order), "an acknowledged event is missing"
            texts = [event["content"]["body"] for event in await mio.through(self.lines[0]).reads_all(room, limit=100)
                     if event["type"] == "m.room.message"]  # fmt: skip
            assert len(set(texts)) == len(texts), "a retry was taken for a new event"
            for reader in readers:
                assert reader.seen.get(room, []) == order


@contextlib.asynccontextmanager
async def a_stage(workers: Workers):  # type: ignore[no-untyped-def]
    cast = Cast(workers.base_urls[0])
    try:
        yield Stage(workers, cast)
    finally:
        await cast.leave_the_stage()


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # what a race did once it need not do when it is shrunk
)
@given(plan=PLANS)
@pytest.mark.timeout(300)
async def test_every_reader_sees_every_event_once_and_in_one_order(trio: Workers, plan: Plan) -> None:
    async with a_stage(trio) as stage:
        mio = await stage.set(plan.rooms)
        hands = [mio.through(line) for line in stage.lines]
        readers = [Reader(hands, limit, random.Random(plan.seed + n)) for n, limit in enumerate(plan.limits)]
        for reader in readers:
            await reader.begin()
        written = asyncio.Event()
        reading = [asyncio.create_task(reader.read_until(written, stage.acknowledged)) for reader in readers]

        async def cut() -> None:
            for wait in plan.cut_listeners_after_ms:
                await asyncio.sleep(wait / 1000)
                await asyncio.to_thread(trio.cuts_listeners)

        writing = [stage.write(mio, count, random.Random(plan.seed - n)) for n, count in enumerate(plan.said)]
        await asyncio.gather(cut(), *writing)
        written.set()
        await asyncio.wait_for(asyncio.gather(*reading), 60)
        for reader in readers:
            await reader.step(timeout_ms=0)  # nothing may come a second time
        await stage.check(mio, readers)


@pytest.mark.timeout(120)
async def test_a_killed_writer_loses_nothing_it_had_acknowledged(trio: Workers) -> None:
    async with a_stage(trio) as stage:
        mio = await stage.set(3)
        hands = [mio.through(line) for line in stage.lines]
        readers = [Reader(hands, limit, random.Random(n)) for n, limit in enumerate([2, 50, 50])]
        for reader in readers:
            await reader.begin()
        written = asyncio.Event()
        reading = [asyncio.create_task(reader.read_until(written, stage.acknowledged)) for reader in readers]

        async def kill() -> None:
            for _ in range(3):
                await asyncio.sleep(0.4)
                await asyncio.to_thread(trio.kills, 1)
                await asyncio.sleep(0.3)
                await asyncio.to_thread(trio.opens, 1)

        writing = [stage.write(mio, 60, random.Random(100 + n)) for n in range(12)]
        try:
            await asyncio.gather(kill(), *writing)
            written.set()
            await asyncio.wait_for(asyncio.gather(*reading), 60)
        finally:
            if trio.processes[1] is None or trio.processes[1].poll() is not None:
                trio.opens(1)
        await stage.check(mio, readers)


async def test_a_transaction_id_holds_over_workers_and_restarts(trio: Workers) -> None:
    async with a_stage(trio) as stage:
        mio = await stage.set(1)
        room = stage.rooms[0]
        both = await asyncio.gather(*(mio.through(line).says(room, "一度だけ", txn="same") for line in stage.lines * 4))
        assert len(set(both)) == 1
        trio.kills(1)
        trio.opens(1)
        assert await mio.through(stage.lines[1]).says(room, "一度だけ", txn="same") == both[0]
        assert len(await order_of(mio, room)) == 1


async def test_what_one_worker_changes_the_others_know(trio: Workers) -> None:
    """State, membership, sessions: no worker goes on with an old copy."""
    async with a_stage(trio) as stage:
        mio, ken = await stage.set(1), await stage.cast.person("ken")
        room = stage.rooms[0]
        there = [ken.through(line) for line in stage.lines]
        for _ in range(5):
            await mio.through(stage.lines[0]).invites(room, ken)
            await there[1].joins(room)
            await there[2].says(room, "ここにいる")
            await mio.through(stage.lines[1]).kicks(room, ken)
            for hand in there:
                with pytest.raises(Refusal):
                    await hand.says(room, "まだいる")
        for hand in there:
            await hand.get(f"{V3}/account/whoami")
        await there[0].post(f"{V3}/logout")
        for hand in there:
            # The others hear of it by the announcement: within moments, not within the same one.
            for _ in range(100):
                refusal = await _refusal_of(hand.get(f"{V3}/account/whoami"))
                if refusal is not None:
                    break
                await asyncio.sleep(0.02)
            assert refusal is not None
            assert refusal.errcode == "M_UNKNOWN_TOKEN"
        assert segment(room)


async def _refusal_of(request: Awaitable[object]) -> Refusal | None:
    try:
        await request
    except Refusal as refusal:
        return refusal
    return None
