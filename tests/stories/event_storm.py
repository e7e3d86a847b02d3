"""A storm of webhooks over a house that is being killed: nothing is lost, nothing is doubled, and the ledger says so.

LINE is as bad as its documents allow: it delivers in batches that mix people, out of order, several at once, again when
it got no answer, and again though it got one.
"""

import asyncio
import contextlib
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import psutil

from madoguchi.storage.bridging import Ledger, count_vanished, list_ledgers
from tests.house import House, healthy
from tests.standins.counsellor import CounsellorClient
from tests.standins.line import Json, LinePerson, LineStandin
from tests.words import word

UNKNOWN = "この版では表示できない出来事がLINEから届きました"
DELIVERIES_AT_ONCE = 4
PATIENCE_S = 120.0


class Storm:
    """`events` of a few people, each in a conversation with Ken: (person, room id)."""

    def __init__(
        self,
        house: House,
        line: LineStandin,
        ken: CounsellorClient,
        channel: str,
        talks: list[tuple[LinePerson, str]],
        *,
        events: int,
        seed: int = 20210317,
    ) -> None:
        self.house, self.line, self.ken, self.channel, self.talks = house, line, ken, channel, talks
        self._random = random.Random(seed)
        self._events = [self._an_event(number) for number in range(events)]
        self.expected: dict[str, Counter[str]] = {}
        for person, _, body, _ in self._events:
            self.expected.setdefault(person.user_id, Counter())[body] += 1
        self.delivered = 0
        self._answers: dict[str, list[str]] = {}
        self._before: Ledger | None = None

    def _an_event(self, number: int) -> tuple[LinePerson, Json, str, bool]:
        """(who, the event, how the counsellor is to see it, whether it is of a kind that LINE's documents know)"""
        person, _ = self._random.choice(self.talks)
        at = {"timestamp": time.time_ns() // 1_000_000 + number}
        chance = self._random.random()
        if chance < 0.04:
            return person, person.event("telepathy", **at), UNKNOWN, False
        said = word(f"言葉{number}")
        if chance < 0.12:
            sticker = {"packageId": "1", "stickerId": "2", "stickerResourceType": "STATIC", "quoteToken": "q"}
            message = {"id": self.line.message_id(), "type": "sticker", "keywords": [said], **sticker}
            return person, person.event("message", message=message, **at), f"スタンプ: {said}", True
        return person, person.said(said, **at), said, True

    async def rages(self, *kills: str) -> None:
        """Delivers everything, and kills each of `kills` in the middle of some of it: serve, bridges, database …"""
        self._before = await self.ledger()
        # Near each other in time, in any order.
        order = sorted(range(len(self._events)), key=lambda number: number + self._random.uniform(0, 20))
        size = -(-len(order) // len(kills))
        for number, kill in enumerate(kills):
            part = order[number * size : (number + 1) * size]
            answers = [(room, person, word(f"返事{number}")) for person, room in self.talks]
            await asyncio.gather(
                self._delivers([self._events[index] for index in part]),
                self._kills(kill, self._random.uniform(0.05, 0.5)),
                *(self._answers_in(room, person, answer) for room, person, answer in answers),
            )

    async def _delivers(self, events: list[tuple[LinePerson, Json, str, bool]]) -> None:
        webhooks: list[list[tuple[LinePerson, Json, str, bool]]] = []
        while events:
            size = self._random.randint(1, 6)
            webhooks.append(events[:size])
            events = events[size:]
        again = [webhook for webhook in webhooks if self._random.random() < 0.25]
        again += [[self._random.choice(webhook)] for webhook in webhooks if self._random.random() < 0.25]
        everything = webhooks + again
        self._random.shuffle(everything)

        async def delivers() -> None:
            while everything:
                webhook = everything.pop()
                known = all(is_known for _, _, _, is_known in webhook)
                events = [event for _, event, _, _ in webhook]
                await self.line.delivers_until_taken(*events, within_s=PATIENCE_S, check=known)
                self.delivered += len(webhook)
                await asyncio.sleep(self._random.uniform(0, 0.03))

        await asyncio.gather(*(delivers() for _ in range(DELIVERIES_AT_ONCE)))

    async def _kills(self, what: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if what != "database":
            # Who dies often is started again later and later.
            await asyncio.to_thread(self.house.kills, what, PATIENCE_S)
            return
        kill_the_database(self.house)

    async def _answers_in(self, room: str, person: LinePerson, answer: str) -> None:
        self._answers.setdefault(person.user_id, []).append(answer)
        content, txn_id = {"msgtype": "m.text", "body": answer}, f"storm.{secrets.token_hex(8)}"
        ends = time.monotonic() + PATIENCE_S
        while True:
            try:
                await self.ken.device.say(room, content, txn_id)
                return
            except Exception:
                assert time.monotonic() < ends, "the counsellor could not answer"
                await asyncio.sleep(0.3)

    async def ledger(self) -> Ledger:
        return await ledger_of(self.house, self.channel)

    async def has_lost_nothing_and_doubled_nothing(self, within_s: float) -> None:
        """Waits until all is worked off; then holds the rooms, the phones and the ledger against what was done."""
        assert self._before is not None
        ends = time.monotonic() + within_s
        while (after := await self.ledger()).waiting or not healthy(self.house.base_url):
            assert time.monotonic() < ends, after
            await asyncio.sleep(0.2)
        # The rooms: what Ken can read is what was said, each once.
        for person, room in self.talks:
            wanted = self.expected.get(person.user_id, Counter())
            while True:
                seen = Counter(body for body in await self.ken.conversation(room) if body in wanted)
                if seen == wanted or time.monotonic() > ends:
                    break
                await asyncio.sleep(0.5)
            assert seen == wanted, {"lost": wanted - seen, "doubled": seen - wanted}
        # The phones.
        for person, _ in self.talks:
            wanted = Counter(self._answers.get(person.user_id, []))
            while True:
                heard = Counter(text for text in person.phone if text in wanted)
                if heard == wanted or time.monotonic() > ends:
                    break
                await asyncio.sleep(0.2)
            assert heard == wanted, {"lost": wanted - heard, "doubled": heard - wanted}
        # The ledger.
        bodies = [body for _, _, body, _ in self._events]
        placeholders = sum(body == UNKNOWN or body.startswith("スタンプ: ") for body in bodies)
        assert after.missing == 0, after
        assert after.shown - self._before.shown == len(bodies) - placeholders, (self._before, after)
        assert after.placeholders - self._before.placeholders == placeholders, (self._before, after)
        # Deliveries whose answer was lost on its way came in, too.
        assert after.received - self._before.received >= self.delivered
        assert after.repeated - self._before.repeated >= self.delivered - len(bodies) > 0
        async with _connected(self.house.database_url) as db:
            assert await count_vanished(db) == 0


def kill_the_database(house: House) -> None:
    """SIGKILL PostgreSQL; its own processes then end by themselves."""
    for process in house.everybody():
        # Its own processes come and go.
        with contextlib.suppress(psutil.NoSuchProcess):
            if "postgres" in process.name() and _is_first(process):
                process.kill()
                return
    raise AssertionError("there is no database to kill")


async def ledger_of(house: House, channel: str) -> Ledger:
    """The books of a channel, from a database that may be coming back."""
    async with _connected(house.database_url) as db:
        found = {ledger.channel_id: ledger for ledger in await list_ledgers(db)}
    return found.get(channel) or Ledger(channel, *[0] * 10, None)


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Any]:
    """A connection to a database that may be coming back."""
    ends = time.monotonic() + 30
    while True:
        try:
            db = await asyncpg.connect(url)
            break
        except (OSError, asyncpg.PostgresError):
            assert time.monotonic() < ends, "the database did not come back"
            await asyncio.sleep(0.2)
    try:
        yield db
    finally:
        await db.close()


def _is_first(process: psutil.Process) -> bool:
    parent = process.parent()
    return parent is None or "postgres" not in parent.name()
