"""Moving a room to another version: a new room with the old one's furniture, and a sign on the old one's door
("Room Upgrades", client-server API)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from madoguchi import errors, ids
from madoguchi.core.chat import events, room_versions
from madoguchi.core.chat.room_cache import content_of
from madoguchi.core.chat.rooms import Making, place
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import events as stored_events
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.db import Tx

if TYPE_CHECKING:
    from madoguchi.context import Context

# "the recommended state events to copy", and what holds a space together.
_COPIED = (
    "m.room.encryption",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.join_rules",
    "m.room.server_acl",
    "m.space.child",
    "m.space.parent",
)
State = Mapping[tuple[str, str], Mapping[str, Any]]


async def upgrade(
    ctx: "Context", tx: Tx, room_id: RoomID, user_id: UserID, new_version: str, additional_creators: Sequence[UserID]
) -> RoomID:
    """Makes the new room, with `user_id` in it, moves the aliases, and closes the old one. Gives the new room's id.

    Raises UnsupportedRoomVersion, NotAllowed without the power to set the tombstone, Invalid.
    """
    version = room_versions.of(new_version)
    if any(not ids.is_user_id(user) for user in additional_creators):
        raise errors.Invalid("additional_creators must be a list of user ids.")
    if additional_creators and not version.privileges_creators:
        raise errors.Invalid("This room version has one creator.")
    stands = await events.standing(tx, room_id, [user_id], ["m.room.tombstone"])
    if stands.membership(user_id) != "join":
        raise errors.NotAllowed("You are not in this room.")
    if stands.room.kind != "plain":
        raise errors.NotAllowed("A desk's room keeps the version it was made with.")
    stands.check(user_id, "m.room.tombstone", "", {"replacement_room": ""})
    current = await stored_events.list_current_state(tx, [room_id])
    state = {(event.type, event.state_key or ""): content_of(event) for event in current}
    making = Making(ctx, version, user_id)
    making.create(_create_content(version, state, room_id, user_id, additional_creators))
    making.add("m.room.member", await events.member_content(tx, user_id, "join"), user_id)
    for (type_, state_key), content in state.items():
        banned = type_ == "m.room.member" and content.get("membership") == "ban" and state_key != user_id
        if (type_ in _COPIED and (content or not type_.startswith("m.space."))) or banned:
            making.add(type_, content, state_key)
    aliases = await stored_rooms.list_aliases(tx, room_id)
    if aliases and (named := state.get(("m.room.canonical_alias", ""))):
        making.add("m.room.canonical_alias", named)
    # Last, for they may leave the one who upgrades too little to set the others.
    making.add("m.room.power_levels", _power_levels(version, state, user_id, additional_creators))
    await place(tx, making, kind="plain", public=stands.room.public, joined=[user_id])
    await stored_rooms.move_aliases(tx, room_id, making.room_id)
    if stands.room.public:
        await stored_rooms.update_public(tx, room_id, False)
    tombstone = {"body": "This room has been replaced", "replacement_room": making.room_id}
    await events.put_state(ctx, tx, stands, user_id, "m.room.tombstone", "", tombstone)
    await _close(ctx, tx, stands, user_id)
    return making.room_id


def _create_content(
    version: room_versions.RoomVersion, state: State, room_id: RoomID, user_id: UserID, more: Sequence[UserID]
) -> dict[str, Any]:
    old = state.get(("m.room.create", ""), {})
    content = {key: old[key] for key in ("type", "m.federate") if key in old}
    return version.create_content({**content, "predecessor": {"room_id": room_id}}, user_id, more)


def _power_levels(
    version: room_versions.RoomVersion, state: State, user_id: UserID, more: Sequence[UserID]
) -> dict[str, Any]:
    levels = dict(state.get(("m.room.power_levels", ""), {}))
    users = dict(levels.get("users") or {})
    if version.privileges_creators:
        # Those have all power anyway, and may not be named.
        for creator in (user_id, *more):
            users.pop(creator, None)
        named = dict(levels.get("events") or {})
        named["m.room.tombstone"] = max(version.tombstone_level, int(named.get("m.room.tombstone") or 0))
        levels["events"] = named
    elif users.get(user_id, 0) < 100:
        users[user_id] = 100
    levels["users"] = users
    return levels


async def _close(ctx: "Context", tx: Tx, stands: events.Standing, user_id: UserID) -> None:
    """Lets nobody but moderators speak in the old room, or invite into it, as far as the one who upgrades may."""
    levels = dict(stands.content("m.room.power_levels") or {})
    default = levels.get("users_default")
    needed = max(50, (default if isinstance(default, int) else 0) + 1)
    for action in ("events_default", "invite"):
        stood = levels.get(action)
        levels[action] = max(needed, stood if isinstance(stood, int) else 0)
    try:
        stands.check(user_id, "m.room.power_levels", "", levels)
    except errors.NotAllowed:
        return
    if levels != stands.content("m.room.power_levels"):
        await events.put_state(ctx, tx, stands, user_id, "m.room.power_levels", "", levels)
