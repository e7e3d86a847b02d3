"""What a push rule asks of an event (client-server API v1.19, "Conditions"), compiled to functions.

Everything here takes time linear in the length of the value, whatever the pattern: patterns come from one user and
the texts they are held against from another.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec

from madoguchi.ids import localpart_of
from madoguchi.storage.default_push_rules import OWNER

Event: TypeAlias = dict[str, Any]

_WORD = "A-Za-z0-9_"
_STARTS_WORD = f"(?<![{_WORD}])"
_ENDS_WORD = f"(?![{_WORD}])"
_FLAGS = re.IGNORECASE | re.DOTALL
_COUNT = re.compile(r"(==|<=|>=|<|>)?([0-9]{1,18})")
_MISSING = object()


class RoomFacts(msgspec.Struct, frozen=True):
    """What push rules may ask of the room, and of whom they belong to.

    member_count: joined members. power_levels: content of m.room.power_levels, None without such an event.
    display_name: the owner's in this room. creators: who created the room; in room versions from 12 on their power has
    no bound (`creators_rule`), in older ones it is 100 while there is no power levels event.
    owner: whose rules are asked; rules that name OWNER mean them.
    """

    member_count: int
    power_levels: Event | None = None
    display_name: str | None = None
    creators: frozenset[str] = frozenset()
    creators_rule: bool = False
    owner: str = ""


Condition: TypeAlias = Callable[[Event, RoomFacts], bool]


def split_path(key: str) -> list[str]:
    r"""A dot-separated property path (appendices): `\.` is a dot inside a name and `\\` a backslash."""
    parts = [""]
    escaped = False
    for char in key:
        if escaped:
            parts[-1] += char if char in ".\\" else "\\" + char
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ".":
            parts.append("")
        else:
            parts[-1] += char
    if escaped:
        parts[-1] += "\\"
    return parts


def look_up(event: Event, path: list[str]) -> Any:
    """The value at a path, or a private marker that equals nothing."""
    value: Any = event
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return _MISSING
        value = value[name]
    return value


def _segment(text: str) -> str:
    return "".join("." if char == "?" else re.escape(char) for char in text)


def whole_match(pattern: str, *, ignore_case: bool = True) -> Callable[[str], bool]:
    """Whether a glob (`*` any run, `?` any one character) matches the whole of a value."""
    flags = _FLAGS if ignore_case else re.DOTALL
    segments = re.split(r"\*+", pattern)
    if len(segments) == 1:
        only = re.compile(_segment(pattern), flags)
        return lambda value: only.fullmatch(value) is not None
    first, *middle, last = (re.compile(_segment(part), flags) for part in segments)
    last_length = len(segments[-1])

    def match(value: str) -> bool:
        start = first.match(value)
        if start is None:
            return False
        at = start.end()
        # The leftmost place for each piece leaves the most room for the next: no need to try others.
        for piece in middle:
            found = piece.search(value, at)
            if found is None:
                return False
            at = found.end()
        return len(value) - last_length >= at and last.match(value, len(value) - last_length) is not None

    return match


# Not kept for each person: everybody has one for their own name, and where all is encrypted nobody ever asks it.
@lru_cache(maxsize=512)
def words_match(pattern: str) -> Callable[[str], bool]:
    """Whether a glob matches some part of a text that begins and ends at word boundaries, without regard to case."""
    segments = re.split(r"\*+", pattern)
    if len(segments) == 1:
        only = re.compile(_STARTS_WORD + _segment(pattern) + _ENDS_WORD, _FLAGS)
        return lambda value: only.search(value) is not None
    # A `*` at an end reaches the value's own end, which is a boundary.
    pieces = [_segment(part) for part in segments]
    if pieces[0]:
        pieces[0] = _STARTS_WORD + pieces[0]
    if pieces[-1]:
        pieces[-1] += _ENDS_WORD
    compiled = [re.compile(piece, _FLAGS) for piece in pieces if piece]

    def match(value: str) -> bool:
        at = 0
        for piece in compiled:
            found = piece.search(value, at)
            if found is None:
                return False
            at = found.end()
        return True

    return match


def body_match(pattern: str) -> Callable[[str, RoomFacts], bool]:
    """A content rule's pattern, asked of a message's body."""
    if pattern == localpart_of(OWNER):
        return lambda body, room: words_match(localpart_of(room.owner))(body)
    return lambda body, room: words_match(pattern)(body)


def _owner_match(path: list[str]) -> Condition:
    def check(event: Event, room: RoomFacts) -> bool:
        value = look_up(event, path)
        return isinstance(value, str) and value.lower() == room.owner.lower()

    return check


def event_match(key: str, pattern: str) -> Condition:
    path = split_path(key)
    if pattern == OWNER:
        return _owner_match(path)
    matches = words_match(pattern) if key == "content.body" else whole_match(pattern)

    def check(event: Event, room: RoomFacts) -> bool:
        value = look_up(event, path)
        return isinstance(value, str) and matches(value)

    return check


def _same(value: Any, wanted: Any) -> bool:
    # JSON's true is not 1, which Python's == says.
    return type(value) is type(wanted) and value == wanted


def event_property_is(key: str, wanted: Any) -> Condition:
    path = split_path(key)
    return lambda event, room: _same(look_up(event, path), wanted)


def event_property_contains(key: str, wanted: Any) -> Condition:
    path = split_path(key)

    def check(event: Event, room: RoomFacts) -> bool:
        value = look_up(event, path)
        sought = room.owner if wanted == OWNER else wanted
        return isinstance(value, list) and any(_same(item, sought) for item in value)

    return check


def contains_display_name(event: Event, room: RoomFacts) -> bool:
    content = event.get("content")
    body = content.get("body") if isinstance(content, dict) else None
    if not isinstance(body, str) or not isinstance(room.display_name, str) or not room.display_name:
        return False
    name = _STARTS_WORD + re.escape(room.display_name) + _ENDS_WORD
    return re.search(name, body, _FLAGS) is not None


def room_member_count(condition: str) -> Condition | None:
    """`condition`: a number, with ==, <, >, >= or <= before it or none. None if it is anything else."""
    parsed = _COUNT.fullmatch(condition)
    if parsed is None:
        return None
    limit = int(parsed[2])
    match parsed[1]:
        case "<":
            return lambda event, room: room.member_count < limit
        case ">":
            return lambda event, room: room.member_count > limit
        case "<=":
            return lambda event, room: room.member_count <= limit
        case ">=":
            return lambda event, room: room.member_count >= limit
    return lambda event, room: room.member_count == limit


def _level(value: Any, default: int) -> int:
    # Levels were allowed to be strings before room version 10.
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,16}\s*", value, re.ASCII):
        return int(value)
    return default


def sender_notification_permission(key: str) -> Condition:
    def check(event: Event, room: RoomFacts) -> bool:
        sender = event.get("sender")
        if room.creators_rule and sender in room.creators:
            return True
        levels = room.power_levels
        if levels is None:
            return sender in room.creators
        notifications = levels.get("notifications")
        needed = _level(notifications.get(key) if isinstance(notifications, dict) else None, 50)
        users = levels.get("users")
        theirs = users.get(sender) if isinstance(users, dict) else None
        return _level(theirs, _level(levels.get("users_default"), 0)) >= needed

    return check


def is_plain(value: object) -> bool:
    """Whether a value can be compared: string, whole number, true, false or null."""
    return value is None or isinstance(value, (str, bool)) or (isinstance(value, int) and abs(value) < 2**53)


def compile_condition(condition: Event) -> Condition | None:
    """The condition as a function; None if it is not known or misses a part: such a condition never holds."""
    kind, key = condition.get("kind"), condition.get("key")
    match kind:
        case "event_match":
            pattern = condition.get("pattern")
            return event_match(key, pattern) if isinstance(key, str) and isinstance(pattern, str) else None
        case "event_property_is" | "event_property_contains":
            if not isinstance(key, str) or "value" not in condition or not is_plain(condition["value"]):
                return None
            make = event_property_is if kind == "event_property_is" else event_property_contains
            return make(key, condition["value"])
        case "contains_display_name":
            return contains_display_name
        case "room_member_count":
            count = condition.get("is")
            return room_member_count(count) if isinstance(count, str) else None
        case "sender_notification_permission":
            return sender_notification_permission(key) if isinstance(key, str) else None
    return None
