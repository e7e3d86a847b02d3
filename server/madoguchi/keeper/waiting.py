"""Room keys that have yet to be put somewhere: taken up as they come, and again after any failure."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any

import structlog
from aiohttp import ClientError
from nio.crypto import InboundGroupSession

from madoguchi.crypto.device import Refused, described

log = structlog.get_logger()

Name = tuple[str, str]
_AFTER_FAILURE_S = 2.0


class Waiting(ABC):
    """where: what the keys wait for, in the log. look_again_s: seconds after which somebody looks without news."""

    where: str
    look_again_s: float

    def __init__(self) -> None:
        self.waiting: dict[Name, InboundGroupSession] = {}
        self._news = asyncio.Event()

    @abstractmethod
    async def put_waiting(self) -> int:
        """Put all that waits where it belongs; gives how many keys that were. Raises Refused, aiohttp.ClientError."""

    def add(self, session: InboundGroupSession) -> None:
        """A session was stored."""
        self.waiting[session.room_id, session.id] = session
        self._news.set()

    def forget_room(self, room_id: str) -> None:
        """The room is purged; its keys are wanted nowhere."""
        for name in [name for name in self.waiting if name[0] == room_id]:
            del self.waiting[name]

    def batch(self, most: int) -> list[tuple[Name, InboundGroupSession]]:
        """The first of those that wait."""
        return list(self.waiting.items())[:most]

    def still_waits(self, name: Name, session: InboundGroupSession) -> bool:
        """False for one that was forgotten meanwhile, or replaced by a better one, which goes in its turn."""
        return self.waiting.get(name) is session

    async def run(self, stop: asyncio.Event) -> None:
        """Put what comes, until `stop`."""
        while not stop.is_set():
            self._news.clear()
            try:
                await self.put_waiting()
            except (Refused, ClientError, TimeoutError, OSError) as error:
                log.warning("keys wait", where=self.where, error=described(error))
                await first_of(stop.wait(), timeout=_AFTER_FAILURE_S)
            await first_of(stop.wait(), self._news.wait(), timeout=self.look_again_s)


async def first_of(*waits: Coroutine[Any, Any, object], timeout: float) -> None:
    """Wait until one of these is done, `timeout` seconds at most; the others are left."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
