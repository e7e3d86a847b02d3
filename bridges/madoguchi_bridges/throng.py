"""While webhooks throng, the work behind them gives way: an app waits two seconds for its 200, a room can wait."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PER_SECOND = 50
AT_ONCE = 2


class Throng:
    """Counted by the listener, heeded by the work, on threads of their own."""

    def __init__(self, per_second: int = PER_SECOND, at_once: int = AT_ONCE) -> None:
        self._came: deque[float] = deque(maxlen=per_second)
        self._few = asyncio.Semaphore(at_once)

    def count(self) -> None:
        """A webhook has come."""
        self._came.append(time.monotonic())

    @property
    def is_on(self) -> bool:
        """Whether the last `per_second` webhooks came within a second."""
        came = self._came
        return len(came) == came.maxlen and time.monotonic() - came[0] < 1.0

    @asynccontextmanager
    async def gives_way(self) -> AsyncIterator[None]:
        """Around each piece of the work; none may take long. While webhooks throng, `at_once` of them at a time."""
        if not self.is_on:
            yield
            return
        async with self._few:
            yield
