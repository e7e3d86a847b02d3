"""Spaces: rooms that name other rooms ("Spaces", client-server API), and who may know what a room is called."""

from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat.events import stripped
from madoguchi.core.chat.room_cache import Room, content_of
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Event

if TYPE_CHECKING:
    from madoguchi.context import Context

# How much of a hierarchy is looked at; whoever has more asks for its parts.
MOST_ROOMS = 1_000
LONGEST_PAGE = 50
_LONGEST_ORDER = 50


class Found(msgspec.Struct, frozen=True):
    """A room of a hierarchy. children: its m.space.child events in order, stripped, with `origin_server_ts`."""

    room: Room
    children: list[dict[str, Any]]


async def may_look_into(tx: Tx, room: Room, user_id: UserID | None) -> bool:
    """Whether somebody (None: a stranger) may know what a room is called: its members, those invited, those whom its
    join rule would let in, and everybody where the history is open to the world."""
    if user_id is not None and room.members.get(user_id) in ("join", "invite"):
        return True
    if (room.content("m.room.history_visibility") or {}).get("history_visibility") == "world_readable":
        return True
    rule = room.content("m.room.join_rules") or {}
    if rule.get("join_rule") in ("public", "knock", "knock_restricted"):
        return True
    if rule.get("join_rule") != "restricted" or user_id is None:
        return False
    conditions = rule.get("allow")
    allowed = {
        condition.get("room_id") for condition in (conditions if isinstance(conditions, list) else [])
        if isinstance(condition, dict) and condition.get("type") == "m.room_membership"
    }  # fmt: skip
    return not allowed.isdisjoint(await stored_rooms.list_joined_rooms(tx, user_id))


async def hierarchy(
    ctx: "Context", tx: Tx, room_id: RoomID, user_id: UserID, *, suggested_only: bool, max_depth: int | None
) -> list[Found]:
    """The rooms of a space and of the spaces in it, as far as the user may look into them, each once: a room stands
    before its children. max_depth: 0 is the room alone. Raises NotAllowed for a room the user may not look into."""
    # What is in memory of rooms may be a moment behind what the caller has just been told is done.
    await ctx.hub.reach(ctx.db.committed)
    found: list[Found] = []
    seen: set[RoomID] = set()
    ahead: list[tuple[RoomID, int]] = [(room_id, 0)]
    while ahead and len(found) < MOST_ROOMS:
        at, depth = ahead.pop()
        if at in seen:
            continue
        seen.add(at)
        room = await ctx.rooms.get(at)
        if room is None or not await may_look_into(tx, room, user_id):
            if not found:
                raise errors.NotAllowed("You may not look into this room.")
            continue
        children = _children(room, suggested_only)
        found.append(Found(room, [{**stripped(event), "origin_server_ts": event.at} for event in children]))
        if max_depth is None or depth < max_depth:
            ahead += [(event.state_key or "", depth + 1) for event in reversed(children)]
    return found


def _children(room: Room, suggested_only: bool) -> list[Event]:
    """The valid m.space.child events of a space, in their order ("Ordering of children within a space")."""
    if (room.content("m.room.create") or {}).get("type") != "m.space":
        return []
    children: list[tuple[tuple[bool, str, int, str], Event]] = []
    for (type_, state_key), event in room.state.items():
        if type_ != "m.space.child":
            continue
        content = content_of(event)
        via = content.get("via")
        if not isinstance(via, list) or not all(isinstance(server, str) for server in via):
            continue
        if suggested_only and content.get("suggested") is not True:
            continue
        children.append(((*_order(content), event.at, state_key), event))
    children.sort(key=lambda child: child[0])
    return [event for _, event in children]


def _order(content: dict[str, Any]) -> tuple[bool, str]:
    order = content.get("order")
    valid = isinstance(order, str) and len(order) <= _LONGEST_ORDER and all(" " <= char <= "~" for char in order)
    return (not valid, str(order) if valid else "")
