"""Ghosts: the Matrix users that stand for people on messaging apps, each with one cross-signed device of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
import asyncpg
import structlog
from nio import LocalProtocolError

from madoguchi.crypto.device import AgentDevice, Login
from madoguchi.crypto.device import Refused as DeviceRefused

from . import store
from .channels import Channels
from .config import Config
from .desk import Desk, Refused, Unreachable
from .seals import Seals

log = structlog.stdlib.get_logger(__name__)

CASE_STATE = "jp.madoguchi.case"
ROOM_SECONDS = 20.0
LOOK_AGAIN_SECONDS = 1.0
START_AT_ONCE = 8
Heard = Callable[["DeviceGhost", str, Any], Awaitable[None]]
"""What is called with each event that somebody else sends into a ghost's room: (ghost, room id, nio event).

When it raises, the same events come again after a pause.
"""


Noticed = Callable[["DeviceGhost", dict[str, Any]], None]
"""What is called with each sync of a ghost, for what passes: who types, who has read. Never raises."""


class CaseOver(Exception):
    """Nothing more can be said in that room."""


class Ghost(Protocol):
    """One person's ghost, present in the room of their running case."""

    person: str
    channel_id: str
    user_id: str

    async def say(self, room_id: str, content: dict[str, Any], txn_id: str, kind: str = "m.room.message") -> str:
        """Says something, encrypted; gives the event id. The same `txn_id` again says nothing twice.

        Raises CaseOver, Unreachable.
        """

    async def take_back(self, room_id: str, event_id: str, txn_id: str) -> None:
        """Redacts something it said. Raises CaseOver, Unreachable."""

    async def enter(self, room_id: str) -> None:
        """Comes into a room that the keeper invites it to. Raises Unreachable as long as it does not."""


class DeviceGhost:
    """A ghost on a real device."""

    def __init__(self, person: store.Person, user_id: str, config: Config, seals: Seals) -> None:
        self.person = person.person
        self.channel_id = person.channel_id
        self.user_id = user_id
        self._stop = asyncio.Event()
        self._synced = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._notes: set[asyncio.Task[None]] = set()
        self._config = config
        self.device = AgentDevice(
            config.server_url,
            user_id,
            config.store / person.person,
            seals.key("store", user_id),
            name="madoguchi bridges",
        )

    async def start(
        self, heard: Heard, case_over: Callable[[str, str], Awaitable[None]], noticed: Noticed | None = None
    ) -> None:
        async with _translated():
            await self.device.start(Login.by_appservice(self._config.as_token))

        async def on_event(room: Any, event: Any) -> None:
            if event.sender != self.user_id:
                await heard(self, room.room_id, event)

        async def after_sync(body: dict[str, Any]) -> None:
            for room_id, state in _case_states(body, self._config.keeper):
                if state in ("closed", "purged"):
                    await case_over(self.person, room_id)
            if noticed is not None:
                noticed(self, body)
            async with self._synced:
                self._synced.notify_all()

        # Every event: what nio cannot make sense of must not be passed over in silence.
        self.device.add_event_callback(on_event, None)
        self.device.after_sync.append(after_sync)
        self._task = asyncio.create_task(self.device.run(self._stop))

    @property
    def is_new(self) -> bool:
        """Whether the device has not taken in any sync yet: what it finds then was said before it was there."""
        return self.device.kept.load_token() is None

    async def say(self, room_id: str, content: dict[str, Any], txn_id: str, kind: str = "m.room.message") -> str:
        await self._wait_for(room_id)
        async with _translated():
            return await self.device.say(room_id, content, txn_id, kind)

    async def enter(self, room_id: str) -> None:
        """Comes into a room as soon as the keeper has invited it. Raises Unreachable where that takes too long."""
        path = f"/_matrix/client/v3/join/{quote(room_id, safe='')}"
        ends = asyncio.get_running_loop().time() + ROOM_SECONDS
        while True:
            try:
                async with _translated():
                    await self.device.call("POST", path, {})
                return
            except CaseOver:
                if asyncio.get_running_loop().time() > ends:
                    raise Unreachable from None
            try:
                async with asyncio.timeout(LOOK_AGAIN_SECONDS), self._synced:
                    await self._synced.wait()
            except TimeoutError:
                pass

    async def take_back(self, room_id: str, event_id: str, txn_id: str) -> None:
        where = "/".join(quote(part, safe="") for part in (room_id, "redact", event_id, txn_id))
        async with _translated():
            await self.device.call("PUT", f"/_matrix/client/v3/rooms/{where}", {})

    def say_soon(self, room_id: str, content: dict[str, Any], txn_id: str) -> None:
        """Says something that is not worth waiting for, or repeating after a crash."""

        async def attempt() -> None:
            try:
                await self.say(room_id, content, txn_id)
            except (CaseOver, Unreachable, Refused) as error:
                log.info("note not said", user_id=self.user_id, error=type(error).__name__)

        task = asyncio.create_task(attempt())
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def close(self) -> None:
        self._stop.set()
        for note in self._notes:
            note.cancel()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        await self.device.close()

    async def _wait_for(self, room_id: str) -> None:
        """Until the room has come with a sync, encrypted: before that, nothing may be said there."""

        def is_there() -> bool:
            room = self.device.rooms.get(room_id)
            return room is not None and bool(room.encrypted)

        try:
            async with asyncio.timeout(ROOM_SECONDS), self._synced:
                await self._synced.wait_for(is_there)
        except TimeoutError:
            if room_id in self.device.rooms:
                raise Unreachable from None
            raise CaseOver from None


class Ghosts:
    """All ghosts with a running case. One of them for one person at a time, whoever asks."""

    def __init__(
        self, pool: asyncpg.Pool, seals: Seals, config: Config, desk: Desk, channels: Channels, heard: Heard
    ) -> None:
        self._pool = pool
        self._seals = seals
        self._config = config
        self._desk = desk
        self._channels = channels
        self._heard = heard
        self._present: dict[str, DeviceGhost] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self.noticed: Noticed | None = None

    async def resume(self) -> None:
        """Brings the ghosts that are in a room back, after a start: what counsellors wrote meanwhile goes out."""
        places = asyncio.Semaphore(START_AT_ONCE)

        async def bring(person: store.Person) -> None:
            pause = 1.0
            while True:
                try:
                    async with places:
                        current = await store.get_person(self._pool, person.person)
                        if current is not None and current.room_id is not None:
                            await self.present(current)
                    return
                except (Unreachable, Refused, *store.AWAY) as error:
                    log.warning("ghost cannot come back yet", user_id=person.user_id, error=type(error).__name__)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 60)

        async with asyncio.TaskGroup() as group:
            for person in await store.list_present(self._pool):
                group.create_task(bring(person))

    async def account(self, person: store.Person) -> str:
        """The user id of the person's ghost, whose account is made the first time. Raises Unreachable, Refused."""
        async with self._lock(person.person):
            return person.user_id or await self._register(person)

    async def present(self, person: store.Person) -> DeviceGhost:
        """The person's ghost, syncing. Makes its account and device the first time. Raises Unreachable, Refused."""
        async with self._lock(person.person):
            ghost = self._present.get(person.person)
            if ghost is None:
                user_id = person.user_id or await self._register(person)
                ghost = DeviceGhost(person, user_id, self._config, self._seals)
                try:
                    await ghost.start(self._heard, self._case_over, self.noticed)
                except BaseException:
                    await ghost.close()
                    raise
                self._present[person.person] = ghost
                log.info("ghost present", user_id=user_id)
            return ghost

    async def open_case(self, person: store.Person) -> tuple[DeviceGhost, str]:
        """The person's ghost and the room of their running case; opens one where there is none."""
        ghost = await self.present(person)
        if person.case_id is not None and person.room_id is not None:
            return ghost, person.room_id
        channel = self._channels.get(person.channel_id)
        if channel is None:
            raise Unreachable
        case = await self._desk.open_case(ghost.user_id, channel.kind, channel.id)
        await store.update_person(self._pool, person.person, case_id=case.case_id, room_id=case.room_id)
        log.info("case of a ghost", user_id=ghost.user_id, case_id=case.case_id)
        return ghost, case.room_id

    async def end(self, person_name: str) -> None:
        """The ghost goes; its device rests on disk."""
        async with self._lock(person_name):
            if ghost := self._present.pop(person_name, None):
                await ghost.close()
                log.info("ghost gone", user_id=ghost.user_id)

    async def close(self) -> None:
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await asyncio.gather(*(self.end(person) for person in list(self._present)), return_exceptions=True)

    async def _register(self, person: store.Person) -> str:
        channel = self._channels.get(person.channel_id)
        if channel is None:
            raise Unreachable
        # The name on the app is nobody's business but the two who talk: the ghost is called by the end of its own id.
        name = f"{channel.network.title}の相談者 {person.person[-4:].upper()}"
        user_id = await self._desk.register(f"{channel.kind}_{person.person}", name)
        await store.update_person(self._pool, person.person, user_id=user_id)
        return user_id

    async def _case_over(self, person_name: str, room_id: str) -> None:
        person = await store.get_person(self._pool, person_name)
        if person is None or person.room_id != room_id:
            return
        await store.leave_room(self._pool, person_name, room_id)
        log.info("out of a case", user_id=person.user_id)
        # Not awaited: we are inside the very sync that `end` waits for.
        task = asyncio.create_task(self._end_if_idle(person_name))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _end_if_idle(self, person_name: str) -> None:
        person = await store.get_person(self._pool, person_name)
        if person is None or person.room_id is None:
            await self.end(person_name)

    def _lock(self, person_name: str) -> asyncio.Lock:
        return self._locks.setdefault(person_name, asyncio.Lock())


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """The device's errors in the bridge's words."""
    try:
        yield
    except DeviceRefused as refused:
        if refused.errcode in ("M_FORBIDDEN", "M_NOT_FOUND") and refused.status in (403, 404):
            raise CaseOver from None
        if refused.status < 500 and refused.errcode in ("M_EXCLUSIVE", "M_USER_DEACTIVATED", "M_TOO_LARGE"):
            raise Refused(refused.status, refused.errcode) from None
        raise Unreachable from None
    except (aiohttp.ClientError, TimeoutError, OSError, LocalProtocolError):
        raise Unreachable from None


def _case_states(body: dict[str, Any], keeper: str) -> list[tuple[str, str]]:
    """(room id, state of its case) for each room whose case says so in this sync; left rooms are closed ones."""
    rooms = body.get("rooms", {})
    found = [(room_id, "closed") for room_id in rooms.get("leave", {})]
    for room_id, room in rooms.get("join", {}).items():
        events = room.get("state", {}).get("events", []) + room.get("timeline", {}).get("events", [])
        said = [event for event in events if event.get("type") == CASE_STATE and event.get("sender") == keeper]
        if said:
            found.append((room_id, str(said[-1]["content"].get("state"))))
    return found
