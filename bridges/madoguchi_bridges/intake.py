"""Sealed intake: verify → seal → store → 200. What the app was told 200 for is on disk, where nobody can read it."""

import asyncio
import threading
import time
from collections.abc import Callable

import asyncpg
import msgspec
import structlog

from . import store
from .channels import Channel
from .network import Incoming
from .seals import Seals
from .throng import Throng

log = structlog.stdlib.get_logger(__name__)

GATHER = 100  # webhooks stored by one statement
LATEST_CLOCK_LEAD_MS = 5 * 60 * 1000


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


class ReplyTokens:
    """The reply tokens that came in with webhooks: in memory only, each good once and for a short time."""

    KEEP_SECONDS = 60.0
    KEEP_PER_PERSON = 5

    def __init__(self) -> None:
        self._tokens: dict[str, list[tuple[float, str]]] = {}
        self._lock = threading.Lock()  # the listener puts, the worker takes, on threads of their own

    def put(self, person: str, token: str) -> None:
        with self._lock:
            tokens = self._tokens.setdefault(person, [])
            tokens.append((time.monotonic(), token))
            del tokens[: -self.KEEP_PER_PERSON]
            if len(self._tokens) > 10_000:
                self._forget_old()

    def take(self, person: str, fresh_seconds: float) -> tuple[str, float]:
        """The person's newest token and for how many seconds it is still younger than `fresh_seconds`; "" where it is
        not any more, or there is none. A token is given out once."""
        with self._lock:
            tokens = self._tokens.pop(person, [])
            if not tokens:
                return "", 0.0
            got_at, token = tokens.pop()
            if tokens:
                self._tokens[person] = tokens
        left = got_at + fresh_seconds - time.monotonic()
        return (token, left) if left > 0 else ("", 0.0)

    def _forget_old(self) -> None:
        oldest = time.monotonic() - self.KEEP_SECONDS
        for person in [person for person, tokens in self._tokens.items() if tokens[-1][0] < oldest]:
            del self._tokens[person]


class Intake:
    """The door of all webhooks. `wake` is called after each commit that brought something new."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        seals: Seals,
        tokens: ReplyTokens,
        wake: Callable[[], None] = lambda: None,
        throng: Throng | None = None,
    ) -> None:
        self._pool = pool
        self._seals = seals
        self._tokens = tokens
        self._wake = wake
        self._throng = throng or Throng()
        self._gathered: list[tuple[list[store.Intake], asyncio.Future[None]]] = []
        self._storing: asyncio.Task[None] | None = None

    async def take(self, channel: Channel, raw: bytes) -> None:
        """Stores what is new of a *verified* webhook body. Durable when it returns.

        Raises asyncpg's and connection errors: the app must then not get its 200, and will deliver again.
        """
        self._throng.count()
        now = milliseconds()
        events = channel.network.parse(raw)
        items = [self._close(channel, event, now) for event in events]
        if items:
            await self._store(items)
        for event, item in zip(events, items, strict=True):
            if event.reply_token and item.person and not event.standby:
                self._tokens.put(item.person, event.reply_token)
        log.info("webhook taken in", channel=channel.id, events=len(items))

    async def _store(self, items: list[store.Intake]) -> None:
        """Group commit: what comes while one statement is under way goes together into the next."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gathered.append((items, stored))
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_gathered())
        await stored

    async def _store_gathered(self) -> None:
        while self._gathered:
            batch, self._gathered = self._gathered[:GATHER], self._gathered[GATHER:]
            waiting = [stored for _, stored in batch]
            try:
                new = await store.insert_intake(self._pool, [item for items, _ in batch for item in items])
            except Exception as error:
                for stored in waiting:
                    if not stored.done():
                        stored.set_exception(error)
                continue
            for stored in waiting:
                if not stored.done():
                    stored.set_result(None)
            if new:
                self._wake()

    def _close(self, channel: Channel, event: Incoming, now: int) -> store.Intake:
        address = event.group or event.sender
        message = event.message_id
        return store.Intake(
            channel_id=channel.id,
            event_key=self._seals.name("event", channel.id, event.event_id),
            person=person_name(self._seals, channel.id, address) if address else "",
            kind=event.kind,
            message_key=self._seals.name("message", channel.id, message) if message else None,
            # An app's clock that runs far ahead must not push an event behind all later ones.
            happened_at=min(event.happened_at or now, now + LATEST_CLOCK_LEAD_MS),
            received_at=now,
            sealed=self._seals.seal(msgspec.msgpack.encode(event)),
        )


def person_name(seals: Seals, channel_id: str, address: str) -> str:
    """The name under which somebody on an app stands in the database and in the ghost's user id."""
    return seals.name("person", channel_id, address)
