"""The ends of long polls: thousands who wait share a few timers."""

import asyncio
import math

# Who asked for thirty seconds may be answered after thirty seconds and an eighth.
PER_SECOND = 8


class Alarms:
    """Completes futures at their time, rounded up to the next eighth of a second."""

    def __init__(self) -> None:
        self._due: dict[int, set[asyncio.Future[None]]] = {}

    def set(self, waiter: "asyncio.Future[None]", at: float) -> int:
        """Completes `waiter` at `at` (seconds of the loop's clock). Gives what `cancel` asks for."""
        tick = math.ceil(at * PER_SECOND)
        due = self._due.get(tick)
        if due is None:
            due = self._due[tick] = set()
            asyncio.get_running_loop().call_at(tick / PER_SECOND, self._ring, tick)
        due.add(waiter)
        return tick

    def cancel(self, waiter: "asyncio.Future[None]", tick: int) -> None:
        """Forgets a waiter, if it is not past its time."""
        due = self._due.get(tick)
        if due is not None:
            due.discard(waiter)

    def _ring(self, tick: int) -> None:
        for waiter in self._due.pop(tick):
            if not waiter.done():
                waiter.set_result(None)
