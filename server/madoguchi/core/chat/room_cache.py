"""What a worker keeps in memory of the rooms it serves: current state, members, and the newest events.

Everything here is a copy that can be dropped at any time. It is as new as `Hub.pos`: the hub tells of each event, and
events of other workers are read from the database when they are told of.
"""

import sys
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from madoguchi.ids import RoomID, UserID
from madoguchi.storage import events as stored_events
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.db import Database
from madoguchi.storage.events import Event

# How many of a room's newest events stay in memory (fewer where they are large), with how many of them it begins (what
# most clients ask for first, and some more: who comes first to many rooms waits for all of them), and how many rooms.
RING = 60
RING_READ = 30
RING_BYTES = 256 * 1024
MOST_ROOMS = 4096

_HasContent = msgspec.defstruct("_HasContent", [("content", dict[str, Any], msgspec.field(default_factory=dict))])
_content_decoder = msgspec.json.Decoder(_HasContent)


def content_of(event: Event) -> dict[str, Any]:
    """The content of an event, decoded."""
    content: dict[str, Any] = _content_decoder.decode(event.body).content  # type: ignore[attr-defined]
    return content


class Room:
    """One room as this worker knows it.

    state: the current state events by (type, state key); members: membership by user id
    ring: the newest events, oldest first; floor: all events after this position are in the ring
    head: the position of the newest event known
    """

    __slots__ = (
        "_contents",
        "_size",
        "floor",
        "head",
        "kind",
        "members",
        "ring",
        "room_id",
        "state",
        "state_pos",
        "version",
    )

    def __init__(self, stored: "stored_rooms.Room | Room") -> None:
        self.room_id: RoomID = stored.room_id
        self.version: str = stored.version
        self.kind: str = stored.kind
        self.state_pos = 0
        self.state: dict[tuple[str, str], Event] = {}
        self.members: dict[UserID, str] = {}
        self.ring: deque[Event] = deque()
        self.floor = 0
        self.head = 0
        self._size = 0
        self._contents: dict[tuple[str, str], dict[str, Any]] = {}

    def content(self, type_: str, state_key: str = "") -> dict[str, Any] | None:
        """The content of a piece of current state, or None."""
        key = (type_, state_key)
        known = self._contents.get(key)
        if known is None:
            event = self.state.get(key)
            if event is None:
                return None
            known = self._contents[key] = content_of(event)
        return known

    def member_content(self, user_id: UserID) -> dict[str, Any]:
        """The content of a user's membership event; empty if there is none."""
        # Decoded each time: a room of thousands would keep thousands, and next to nobody asks.
        event = self.state.get(("m.room.member", user_id))
        return {} if event is None else content_of(event)

    @property
    def encrypted(self) -> bool:
        """Whether the room has ever been set to be encrypted (which can't be undone)."""
        return ("m.room.encryption", "") in self.state

    def member_pos(self, user_id: UserID) -> int:
        """The position of a user's membership event; 0 for somebody who has none."""
        event = self.state.get(("m.room.member", user_id))
        return event.pos if event is not None else 0

    def joined(self) -> list[UserID]:
        """The joined members."""
        return [user for user, membership in self.members.items() if membership == "join"]

    def as_of(self, state: Iterable[Event]) -> "Room":
        """The same room with this state and no events: as somebody knows it who has left."""
        past = Room(self)
        for event in state:
            past.apply_state(event)
        return past

    def apply_state(self, event: Event) -> None:
        """Makes a state event current."""
        key = (event.type, event.state_key or "")
        self.state[key] = event
        self._contents.pop(key, None)
        self.state_pos = max(self.state_pos, event.pos)
        if event.type == "m.room.member":
            self.members[key[1]] = sys.intern(str(content_of(event).get("membership", "leave")))

    def add(self, event: Event) -> None:
        """Takes in the next event of the room."""
        if event.pos <= self.head:
            return
        self.remember(event)
        if event.state_key is not None:
            self.apply_state(event)

    def remember(self, event: Event) -> None:
        """Puts the newest event into the ring, and out of it what it then holds too much."""
        self.ring.append(event)
        self.head = event.pos
        self._size += len(event.body)
        while len(self.ring) > RING or (self._size > RING_BYTES and len(self.ring) > 1):
            oldest = self.ring.popleft()
            self.floor = oldest.pos
            self._size -= len(oldest.body)

    def since(self, pos: int) -> list[Event] | None:
        """The events after a position; None where the ring does not reach back so far."""
        if pos < self.floor:
            return None
        found: list[Event] = []
        for event in reversed(self.ring):
            if event.pos <= pos:
                break
            found.append(event)
        found.reverse()
        return found


class Rooms:
    """The rooms in memory, those used longest ago dropped first."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._rooms: OrderedDict[RoomID, Room] = OrderedDict()
        # What the hub tells of rooms while they are being read, for each reading under way.
        self._loads: list[dict[RoomID, list[Event | None]]] = []

    def peek(self, room_id: RoomID) -> Room | None:
        """The room, if it is in memory."""
        room = self._rooms.get(room_id)
        if room is not None:
            self._rooms.move_to_end(room_id)
        return room

    def is_wanted(self, room_id: RoomID) -> bool:
        """Whether somebody here has the room in memory, or is just reading it."""
        return room_id in self._rooms or any(room_id in told for told in self._loads)

    async def get(self, room_id: RoomID) -> Room | None:
        """The room, or None if there is none."""
        room = self.peek(room_id)
        if room is None:
            room = (await self.get_many([room_id])).get(room_id)
        return room

    async def get_many(self, room_ids: Sequence[RoomID]) -> dict[RoomID, Room]:
        """Those of the rooms that exist; the ones not in memory are read with three statements in all."""
        absent: set[RoomID] = set()
        # Asked again after each reading: a room that was here may have been dropped in the meantime.
        while missing := [room_id for room_id in room_ids if room_id not in self._rooms and room_id not in absent]:
            told: dict[RoomID, list[Event | None]] = {room_id: [] for room_id in missing}
            self._loads.append(told)
            try:
                loaded = await self._load(missing)
            finally:
                self._loads = [load for load in self._loads if load is not told]
            # What was told of while the database was read may be missing in what was read. No waiting from here on.
            absent.update(set(missing) - loaded.keys())
            for room_id, room in loaded.items():
                news = [event for event in told[room_id] if event is not None]
                if len(news) < len(told[room_id]) or any(event.type == "m.room.redaction" for event in news):
                    continue
                for event in news:
                    room.add(event)
                self._rooms.setdefault(room_id, room)
        found = {room_id: known for room_id in room_ids if (known := self.peek(room_id)) is not None}
        while len(self._rooms) > max(MOST_ROOMS, len(room_ids)):
            self._rooms.popitem(last=False)
        return found

    async def _load(self, room_ids: Sequence[RoomID]) -> dict[RoomID, Room]:
        # One snapshot for the three reads: state and events must speak of the same moment.
        async with self._db.aside() as tx, tx.transaction(isolation="repeatable_read", readonly=True):
            stored = await stored_rooms.list_rooms(tx, room_ids)
            state = await stored_events.list_current_state(tx, room_ids)
            newest = await stored_events.list_newest(tx, room_ids, 2**62, RING_READ)
        rooms = {room.room_id: Room(room) for room in stored}
        for event in state:
            rooms[event.room_id].apply_state(event)
        # Much of a quiet room's newest is its state: one object is enough for both.
        known = {event.pos: event for event in state}
        for event in newest:
            rooms[event.room_id].remember(known.get(event.pos, event))
        for room in rooms.values():
            if len(room.ring) == RING_READ:
                room.floor = max(room.floor, room.ring[0].pos - 1)
        return rooms

    def tell(self, room_id: RoomID, event: Event | None) -> None:
        """The hub's word that a room has a new event: the event itself where it is at hand, else the room is dropped.

        A redaction drops the room too: what it redacts has changed in the database.
        """
        for told in self._loads:
            if room_id in told:
                told[room_id].append(event)
        room = self._rooms.get(room_id)
        if room is None:
            return
        if event is None or event.type == "m.room.redaction":
            del self._rooms[room_id]
        else:
            room.add(event)

    def drop(self, room_ids: Iterable[RoomID] | None = None) -> None:
        """Forgets some rooms, or all; those that are just being read are read again."""
        for told in self._loads:
            for room_id in told if room_ids is None else told.keys() & set(room_ids):
                told[room_id].append(None)
        if room_ids is None:
            self._rooms.clear()
        else:
            for room_id in room_ids:
                self._rooms.pop(room_id, None)
