"""Group commit: one writer a worker takes the messages that have gathered, stores them as one batch, commits once.

Each message is authorised against the room's state in memory; the database refuses the batch when that state has moved
on since, and then it is looked at again. A sender is answered after the commit that holds their event.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import asyncpg
import msgspec
import structlog

from madoguchi import errors
from madoguchi.clock import Clock
from madoguchi.core.chat import auth_rules, events, room_versions
from madoguchi.core.chat.hub import Hub
from madoguchi.core.chat.room_cache import Room, Rooms
from madoguchi.ids import EventID, RoomID, UserID
from madoguchi.storage import stream
from madoguchi.storage.db import Database
from madoguchi.storage.events import Event
from madoguchi.storage.messages import SentBefore, StateMovedOn, append_messages, list_sent

log = structlog.get_logger()

BATCH = 128
# How often a batch is tried again when its rooms keep changing or the database is away (about five seconds in all).
_TRIES = 40
_RECENT = 4096


class _Item:
    __slots__ = ("content", "done", "event", "room", "state_pos")

    def __init__(self, event: Event, content: Mapping[str, Any], room: Room) -> None:
        self.event = event
        self.content = content
        self.room = room
        self.state_pos = room.state_pos
        self.done: asyncio.Future[EventID] = asyncio.get_running_loop().create_future()


class Writer:
    """The one place where this worker's messages enter the stream."""

    def __init__(self, db: Database, hub: Hub, rooms: Rooms, clock: Clock) -> None:
        self._db = db
        self._hub = hub
        self._rooms = rooms
        self._clock = clock
        self._gathered: list[_Item] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        # Sends under way or just done, so that an impatient client's second request waits for the first one's answer.
        self._sent: OrderedDict[tuple[UserID, str, RoomID, str, str], asyncio.Future[EventID]] = OrderedDict()

    def nonce(self) -> str:
        """A text that no other event of this server has had."""
        return secrets.token_urlsafe(12)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="writer")

    async def stop(self) -> None:
        """Refuses what has not been committed; its senders will try again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for item in self._gathered:
            if not item.done.done():
                item.done.set_exception(errors.Unavailable("The server is stopping. Please try again."))
        if self._connection is not None and not self._connection.is_closed():
            await self._connection.close(timeout=2)

    async def send(
        self,
        room_id: RoomID,
        sender: UserID,
        type_: str,
        content: Mapping[str, Any],
        device_id: str,
        txn_id: str,
    ) -> EventID:
        """Sends a message event; returns when it is on disk.

        The same transaction id of the same device, room and type is answered with the first event, whichever worker
        took it and however long ago (as long as the transactions are kept). Raises NotAllowed, BadJson, TooLarge,
        Unavailable.
        """
        key = (sender, device_id, room_id, type_, txn_id)
        under_way = self._under_way(key)
        if under_way is None:
            room = await self._judged(room_id, sender, type_, content)
            # Whoever judged this may have had to wait, and the same request may have come again meanwhile.
            under_way = self._under_way(key)
        if under_way is not None:
            return await asyncio.shield(under_way)
        event = events.build(
            room_versions.VERSIONS[room.version], room_id, sender, type_, content, self._clock.ms(),
            nonce=self.nonce(), device_id=device_id, txn_id=txn_id,
        )  # fmt: skip
        item = _Item(event, content, room)
        self._sent[key] = item.done
        if len(self._sent) > _RECENT:
            self._sent.popitem(last=False)
        self._gathered.append(item)
        self._news.set()
        # Shielded: a client that hangs up does not take back what others of its batch wait for.
        return await asyncio.shield(item.done)

    def _under_way(self, key: tuple[UserID, str, RoomID, str, str]) -> "asyncio.Future[EventID] | None":
        known = self._sent.get(key)
        return None if known is None or (known.done() and known.exception() is not None) else known

    async def _judged(self, room_id: RoomID, sender: UserID, type_: str, content: Mapping[str, Any]) -> Room:
        """The room, where the sender may send this. Nobody is refused by an old copy: another worker may just have let
        them in."""
        room = self._rooms.peek(room_id)
        if room is not None:
            try:
                check_message(room, sender, type_, content)
            except errors.NotAllowed:
                await self._catch_up()
            else:
                return room
        room = await self._rooms.get(room_id)
        if room is None:
            raise errors.NotAllowed("You are not in this room.")
        check_message(room, sender, type_, content)
        return room

    async def _catch_up(self) -> None:
        async with self._db.aside() as connection:
            now = await stream.position(connection)
        await self._hub.reach(now)

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            batch, self._gathered = self._gathered[:BATCH], self._gathered[BATCH:]
            if not self._gathered:
                self._news.clear()
            self._hub.batch_settled.clear()
            try:
                await self._commit_or_fail(batch)
            except asyncio.CancelledError:
                _fail(batch, errors.Unavailable("The server is stopping. Please try again."))
                raise
            finally:
                self._hub.batch_settled.set()

    async def _commit_or_fail(self, batch: list[_Item]) -> None:
        try:
            await self._commit(batch)
        except Exception as error:
            log.error("a batch could not be stored", size=len(batch), error=type(error).__name__)
            if len(batch) > 1:
                # One message that the database does not take is its sender's trouble, not that of all the others.
                for item in batch:
                    if not item.done.done():
                        await self._commit_or_fail([item])
            _fail(batch, errors.Unavailable("The message could not be stored. Please try again."))

    async def _commit(self, batch: list[_Item]) -> None:
        for _ in range(_TRIES):
            if not batch:
                return
            try:
                base = await append_messages(
                    await self._connected(), stream.ORIGIN + "w",
                    [item.event for item in batch], [item.state_pos for item in batch],
                )  # fmt: skip
            except StateMovedOn:
                batch = await self._judged_again(batch)
            except SentBefore as before:
                batch = await self._answered(batch, before.ordinals)
            except (
                OSError,
                asyncpg.PostgresConnectionError,
                asyncpg.InterfaceError,
                asyncpg.OperatorInterventionError,
            ):
                # Whether it was committed is not known. Trying again is safe: the transaction ids tell.
                self._connection = None
                self._hub.batch_settled.set()
                await asyncio.sleep(0.15)
                self._hub.batch_settled.clear()
            else:
                for number, item in enumerate(batch, base + 1):
                    self._hub.pending[number] = msgspec.structs.replace(item.event, pos=number, nonce=None)
                self._db.committed = max(self._db.committed, base + len(batch))
                for item in batch:
                    if not item.done.done():
                        item.done.set_result(item.event.event_id)
                return
        _fail(batch, errors.Unavailable("The message could not be stored. Please try again."))

    async def _connected(self) -> "asyncpg.Connection[asyncpg.Record]":
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._db.url, server_settings={"application_name": "madoguchi writer"}
            )
        return self._connection

    async def _judged_again(self, batch: list[_Item]) -> list[_Item]:
        # The hub can't go on while it waits for this batch; nothing of it has been committed.
        self._hub.batch_settled.set()
        await self._catch_up()
        self._hub.batch_settled.clear()
        left: list[_Item] = []
        for item in batch:
            room = await self._rooms.get(item.event.room_id)
            try:
                if room is None:
                    raise errors.NotAllowed("You are not in this room.")
                check_message(room, item.event.sender, item.event.type, item.content)
            except errors.Refused as refused:
                _fail([item], refused)
            else:
                item.room, item.state_pos = room, room.state_pos
                left.append(item)
        return left

    async def _answered(self, batch: list[_Item], ordinals: list[int]) -> list[_Item]:
        async with self._db.aside() as connection:
            found = await list_sent(connection, [batch[number].event for number in ordinals])
        known = {ordinals[place]: event_id for place, event_id in found.items()}
        left: list[_Item] = []
        for number, item in enumerate(batch):
            if number in known:
                if not item.done.done():
                    item.done.set_result(known[number])
            elif number in ordinals:
                # Twice in this batch: its turn comes when the first one is stored.
                self._gathered.append(item)
                self._news.set()
            else:
                left.append(item)
        return left


def _fail(batch: list[_Item], error: errors.Refused) -> None:
    for item in batch:
        if not item.done.done():
            item.done.set_exception(error)
            # Whoever asked may have gone; an exception that nobody fetches is no news.
            item.done.exception()


def check_message(room: Room, sender: UserID, type_: str, content: Mapping[str, Any]) -> None:
    """Raises NotAllowed unless `sender` may send this message into the room as it stands."""
    if room.members.get(sender) != "join":
        raise errors.NotAllowed("You are not in this room.")
    if room.kind != "plain" and not events.is_closed(type_, content):
        raise errors.NotAllowed("This room only takes encrypted messages.")
    version = room_versions.VERSIONS[room.version]
    creator = room.state[("m.room.create", "")].sender
    auth_rules.check_event(version, room.content, creator, sender, type_, None, content)
