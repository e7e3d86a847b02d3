"""What a sliding sync request asks for, in one shape for the unstable and the stable path (MSC4186, "Request Body")."""

import re
from functools import lru_cache

import msgspec

from madoguchi import errors
from madoguchi.core.chat.filters import Filter, RoomEventFilter, RoomFilter
from madoguchi.ids import RoomID, UserID

MOST_LISTS = 100
MOST_SUBSCRIPTIONS = 100
MOST_TIMELINE = 200
ME = "$ME"
MEMBER = "m.room.member"
_OPAQUE = re.compile(r"[0-9A-Za-z._~-]{1,255}")

# (type, state key) of state events; None in a place means any.
Element = tuple[str | None, str | None]


class Required(msgspec.Struct, frozen=True, array_like=True):
    """Which state to send: what `include` matches and `exclude` does not.

    lazy: members as they speak; besides them only those whom `include` names by their state key.
    """

    include: tuple[Element, ...] = ()
    exclude: tuple[Element, ...] = ()
    lazy: bool = False

    def wants(self, type_: str, state_key: str, user_id: UserID) -> bool:
        """Whether a state event is asked for by itself. `$ME` in a state key is the user who asks."""
        named = self.lazy and type_ == MEMBER
        return _matches(self.include, type_, state_key, user_id, named) and not _matches(
            self.exclude, type_, state_key, user_id
        )

    @property
    def everybody(self) -> bool:
        """Whether all members are asked for."""
        of_members = (None, MEMBER)
        return (
            not self.lazy
            and any(type_ in of_members and key is None for type_, key in self.include)
            and not any(type_ in of_members for type_, _ in self.exclude)
        )


def _matches(elements: tuple[Element, ...], type_: str, state_key: str, user_id: UserID, named: bool = False) -> bool:
    for wanted_type, wanted_key in elements:
        if wanted_type is not None and wanted_type != type_:
            continue
        if wanted_key is None:
            if not named:
                return True
        elif wanted_key == state_key or (wanted_key == ME and state_key == user_id):
            return True
    return False


class Config(msgspec.Struct, frozen=True):
    """What to send of a room. limit: events of the timeline at most; required: any of them is enough."""

    limit: int
    required: tuple[Required, ...]

    def wants(self, type_: str, state_key: str, user_id: UserID) -> bool:
        return any(required.wants(type_, state_key, user_id) for required in self.required)

    @property
    def lazy(self) -> bool:
        """Whether members are to be sent as they speak, and not all of them anyway."""
        return any(each.lazy for each in self.required) and not any(each.everybody for each in self.required)

    def joined(self, other: "Config") -> "Config":
        """Both together ("Combining room configs")."""
        more = tuple(required for required in other.required if required not in self.required)
        return Config(max(self.limit, other.limit), self.required + more)


class Filters(msgspec.Struct, frozen=True):
    """Which rooms a list is of; None lets all pass. Rooms without a type are of type None."""

    is_dm: bool | None = None
    is_encrypted: bool | None = None
    is_invited: bool | None = None
    spaces: tuple[RoomID, ...] | None = None
    room_types: tuple[str | None, ...] | None = None
    not_room_types: tuple[str | None, ...] | None = None
    tags: tuple[str, ...] | None = None
    not_tags: tuple[str, ...] | None = None

    @property
    def of_tags(self) -> bool:
        """Whether the user's tags decide."""
        return self.tags is not None or self.not_tags is not None


class List(msgspec.Struct, frozen=True):
    """A sliding window. ranges: places in the sorted list, both ends included; None for the whole list."""

    config: Config
    ranges: tuple[tuple[int, int], ...] | None = None
    filters: Filters = Filters()

    def has(self, place: int) -> bool:
        return self.ranges is None or any(first <= place <= last for first, last in self.ranges)


class Extension(msgspec.Struct, frozen=True):
    """lists, rooms: of which lists and subscriptions it is to speak; None of all. since, limit: to-device only."""

    lists: tuple[str, ...] | None = None
    rooms: tuple[RoomID, ...] | None = None
    since: str | None = None
    limit: int | None = None


class SlidingAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A request. pos: from the answer before, None for the first; timeout: seconds; stable: names as in /v4/sync."""

    conn_id: str
    pos: str | None
    timeout: float
    stable: bool
    lists: dict[str, List]
    subscriptions: dict[RoomID, Config]
    extensions: dict[str, Extension]

    def check(self) -> None:
        """Raises Invalid for what is too much or can't be."""
        if len(self.lists) > MOST_LISTS:
            raise errors.Invalid(f"There can be {MOST_LISTS} lists at most.")
        if self.stable:
            if len(self.subscriptions) > MOST_SUBSCRIPTIONS:
                raise errors.Invalid(f"There can be {MOST_SUBSCRIPTIONS} subscriptions at most.")
            if not all(_OPAQUE.fullmatch(name) for name in self.lists):
                raise errors.Invalid("The name of a list has letters, digits and ._~- only.")
        if len(self.conn_id) > 64 or "\0" in self.conn_id:
            raise errors.Invalid("A conn_id has 64 characters at most.")
        for each in self.lists.values():
            if any(first < 0 or last < first for first, last in each.ranges or ()):
                raise errors.Invalid("A range goes from its first to its last place, both 0 or more.")
        configs = [*(each.config for each in self.lists.values()), *self.subscriptions.values()]
        if any(config.limit < 0 for config in configs):
            raise errors.Invalid("A timeline_limit is 0 or more.")


@lru_cache(maxsize=256)
def filter_of(limit: int) -> Filter:
    """A filter of /v3/sync whose timelines have at most so many events."""
    return Filter(room=RoomFilter(timeline=RoomEventFilter(limit=min(limit, MOST_TIMELINE))))
