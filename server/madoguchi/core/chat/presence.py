"""Who is there: kept by nobody (the setting's default), or in memory for those who share a room ("Presence").

Announced with NOTIFY, so that every worker knows; gone by itself when somebody has not synced for a while. Nothing of
it is written down: who is awake at three in the morning is no other's business tomorrow.
"""

import asyncio
from typing import Any, Literal

import msgspec
import structlog

from madoguchi.clock import Clock
from madoguchi.ids import UserID
from madoguchi.storage import stream
from madoguchi.storage.db import Database, Tx
from madoguchi.storage.stream import Note

log = structlog.get_logger()

State = Literal["online", "offline", "unavailable"]
# How long somebody counts as there after they were last heard of, and how often that is announced at most.
LASTS_MS = 5 * 60_000
AGAIN_MS = 2 * 60_000
_GRACE_S = 5.0


class Said(msgspec.Struct, array_like=True):
    """What a `presence` note carries in `extra`. by: the process that ends it in time."""

    state: State
    by: str


class _Known(msgspec.Struct):
    state: State
    at: int


_decoder = msgspec.json.Decoder(Said)


class Presence:
    """What this process has heard of presence. `heard` and `forget` are fed by the hub."""

    def __init__(self, db: Database, clock: Clock, *, kept: bool) -> None:
        self._db = db
        self._clock = clock
        self._kept = kept
        self._known: dict[UserID, _Known] = {}
        self._ends: dict[UserID, asyncio.TimerHandle] = {}
        self._announcing: set[asyncio.Task[None]] = set()

    # -- asked by handlers --------------------------------------------------------------------------------------------
    async def set(self, tx: Tx, user_id: UserID, state: State) -> None:
        """Announces how somebody is, where that is kept."""
        if self._kept:
            await stream.publish(
                tx, Note("presence", user_id, msgspec.json.encode(Said(state, stream.ORIGIN)).decode())
            )

    async def seen(self, user_id: UserID, state: State) -> None:
        """Notes that somebody syncs, and as what; announced only where others may not know it."""
        if not self._kept or state == "offline":
            return
        known = self._known.get(user_id)
        if known is not None and known.state == state and self._clock.ms() - known.at < AGAIN_MS:
            return
        async with self._db.transaction() as tx:
            await self.set(tx, user_id, state)

    def event(self, user_id: UserID) -> dict[str, Any]:
        """How somebody is now, as an m.presence event."""
        return {"type": "m.presence", "sender": user_id, "content": self.content(user_id)}

    def content(self, user_id: UserID) -> dict[str, Any]:
        """How somebody is now."""
        known = self._known.get(user_id)
        if known is None or known.state == "offline":
            return {"presence": "offline"}
        content: dict[str, Any] = {"presence": known.state, "last_active_ago": max(0, self._clock.ms() - known.at)}
        if known.state == "online":
            content["currently_active"] = True
        return content

    def there(self) -> list[UserID]:
        """Everybody of whom something else than absence is known."""
        return [user_id for user_id, known in self._known.items() if known.state != "offline"]

    # -- fed by the hub -----------------------------------------------------------------------------------------------
    def heard(self, pos: int, user_id: str, extra: str) -> None:
        """Takes in a note of kind `presence`, in the order of positions."""
        said = _decoder.decode(extra)
        if (end := self._ends.pop(user_id, None)) is not None:
            end.cancel()
        if said.state == "offline":
            self._known.pop(user_id, None)
            return
        self._known[user_id] = _Known(said.state, self._clock.ms())
        # Should the process that heard it have died, the others end it a little later.
        wait_s = LASTS_MS / 1000 + (0 if said.by == stream.ORIGIN else _GRACE_S)
        self._ends[user_id] = asyncio.get_running_loop().call_later(wait_s, self._end, user_id)

    def forget(self) -> None:
        """Begins anew after a gap in what was heard (a lost connection)."""
        self.close()
        self._known.clear()

    def close(self) -> None:
        """Stops the clocks."""
        for end in self._ends.values():
            end.cancel()
        self._ends.clear()

    def _end(self, user_id: UserID) -> None:
        self._ends.pop(user_id, None)
        task = asyncio.get_running_loop().create_task(self._announce_end(user_id))
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)

    async def _announce_end(self, user_id: UserID) -> None:
        try:
            async with self._db.transaction() as tx:
                await self.set(tx, user_id, "offline")
        except Exception as error:
            log.warning("the end of presence could not be announced", error=type(error).__name__)
