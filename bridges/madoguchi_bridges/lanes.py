"""Work that must stay in order for one person, and may go on for many at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

log = structlog.stdlib.get_logger(__name__)

LOOK_EVERY_SECONDS = 1.0
# A look reads all that waits: in a rush, what comes in quick succession is looked at together.
LOOK_AT_MOST_EVERY_SECONDS = 0.05


class Lanes:
    """Asks `list_ready` for keys and runs `work(key)` for each, never twice for the same key at the same time.

    `work` is to go on until nothing is left that can be done for its key now. What it raises is logged by class and
    costs the key a short rest; the others go on.
    """

    def __init__(
        self,
        name: str,
        list_ready: Callable[[], Awaitable[list[str]]],
        work: Callable[[str], Awaitable[None]],
        at_once: int = 16,
    ) -> None:
        self._name = name
        self._list_ready = list_ready
        self._work = work
        self._places = asyncio.Semaphore(at_once)
        self._busy: set[str] = set()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                looked = time.monotonic()
                # Watch before reading: what is stored between the two would otherwise wait for the next look.
                self._woken.clear()
                try:
                    for key in await self._list_ready():
                        if key not in self._busy:
                            self._busy.add(key)
                            group.create_task(self._keep(key))
                except Exception as error:
                    log.warning("cannot look for work", lane=self._name, exc_info=error)
                    await asyncio.sleep(LOOK_EVERY_SECONDS)
                try:
                    await asyncio.wait_for(self._woken.wait(), LOOK_EVERY_SECONDS)
                except TimeoutError:
                    pass
                await asyncio.sleep(looked + LOOK_AT_MOST_EVERY_SECONDS - time.monotonic())

    async def _keep(self, key: str) -> None:
        try:
            async with self._places:
                await self._work(key)
        except Exception as error:
            log.error("work failed", lane=self._name, exc_info=error)
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        finally:
            self._busy.discard(key)
            self._woken.set()
