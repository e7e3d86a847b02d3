"""Who is typing where: in memory, announced to all processes with NOTIFY, gone by itself when the time is over.

The spec: client-server API, "Typing Notifications". The process that took the request announces the end; should it
have died, any other does so a few seconds later.
"""

import asyncio
import random

import msgspec
import structlog

from madoguchi.clock import Clock
from madoguchi.storage import stream
from madoguchi.storage.db import Database, Tx
from madoguchi.storage.stream import Note

log = structlog.get_logger()

LONGEST_MS = 120_000
_GRACE_S = 3.0


class Typed(msgspec.Struct, array_like=True):
    """What a `typing` note carries in `extra`. timeout_ms: 0 ends it. by: the process that ends it in time."""

    user_id: str
    timeout_ms: int
    by: str


_decoder = msgspec.json.Decoder(Typed)


class Typing:
    """What this process has heard of typing. `heard` and `forget` are fed by the hub."""

    def __init__(self, db: Database, clock: Clock | None = None) -> None:
        self._db = db
        self._clock = clock or Clock()
        self._until: dict[str, dict[str, int]] = {}
        self._ends: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._announcing: set[asyncio.Task[None]] = set()

    # -- asked by handlers --------------------------------------------------------------------------------------------
    async def set(self, tx: Tx, room_id: str, user_id: str, timeout_ms: int | None) -> None:
        """Announces that a member is typing for `timeout_ms` (at most two minutes), or with None no longer.

        All processes, this one included, learn of it by the note, after the commit.
        """
        # An end is announced even if nothing has been heard of a beginning: that may be on its way, or elsewhere.
        typed = Typed(user_id, min(timeout_ms, LONGEST_MS) if timeout_ms else 0, stream.ORIGIN)
        await stream.publish(tx, Note("typing", room_id, msgspec.json.encode(typed).decode()))

    # -- fed by the hub -----------------------------------------------------------------------------------------------
    def heard(self, pos: int, room_id: str, extra: str) -> None:
        """Takes in a note of kind `typing`, in the order of positions."""
        typed = _decoder.decode(extra)
        key = (room_id, typed.user_id)
        if (end := self._ends.pop(key, None)) is not None:
            end.cancel()
        if typed.timeout_ms <= 0:
            if (until := self._until.get(room_id)) is not None:
                until.pop(typed.user_id, None)
                if not until:
                    del self._until[room_id]
            return
        self._until.setdefault(room_id, {})[typed.user_id] = self._clock.ms() + typed.timeout_ms
        wait_s = typed.timeout_ms / 1000
        if typed.by != stream.ORIGIN:
            wait_s += _GRACE_S * (1 + random.random())
        self._ends[key] = asyncio.get_running_loop().call_later(wait_s, self._end, room_id, typed.user_id)

    def forget(self) -> None:
        """Begins anew after a gap in what was heard (a lost connection)."""
        self.close()
        self._until.clear()

    # -- asked by sync ------------------------------------------------------------------------------------------------
    def users(self, room_id: str) -> list[str]:
        """Who is typing in the room now, the first to begin first."""
        now = self._clock.ms()
        return [user_id for user_id, until in self._until.get(room_id, {}).items() if until > now]

    def close(self) -> None:
        """Stops the clocks."""
        for end in self._ends.values():
            end.cancel()
        self._ends.clear()

    # -- endings ------------------------------------------------------------------------------------------------------
    def _end(self, room_id: str, user_id: str) -> None:
        self._ends.pop((room_id, user_id), None)
        task = asyncio.get_running_loop().create_task(self._announce_end(room_id, user_id))
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)

    async def _announce_end(self, room_id: str, user_id: str) -> None:
        if (room_id, user_id) in self._ends:
            return  # they began anew in the meantime, with a clock of its own
        extra = msgspec.json.encode(Typed(user_id, 0, stream.ORIGIN)).decode()
        try:
            async with self._db.transaction() as tx:
                await stream.publish(tx, Note("typing", room_id, extra))
        except Exception as error:
            log.warning("the end of typing could not be announced", error=type(error).__name__)
