"""What a client wants to be sent (client-server API, "Filtering"): read once, asked for each event."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat.push_conditions import whole_match
from madoguchi.core.chat.shapes import check_depth
from madoguchi.ids import RoomID, UserID, is_user_id
from madoguchi.storage import filters as storage
from madoguchi.storage.db import Tx

DEFAULT_LIMIT = 10
MOST_EVENTS = 1_000
_LARGEST = 64 * 1024


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Events by sender and type; absent lists let everything pass, `types` may have `*`."""

    limit: int | None = None
    senders: list[str] | None = None
    not_senders: list[str] = []
    types: list[str] | None = None
    not_types: list[str] = []

    def wants(self, event_type: str, sender: str) -> bool:
        """Whether an event of this type and sender passes."""
        if sender in self.not_senders or (self.senders is not None and sender not in self.senders):
            return False
        if self.not_types and _any_matches(tuple(self.not_types), event_type):
            return False
        return self.types is None or _any_matches(tuple(self.types), event_type)

    @property
    def is_open(self) -> bool:
        """Whether every type and sender passes."""
        return self.types is None and self.senders is None and not self.not_types and not self.not_senders

    @property
    def most(self) -> int:
        """How many events at most."""
        return DEFAULT_LIMIT if self.limit is None else min(self.limit, MOST_EVENTS)


class RoomEventFilter(EventFilter, frozen=True, kw_only=True):
    """Events of rooms. contains_url: only with (or without) a `url` in their content."""

    rooms: list[str] | None = None
    not_rooms: list[str] = []
    contains_url: bool | None = None
    lazy_load_members: bool = False
    include_redundant_members: bool = False
    unread_thread_notifications: bool = False
    related_by_rel_types: list[str] | None = None
    related_by_senders: list[str] | None = None

    def wants_room(self, room_id: RoomID) -> bool:
        """Whether events of this room can pass at all."""
        return room_id not in self.not_rooms and (self.rooms is None or room_id in self.rooms)

    def wants_content(self, content: dict[str, Any]) -> bool:
        """Whether an event with this content passes, as far as that depends on it."""
        return self.contains_url is None or isinstance(content.get("url"), str) == self.contains_url

    @property
    def is_open(self) -> bool:
        return super().is_open and self.contains_url is None and self.rooms is None and not self.not_rooms


class RoomFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What to send of rooms, part by part."""

    rooms: list[str] | None = None
    not_rooms: list[str] = []
    include_leave: bool = False
    timeline: RoomEventFilter = RoomEventFilter()
    state: RoomEventFilter = RoomEventFilter()
    ephemeral: RoomEventFilter = RoomEventFilter()
    account_data: RoomEventFilter = RoomEventFilter()

    def wants_room(self, room_id: RoomID) -> bool:
        return room_id not in self.not_rooms and (self.rooms is None or room_id in self.rooms)


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """A filter as POST /filter and `?filter=` of sync take it."""

    event_format: str = "client"
    event_fields: list[str] | None = None
    room: RoomFilter = RoomFilter()
    presence: EventFilter = EventFilter()
    account_data: EventFilter = EventFilter()

    @property
    def lazy_load_members(self) -> bool:
        """Whether only the members who speak are to be sent. Clients set it for state, older ones for the timeline."""
        return self.room.state.lazy_load_members or self.room.timeline.lazy_load_members


EVERYTHING = Filter()
_decoder = msgspec.json.Decoder(Filter)
_room_event_decoder = msgspec.json.Decoder(RoomEventFilter)


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> Callable[[str], bool]:
    # Only `*` means something in a filter; `?` stands for itself, and case counts.
    if "*" not in pattern:
        return lambda value: value == pattern
    if pattern.index("*") == len(pattern) - 1:
        return lambda value: value.startswith(pattern[:-1])
    matches = whole_match(pattern.replace("?", "\0"), ignore_case=False)
    return lambda value: matches(value.replace("?", "\0"))


@lru_cache(maxsize=4096)
def _any_matches(patterns: tuple[str, ...], event_type: str) -> bool:
    return any(_matcher(pattern)(event_type) for pattern in patterns)


def parse(filter_json: bytes | str) -> Filter:
    """Reads a filter. Raises NotJson, BadJson or Invalid."""
    if len(filter_json) > _LARGEST:
        raise errors.TooLarge("A filter can have 64 KiB at most.")
    try:
        parsed = _decoder.decode(filter_json)
    except msgspec.ValidationError:
        raise errors.BadJson("The filter has the wrong shape.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise errors.NotJson("The filter is not JSON.") from None
    _check(parsed)
    return parsed


def parse_room_event_filter(filter_json: bytes | str) -> RoomEventFilter:
    """Reads the `filter` of messages and context. Raises NotJson, BadJson or Invalid."""
    try:
        parsed = _room_event_decoder.decode(filter_json)
    except msgspec.ValidationError:
        raise errors.BadJson("The filter has the wrong shape.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise errors.NotJson("The filter is not JSON.") from None
    _check_events(parsed)
    return parsed


def _check(parsed: Filter) -> None:
    if parsed.event_format not in ("client", "federation"):
        raise errors.Invalid("The event format must be client or federation.")
    room = parsed.room
    _check_rooms(room.rooms, room.not_rooms)
    for part in (room.timeline, room.state, room.ephemeral, room.account_data):
        _check_events(part)
    for other in (parsed.presence, parsed.account_data):
        _check_events(other)


def _check_events(part: EventFilter) -> None:
    if part.limit is not None and part.limit < 0:
        raise errors.Invalid("A limit can't be negative.")
    for user_id in (*(part.senders or ()), *part.not_senders):
        if not is_user_id(user_id):
            raise errors.Invalid("A sender in a filter must be a user id.")
    if isinstance(part, RoomEventFilter):
        _check_rooms(part.rooms, part.not_rooms)


def _check_rooms(rooms: list[str] | None, not_rooms: list[str]) -> None:
    for room_id in (*(rooms or ()), *not_rooms):
        if not room_id.startswith("!"):
            raise errors.Invalid("A room in a filter must be a room id.")


async def define(tx: Tx, user_id: UserID, definition: dict[str, Any]) -> str:
    """Keeps a filter for the user and gives its id; the same one gets the same id."""
    check_depth(definition)
    encoded = msgspec.json.encode(definition, order="deterministic")
    parse(encoded)
    return str(await storage.insert_filter(tx, user_id, encoded))


async def get_definition(tx: Tx, user_id: UserID, filter_id: str) -> bytes:
    """A filter as it was given. Raises NotFound."""
    if filter_id.isascii() and filter_id.isdigit() and len(filter_id) <= 18:
        found = await storage.get_filter(tx, user_id, int(filter_id))
        if found is not None:
            return found
    raise errors.NotFound("There is no such filter.")


async def get(tx: Tx, user_id: UserID, filter_or_id: str | None) -> Filter:
    """The filter that a sync names: an id, the JSON itself, or nothing. Raises Invalid for an id that is unknown."""
    if not filter_or_id:
        return EVERYTHING
    if filter_or_id.lstrip().startswith("{"):
        return inline(filter_or_id)
    try:
        return _parsed_stored(await get_definition(tx, user_id, filter_or_id))
    except errors.NotFound:
        raise errors.Invalid("There is no such filter.") from None


@lru_cache(maxsize=256)
def inline(filter_json: str) -> Filter:
    """The same as `parse`, remembered: clients send the same filter with each sync."""
    return parse(filter_json)


@lru_cache(maxsize=1024)
def _parsed_stored(filter_json: bytes) -> Filter:
    return _decoder.decode(filter_json)
