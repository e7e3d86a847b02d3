"""What has just happened, told to whoever waits for it: the reading end of the stream (`storage/stream.py`).

One LISTEN connection a worker. Announcements arrive in the order of their positions and without gaps; they are taken
in one after the other, so `Hub.pos` only ever names a position up to which this worker knows everything.

Each user who syncs here has an inbox: a short list of what happened for them since, so that a woken sync knows what to
look at without asking the database. Waiters register before they read.
"""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from madoguchi import errors
from madoguchi.core.chat.alarms import Alarms
from madoguchi.core.chat.inbox import Inbox
from madoguchi.core.chat.room_cache import Rooms
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import events as stored_events
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage import stream
from madoguchi.storage.db import Database
from madoguchi.storage.events import Event

log = structlog.get_logger()

# How long an inbox that nobody reads is kept.
IDLE_SECONDS = 600
# How often the connection that listens is asked for a sign of life, and how long it may take to give one.
HEARTBEAT_SECONDS = 10


Listener = Callable[[int, str, str], Awaitable[None] | None]
# Memberships whose holders hear of everything that happens in a room.
_IN = ("join", "invite", "knock")


class Hub:
    """The reading end of the stream in this process."""

    def __init__(self, db: Database, rooms: Rooms) -> None:
        self._db = db
        self._rooms = rooms
        self._inboxes: dict[UserID, Inbox] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._resetters: list[Callable[[], None]] = []
        self._queue: asyncio.Queue[stream.Announcement | None] = asyncio.Queue()
        self._reached: list[tuple[int, asyncio.Future[None]]] = []
        self._desk: set[asyncio.Future[None]] = set()
        self._desk_pos = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._touched: set[UserID] = set()
        self._taking = 0
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._heartbeat_at = 0.0
        self.pos = 0
        self.alarms = Alarms()
        # Whether the process is stopping: nobody should begin to wait.
        self.closed = False
        # Events of this worker's own batches, by position, from their commit until they are told.
        self.pending: dict[int, Event] = {}
        self.batch_settled = asyncio.Event()
        self.batch_settled.set()

    def on(self, kind: str, listener: Listener) -> None:
        """Calls `listener(pos, key, extra)` for every note of a kind, in order, before those who wait are woken."""
        self._listeners.setdefault(kind, []).append(listener)

    def on_reset(self, resetter: Callable[[], None]) -> None:
        """Calls `resetter()` when announcements may have been missed and copies in memory are worth nothing."""
        self._resetters.append(resetter)

    async def start(self) -> None:
        """Begins to listen. Raises OSError or asyncpg.PostgresError if the database does not answer."""
        await self._connect()
        self._tasks = [
            asyncio.create_task(self._take_in(), name="hub"),
            asyncio.create_task(self._watch(), name="hub watch"),
        ]

    async def stop(self) -> None:
        """Stops listening and lets everyone who waits go on, to tell their clients so."""
        self.closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None and not self._connection.is_closed():
            await self._connection.close(timeout=2)
        self._wake_all()

    async def _connect(self) -> None:
        before = self.pos
        connection = await self._db.listen()
        await connection.add_listener(stream.CHANNEL, self._heard)
        # Listening began before this reading, so nothing lies between the position read and the first announcement.
        pos = await stream.position(connection)
        self._connection = connection
        if pos < before:
            # Another history, say of a backup that was played back: what was known of this one has not happened.
            log.warning("stream has gone back, reading afresh", at=before, now=pos)
            self.pos = self._taking = pos
            self._db.committed = 0
        self._reset(pos)

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._queue.put_nowait(stream.decode(str(payload)))

    def _reset(self, pos: int) -> None:
        self.pending.clear()
        self._rooms.drop()
        self._advance(max(pos, self.pos))
        for resetter in self._resetters:
            resetter()
        for inbox in self._inboxes.values():
            inbox.entries.clear()
            inbox.memo.clear()
            inbox.floor = self.pos
        self._desk_pos = self.pos
        self._wake_all()

    def _wake_all(self) -> None:
        for inbox in self._inboxes.values():
            inbox.wake()
        self._wake_desk()

    def _wake_desk(self) -> None:
        for waiter in self._desk:
            if not waiter.done():
                waiter.set_result(None)

    def _advance(self, pos: int) -> None:
        if pos < self.pos:
            # Read afresh in the meantime: what was being taken in is old by now.
            return
        self.pos = pos
        if self._reached:
            for wanted, waiter in self._reached:
                if wanted <= pos and not waiter.done():
                    waiter.set_result(None)
            self._reached = [(wanted, waiter) for wanted, waiter in self._reached if not waiter.done()]

    async def _watch(self) -> None:
        """Listens again when the connection is lost, and clears away inboxes that nobody reads."""
        wait = 0.1
        while True:
            await asyncio.sleep(wait)
            wait = 1.0
            self._sweep()
            if await self._is_heard():
                continue
            log.warning("stream connection lost, connecting again")
            try:
                await self._connect()
            except Exception as error:
                # Whatever it was: a worker that has stopped listening must go on trying.
                log.warning("stream is not reached yet", error=type(error).__name__)
                wait = 0.2

    async def _is_heard(self) -> bool:
        """Whether the connection still speaks: one that was cut without a word would keep silent for ever."""
        if self._connection is None or self._connection.is_closed():
            return False
        now = asyncio.get_running_loop().time()
        if now < self._heartbeat_at:
            return True
        self._heartbeat_at = now + HEARTBEAT_SECONDS
        try:
            await asyncio.wait_for(stream.position(self._connection), HEARTBEAT_SECONDS)
        except Exception as error:
            log.warning("stream connection keeps silent", error=type(error).__name__)
            self._connection.terminate()
            return False
        return True

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        # Told while this worker was listening anew, these were never asked for.
        for pos in [pos for pos in self.pending if pos <= self.pos]:
            del self.pending[pos]
        for user_id, inbox in list(self._inboxes.items()):
            if inbox.idle and now - inbox.used_at > IDLE_SECONDS:
                del self._inboxes[user_id]

    async def _take_in(self) -> None:
        while True:
            announcement = await self._queue.get()
            if announcement is None or announcement.pos <= self.pos:
                continue
            try:
                if announcement.first > self.pos + 1:
                    log.warning("stream has a gap, reading afresh", at=self.pos, next=announcement.first)
                    self._reset(announcement.first - 1)
                self._taking = announcement.pos
                await self._tell(announcement)
                if announcement.last:
                    self._advance(announcement.pos)
                    self._wake_touched()
            except Exception as error:
                # Whatever it was: nobody may sleep for ever because of it, and nothing half known may be served.
                log.error("stream could not be read, reading afresh", error=type(error).__name__)
                self._reset(announcement.pos)

    async def _tell(self, announcement: stream.Announcement) -> None:
        touched = self._touched
        fetched: dict[int, Event] | None = None
        for pos, kind, key, extra in announcement.notes:
            for listener in self._listeners.get(kind, ()):
                waiting = listener(pos, key, extra)
                if waiting is not None:
                    await waiting
            if kind == "event":
                event = self.pending.pop(pos, None)
                if event is None and announcement.origin == stream.ORIGIN + "w":
                    await self.batch_settled.wait()
                    event = self.pending.pop(pos, None)
                if event is None and self._worth_reading(key):
                    if fetched is None:
                        async with self._db.aside() as connection:
                            found = await stored_events.list_range(
                                connection, announcement.notes[0][0], announcement.pos
                            )
                        fetched = {event.pos: event for event in found}
                    event = fetched.get(pos)
                self._rooms.tell(key, event)
                await self._tell_event(pos, key, touched)
            elif kind == "receipt" and extra:
                # A private one: it concerns nobody but its user.
                self._put(extra, pos, kind, key, touched)
            elif kind in ("receipt", "typing"):
                await self._tell_room(pos, kind, key, touched)
            elif kind == "devices":
                await self._tell_devices(pos, key, extra, touched)
            elif kind == "presence":
                await self._tell_sharing(pos, kind, key, touched)
            elif kind == "desk":
                self._desk_pos = pos
                self._wake_desk()
            else:
                self._put(key, pos, kind, key, touched)

    def _worth_reading(self, room_id: RoomID) -> bool:
        return bool(self._inboxes) or self._rooms.is_wanted(room_id)

    def _put(self, user_id: UserID, pos: int, kind: str, key: str, touched: set[UserID]) -> None:
        inbox = self._inboxes.get(user_id)
        if inbox is not None:
            inbox.add(pos, kind, key)
            touched.add(user_id)

    async def _tell_event(self, pos: int, room_id: RoomID, touched: set[UserID]) -> None:
        room = await self._rooms.get(room_id) if self._inboxes else None
        for user_id, membership in room.members.items() if room is not None else ():
            # A room just read may be ahead of what is being told: who has left since then was still in it.
            if membership in _IN or (room is not None and room.member_pos(user_id) >= pos):
                self._put(user_id, pos, "event", room_id, touched)

    async def _tell_room(self, pos: int, kind: str, room_id: RoomID, touched: set[UserID]) -> None:
        room = await self._rooms.get(room_id) if self._inboxes else None
        for user_id, membership in room.members.items() if room is not None else ():
            if membership == "join":
                self._put(user_id, pos, kind, room_id, touched)

    async def _tell_devices(self, pos: int, user_id: UserID, room_id: RoomID, touched: set[UserID]) -> None:
        if not self._inboxes:
            return
        if room_id:
            # They have come or gone, which concerns that room. To ask for everybody they share a room with would make
            # each arrival dearer than the one before: the keeper is in all rooms.
            room = await self._rooms.get(room_id)
            sharing = set(room.joined()) if room is not None else set()
            for other in sharing | {user_id}:
                self._put(other, pos, "devices", user_id, touched)
        else:
            await self._tell_sharing(pos, "devices", user_id, touched)

    async def _tell_sharing(self, pos: int, kind: str, user_id: UserID, touched: set[UserID]) -> None:
        if not self._inboxes:
            return
        async with self._db.aside() as connection:
            sharing = await stored_rooms.list_shared_users(connection, user_id)
        for other in sharing | {user_id}:
            self._put(other, pos, kind, user_id, touched)

    def _wake_touched(self) -> None:
        for user_id in self._touched:
            inbox = self._inboxes.get(user_id)
            if inbox is not None:
                inbox.wake()
        self._touched.clear()

    def inbox(self, user_id: UserID) -> Inbox:
        """The user's inbox; a new one is complete from the present position on."""
        inbox = self._inboxes.get(user_id)
        if inbox is None:
            # Part of the announcement that is being taken in may have passed by already: it counts as old, and whoever
            # waits is woken at its end to look.
            inbox = self._inboxes[user_id] = Inbox(max(self.pos, self._taking))
            if self._taking > self.pos:
                self._touched.add(user_id)
        inbox.used_at = asyncio.get_running_loop().time()
        return inbox

    async def reach(self, pos: int, timeout: float = 5.0) -> bool:
        """Waits until this worker knows everything up to a position; whether it does within `timeout` seconds."""
        if self.pos >= pos:
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reached.append((pos, waiter))
        done, _ = await asyncio.wait((waiter,), timeout=timeout)
        waiter.cancel()
        return bool(done)

    async def arrives(self, pos: int, committed: int) -> bool:
        """Waits until this worker knows all that a client does who shows a position, and what its own clients have been
        answered up to `committed`. False for a position of another history, say of before a backup was played back."""
        ours = True
        if pos > self.pos:
            async with self._db.aside() as connection:
                ours = pos <= await stream.position(connection)
        await self.reach(max(committed, pos if ours else 0))
        return ours

    async def wait_for_user(self, user_id: UserID, after: int, timeout: float) -> None:
        """Returns when something has happened for a user after a position, or after `timeout` seconds."""
        inbox = self.inbox(user_id)
        waiter = inbox.register()
        try:
            news = inbox.since(after)
            if news is None or news:
                return
            await asyncio.wait((waiter,), timeout=timeout)
        finally:
            waiter.cancel()
            inbox.unregister(waiter)

    @property
    def desk_pos(self) -> int:
        """The position of the newest change of the desk."""
        return self._desk_pos

    async def wait_for_desk(self, after: int, timeout: float) -> int:
        """Returns when something of the desk (a case, a queue, a channel) has changed after a position, or after
        `timeout` seconds. Gives the position to wait after next time. Raises Unavailable while the process stops."""
        if self._desk_pos <= after:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._desk.add(waiter)
            try:
                if self._desk_pos <= after:
                    await asyncio.wait((waiter,), timeout=timeout)
            finally:
                waiter.cancel()
                self._desk.discard(waiter)
        if self.closed:
            raise errors.Unavailable("The server is stopping. Please try again.")
        return self._desk_pos
