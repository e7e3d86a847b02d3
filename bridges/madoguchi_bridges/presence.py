"""What passes in a room and is shown in the app: that a human has read, that somebody is writing.

Of the moment, and therefore kept nowhere: what is missed is made up for by the next of its kind.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import asyncpg
import msgspec
import structlog

from . import store
from .channels import Channel, Channels
from .config import Config
from .ghosts import DeviceGhost
from .network import MarksRead, Ref, Rejected, ShowsTyping, TryAgain
from .seals import Seals

log = structlog.stdlib.get_logger(__name__)

# Who types so long without sending anything has gone away.
LONGEST_TYPING_SECONDS = 120.0


class Presence:
    """`noticed` is given to Ghosts."""

    def __init__(self, pool: asyncpg.Pool, seals: Seals, config: Config, channels: Channels) -> None:
        self._pool = pool
        self._seals = seals
        self._config = config
        self._channels = channels
        self._typing: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def noticed(self, ghost: DeviceGhost, body: dict[str, Any]) -> None:
        """Looks at one sync of a ghost."""
        for room_id, room in body.get("rooms", {}).get("join", {}).items():
            for event in room.get("ephemeral", {}).get("events", []):
                content = event.get("content", {})
                if event.get("type") == "m.receipt":
                    for event_id, at in self._read_by_humans(ghost, content):
                        self._spawn(self._mark_read(ghost, room_id, event_id, at))
                elif event.get("type") == "m.typing":
                    self._types(ghost, any(self._is_human(ghost, user) for user in content.get("user_ids", [])))

    async def close(self) -> None:
        tasks = [*self._tasks, *self._typing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_human(self, ghost: DeviceGhost, user_id: str) -> bool:
        return user_id not in (ghost.user_id, self._config.keeper)

    def _read_by_humans(self, ghost: DeviceGhost, content: dict[str, Any]) -> list[tuple[str, int]]:
        """(event, when it was read in ms)"""
        return [
            (event_id, int(receipt.get("ts", 0)))
            for event_id, kinds in content.items()
            for user_id, receipt in kinds.get("m.read", {}).items()
            if self._is_human(ghost, user_id)
        ]

    async def _mark_read(self, ghost: DeviceGhost, room_id: str, event_id: str, at: int) -> None:
        carried = await self._carried(ghost)
        if carried is None or not isinstance(carried[0].network, MarksRead):
            return
        reference = await store.take_read(self._pool, ghost.channel_id, room_id, event_id, at)
        if reference is not None:
            channel, address = carried
            ref = msgspec.msgpack.decode(self._seals.open(reference.sealed), type=Ref)
            await channel.network.mark_read(address, ref)  # type: ignore[attr-defined]

    def _types(self, ghost: DeviceGhost, typing: bool) -> None:
        running = self._typing.get(ghost.person)
        if typing and (running is None or running.done()):
            self._typing[ghost.person] = asyncio.create_task(self._quietly(self._show_typing(ghost)))
        elif not typing and running is not None:
            running.cancel()
            del self._typing[ghost.person]

    async def _show_typing(self, ghost: DeviceGhost) -> None:
        async with asyncio.timeout(LONGEST_TYPING_SECONDS):
            while True:
                carried = await self._carried(ghost)
                if carried is None or not isinstance(carried[0].network, ShowsTyping):
                    return
                await carried[0].network.show_typing(carried[1])
                await asyncio.sleep(carried[0].network.typing_seconds)

    async def _carried(self, ghost: DeviceGhost) -> tuple[Channel, str] | None:
        """(the channel, the person's address), if what happens in the room may be seen in the app."""
        channel, person = self._channels.get(ghost.channel_id), await store.get_person(self._pool, ghost.person)
        if channel is None or person is None or person.left_at is not None or person.case_id is None:
            return None
        kept = await store.is_kept(self._pool, person.case_id)
        if not channel.carries_content(running=True, kept=kept):
            return None
        return channel, self._seals.open(person.sealed_address).decode()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (TryAgain, Rejected, TimeoutError, *store.AWAY) as error:
            log.info("not shown in the app", error=type(error).__name__)
