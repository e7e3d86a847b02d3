"""What has happened for one user since they last looked, kept in memory while they keep looking."""

import asyncio
from typing import Any

# Entries an inbox holds at most; older ones are looked up in the database instead.
INBOX = 512
_DROPPED = INBOX // 8


class Inbox:
    """What happened for one user, newest last: (position, kind, key). Complete after `floor`.

    memo: what the sync of this user remembers between requests (counts, what has been sent); lost without harm.
    """

    __slots__ = ("_waiters", "entries", "floor", "memo", "used_at")

    def __init__(self, floor: int) -> None:
        self.floor = floor
        # Thousands of people wait with nothing in theirs: an empty list is a tenth of an empty deque.
        self.entries: list[tuple[int, str, str]] = []
        self.memo: dict[Any, Any] = {}
        self.used_at = 0.0
        self._waiters: list[asyncio.Future[None]] = []

    def add(self, pos: int, kind: str, key: str) -> None:
        if len(self.entries) >= INBOX:
            self.floor = self.entries[_DROPPED - 1][0]
            del self.entries[:_DROPPED]
        self.entries.append((pos, kind, key))

    def since(self, pos: int) -> list[tuple[int, str, str]] | None:
        """The entries after a position; None where the inbox does not reach back so far."""
        if pos < self.floor:
            return None
        found: list[tuple[int, str, str]] = []
        for entry in reversed(self.entries):
            if entry[0] <= pos:
                break
            found.append(entry)
        found.reverse()
        return found

    def wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def register(self) -> "asyncio.Future[None]":
        """A future that the next news completes. Register before reading; `unregister` in any case."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def unregister(self, waiter: "asyncio.Future[None]") -> None:
        self._waiters.remove(waiter)

    @property
    def idle(self) -> bool:
        return not self._waiters
