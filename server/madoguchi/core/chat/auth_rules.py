"""Who may send what into a room: the authorisation rules that room versions 10 to 12 share.

Where they differ, the version is asked (`room_versions/`). Pure functions over a view of the room's state. Rooms are
linear and local, so the rules about missing auth events, federation and third-party invites fall away; what remains
keeps the specification's order ("Authorization rules").
"""

from collections.abc import Callable, Mapping
from typing import Any

from madoguchi import errors
from madoguchi.core.chat.room_versions import RoomVersion
from madoguchi.ids import UserID, is_user_id

# The content of a piece of current state by (type, state key), or None.
State = Callable[[str, str], Mapping[str, Any] | None]
# Above every level that a power level event can name (integers up to 2^53 - 1).
INFINITE = 2**60

_LEVELS = ("users_default", "events_default", "state_default", "ban", "redact", "kick", "invite")


def privileged(version: RoomVersion, state: State, creator: UserID) -> frozenset[UserID]:
    """Who stands above all power levels."""
    return version.privileged(state("m.room.create", "") or {}, creator)


def membership_of(state: State, user_id: UserID) -> str:
    """`join`, `invite`, `knock`, `ban`, or `leave` for whoever has never been in."""
    return str((state("m.room.member", user_id) or {}).get("membership", "leave"))


def level_of(version: RoomVersion, state: State, creator: UserID, user_id: UserID) -> int:
    """The power level of a user."""
    if user_id in privileged(version, state, creator):
        return INFINITE
    levels = state("m.room.power_levels", "")
    if levels is None:
        return 100 if user_id == creator else 0
    users = levels.get("users")
    if isinstance(users, Mapping) and isinstance(users.get(user_id), int):
        return int(users[user_id])
    return _level(levels, "users_default", 0)


def level_for(state: State, type_: str, is_state: bool) -> int:
    """The power level that sending an event of a type takes."""
    levels = state("m.room.power_levels", "")
    if levels is None:
        return 0
    events = levels.get("events")
    if isinstance(events, Mapping) and isinstance(events.get(type_), int):
        return int(events[type_])
    if is_state:
        # 50 as soon as there are power levels at all, be they empty.
        return _level(levels, "state_default", 50)
    return _level(levels, "events_default", 0)


def action_level(state: State, action: str) -> int:
    """The power level that `ban`, `kick`, `redact` (50 unless set) or `invite` (0 unless set) takes."""
    return _level(state("m.room.power_levels", "") or {}, action, 0 if action == "invite" else 50)


def _level(levels: Mapping[str, Any], key: str, default: int) -> int:
    value = levels.get(key, default)
    return value if isinstance(value, int) else default


def check_event(
    version: RoomVersion,
    state: State,
    creator: UserID,
    sender: UserID,
    type_: str,
    state_key: str | None,
    content: Mapping[str, Any],
) -> None:
    """Raises NotAllowed unless `sender` may send this event now. Membership events: rule 4; all others: 5 to 10."""
    if type_ == "m.room.member":
        check_membership(version, state, creator, sender, state_key, content)
        return
    if membership_of(state, sender) != "join":
        raise errors.NotAllowed("You are not in this room.")
    needed = level_for(state, type_, state_key is not None)
    if level_of(version, state, creator, sender) < needed:
        raise errors.NotAllowed(f"Your power level does not reach the {needed} that this event takes.")
    if state_key is not None and state_key.startswith("@") and state_key != sender:
        raise errors.NotAllowed("This state belongs to another user.")
    if type_ == "m.room.power_levels":
        check_power_levels(version, state, creator, sender, content)
    if type_ == "m.room.create":
        raise errors.NotAllowed("A room is created only once.")


def check_membership(
    version: RoomVersion,
    state: State,
    creator: UserID,
    sender: UserID,
    target: str | None,
    content: Mapping[str, Any],
) -> None:
    """Rule 4: join, invite, leave (kick, unban), ban and knock. Raises NotAllowed, or BadJson for a wrong shape."""
    if not is_user_id(target) or target is None:
        raise errors.BadJson("The state key of a membership must be a user id.")
    to = content.get("membership")
    was = membership_of(state, target)
    sender_is = membership_of(state, sender)
    level = level_of(version, state, creator, sender)
    target_level = level_of(version, state, creator, target)
    rule = str((state("m.room.join_rules", "") or {}).get("join_rule", "invite"))
    is_first = state("m.room.member", creator) is None and state("m.room.power_levels", "") is None
    if to == "join" and sender == target == creator and is_first:
        # Rule 4.3.1: the first membership of all is the creator's own.
        return
    if to == "join":
        _check_join(state, sender, target, was, rule, content)
    elif to == "invite":
        if sender_is != "join":
            raise errors.NotAllowed("You are not in this room.")
        if was in ("join", "ban"):
            raise errors.NotAllowed("This user is banned." if was == "ban" else "This user is in the room already.")
        if level < action_level(state, "invite"):
            raise errors.NotAllowed("You may not invite to this room.")
    elif to == "leave":
        if sender == target:
            if was not in ("invite", "join", "knock"):
                raise errors.NotAllowed("You are not in this room.")
            return
        if sender_is != "join":
            raise errors.NotAllowed("You are not in this room.")
        if was == "ban" and level < action_level(state, "ban"):
            raise errors.NotAllowed("You may not lift bans in this room.")
        if level < action_level(state, "kick") or target_level >= level:
            raise errors.NotAllowed("You may not remove this user.")
    elif to == "ban":
        if sender_is != "join":
            raise errors.NotAllowed("You are not in this room.")
        if level < action_level(state, "ban") or target_level >= level:
            raise errors.NotAllowed("You may not ban this user.")
    elif to == "knock":
        if rule not in ("knock", "knock_restricted"):
            raise errors.NotAllowed("This room does not take knocks.")
        if sender != target or was in ("ban", "invite", "join"):
            raise errors.NotAllowed("You can't knock on this room.")
    else:
        raise errors.BadJson("There is no such membership.")


def _check_join(state: State, sender: UserID, target: UserID, was: str, rule: str, content: Mapping[str, Any]) -> None:
    if sender != target:
        raise errors.NotAllowed("You can only join yourself.")
    if was == "ban":
        raise errors.NotAllowed("You are banned from this room.")
    if rule == "public" or was in ("join", "invite"):
        return
    if rule in ("restricted", "knock_restricted") and content.get("join_authorised_via_users_server"):
        return
    raise errors.NotAllowed("You are not invited to this room.")


def check_power_levels(
    version: RoomVersion, state: State, creator: UserID, sender: UserID, new: Mapping[str, Any]
) -> None:
    """Rule 9 (10 in version 12): the shape of a power level event, and that nobody lifts anyone above themselves."""
    for key in _LEVELS:
        if key in new and (not isinstance(new[key], int) or isinstance(new[key], bool)):
            raise errors.BadJson(f"{key} must be an integer.")
    for key in ("users", "events", "notifications"):
        value = new.get(key, {})
        if not isinstance(value, Mapping) or any(not isinstance(v, int) or isinstance(v, bool) for v in value.values()):
            raise errors.BadJson(f"{key} must map names to integers.")
    if any(not is_user_id(user) for user in new.get("users", {})):
        raise errors.BadJson("users must map user ids to integers.")
    if privileged(version, state, creator) & set(new.get("users", {})):
        raise errors.NotAllowed("The creators of a room of this version have no power level of their own.")
    old = state("m.room.power_levels", "")
    if old is None:
        return
    level = level_of(version, state, creator, sender)
    for key in _LEVELS:
        _check_change(level, key, old.get(key), new.get(key))
    for key in ("events", "notifications"):
        before, after = old.get(key) or {}, new.get(key) or {}
        for name in before.keys() | after.keys():
            _check_change(level, name, before.get(name), after.get(name))
    before, after = old.get("users") or {}, new.get("users") or {}
    for user in before.keys() | after.keys():
        if before.get(user) == after.get(user):
            continue
        _check_change(level, user, None, after.get(user))
        if user != sender and before.get(user) is not None and before[user] >= level:
            raise errors.NotAllowed("You can't change the level of somebody who stands as high as you.")


def _check_change(level: int, name: str, before: Any, after: Any) -> None:
    if before == after:
        return
    if (before is not None and before > level) or (after is not None and after > level):
        raise errors.NotAllowed(f"Your power level does not reach to change {name[:60]}.")
