"""Coming and going: invite, join, leave, kick, ban, unban, knock, forget ("Room membership").

Each takes effect as one m.room.member event, judged while the stream is held. Doing again what is so already changes
nothing and is no error where the specification leaves it open.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from madoguchi import errors
from madoguchi.core.chat import auth_rules, events, succession
from madoguchi.core.chat.room_cache import content_of
from madoguchi.ids import EventID, RoomID, UserID, is_user_id
from madoguchi.storage import accounts, stream
from madoguchi.storage import events as stored_events
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Event, Membership

if TYPE_CHECKING:
    from madoguchi.context import Context

# Whom a side room may hold, whoever invites: never a young person, nor anybody whom a bridge stands for.
_AMONG_STAFF = ("staff", "keeper")
VOUCHER = "join_authorised_via_users_server"
RESTRICTED = ("restricted", "knock_restricted")


async def change(
    ctx: "Context",
    tx: Tx,
    room_id: RoomID,
    sender: UserID,
    target: UserID,
    content: Mapping[str, Any],
) -> EventID:
    """Sends a membership event. The same membership with the same content again changes nothing.

    Raises NotAllowed, BadJson; NotFound if the target of an invite has no account.
    """
    stands = await events.standing(tx, room_id, [sender, target])
    if stands.room.kind != "plain" and stands.event("m.room.member", sender) is None:
        # As of a room that does not exist: a stranger does not learn that there is a case.
        raise errors.NotAllowed("You are not in this room.")
    content = await _vouched(tx, stands, target, content)
    stands.check(sender, "m.room.member", target, content)
    to = str(content["membership"])
    kind = await accounts.get_kind(tx, target) if to in ("invite", "join") else None
    if to == "invite" and kind is None:
        raise errors.NotFound("There is no such user here.")
    if stands.room.kind == "side" and kind is not None and kind not in _AMONG_STAFF:
        raise errors.NotAllowed("Only staff come into this room.")
    if stands.room.kind != "plain":
        # State is never encrypted: who came or went, and the name they go by everywhere; no reason, no words.
        content = await events.member_content(tx, target, to)
    present = stands.event("m.room.member", target)
    if present is not None and content_of(present) == content and present.sender == sender:
        return present.event_id
    # Who shares rooms decides whose devices one watches: the others' clients must look again.
    notes = [stream.Note("devices", target, room_id)] if to in ("join", "leave", "ban") else []
    placed = await events.put_state(ctx, tx, stands, sender, "m.room.member", target, content, *notes)
    return placed.event_id


async def _vouched(tx: Tx, stands: events.Standing, target: UserID, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with the server's own word, never the client's, on who lets the user into a restricted room: a member
    who may invite, if the user is in one of the rooms that the join rule allows ("Restricted rooms")."""
    content = {key: value for key, value in content.items() if key != VOUCHER}
    rule = stands.content("m.room.join_rules") or {}
    outside = stands.membership(target) not in ("join", "invite")
    if content.get("membership") != "join" or not outside or rule.get("join_rule") not in RESTRICTED:
        return content
    conditions = rule.get("allow")
    allowed = {
        str(condition.get("room_id"))
        for condition in (conditions if isinstance(conditions, list) else [])
        if isinstance(condition, dict) and condition.get("type") == "m.room_membership"
    }
    if allowed.isdisjoint(await stored_rooms.list_joined_rooms(tx, target)):
        return content
    needed = auth_rules.action_level(stands.content, "invite")
    for member in await stored_rooms.list_members(tx, stands.room.room_id, "join"):
        if auth_rules.level_of(stands.version, stands.content, stands.room.creator, member) >= needed:
            return {**content, VOUCHER: member}
    return content


async def invite(
    ctx: "Context", tx: Tx, room_id: RoomID, sender: UserID, target: UserID, reason: str | None = None
) -> EventID:
    """Invites a user of this server."""
    if not is_user_id(target):
        raise errors.Invalid("That is not a user id.")
    return await change(ctx, tx, room_id, sender, target, await events.member_content(tx, target, "invite", reason))


async def join(ctx: "Context", tx: Tx, room_id: RoomID, user_id: UserID, reason: str | None = None) -> EventID:
    """Joins a room that is public or that one is invited to; joined already: nothing happens."""
    present = await stored_rooms.get_membership(tx, room_id, user_id)
    if present is not None and present.membership == "join":
        return present.event_id
    await succession.carry_over(tx, user_id, room_id)
    return await change(ctx, tx, room_id, user_id, user_id, await events.member_content(tx, user_id, "join", reason))


async def leave(ctx: "Context", tx: Tx, room_id: RoomID, user_id: UserID, reason: str | None = None) -> None:
    """Leaves a room, or turns an invitation down; gone already: nothing happens."""
    present = await stored_rooms.get_membership(tx, room_id, user_id)
    if present is not None and present.membership == "leave":
        return
    await change(ctx, tx, room_id, user_id, user_id, await events.member_content(tx, user_id, "leave", reason))


async def knock(ctx: "Context", tx: Tx, room_id: RoomID, user_id: UserID, reason: str | None = None) -> EventID:
    """Asks to be let in."""
    return await change(ctx, tx, room_id, user_id, user_id, await events.member_content(tx, user_id, "knock", reason))


async def kick(
    ctx: "Context", tx: Tx, room_id: RoomID, sender: UserID, target: UserID, reason: str | None = None
) -> None:
    """Removes a member, or takes an invitation back. Raises NotAllowed for somebody who is not in the room."""
    present = await stored_rooms.get_membership(tx, room_id, target)
    if present is None or present.membership not in ("join", "invite", "knock"):
        raise errors.NotAllowed("This user is not in the room.")
    await change(ctx, tx, room_id, sender, target, await events.member_content(tx, target, "leave", reason))


async def ban(
    ctx: "Context", tx: Tx, room_id: RoomID, sender: UserID, target: UserID, reason: str | None = None
) -> None:
    """Bans a user, in the room or not."""
    if not is_user_id(target):
        raise errors.Invalid("That is not a user id.")
    await change(ctx, tx, room_id, sender, target, await events.member_content(tx, target, "ban", reason))


async def unban(
    ctx: "Context", tx: Tx, room_id: RoomID, sender: UserID, target: UserID, reason: str | None = None
) -> None:
    """Lifts a ban."""
    present = await stored_rooms.get_membership(tx, room_id, target)
    if present is None or present.membership != "ban":
        raise errors.NotAllowed("This user is not banned.")
    await change(ctx, tx, room_id, sender, target, await events.member_content(tx, target, "leave", reason))


async def forget(tx: Tx, room_id: RoomID, user_id: UserID) -> None:
    """Takes a room that one has left off one's list. Raises Unknown while one is still in it."""
    present = await stored_rooms.get_membership(tx, room_id, user_id)
    if present is None:
        raise errors.NotAllowed("You have never been in this room.")
    if present.membership not in ("leave", "ban"):
        raise errors.Unknown("Leave the room first.")
    await stored_rooms.forget(tx, room_id, user_id)


async def refresh_profile(
    ctx: "Context", tx: Tx, user_id: UserID, displayname: str | None, avatar_url: str | None
) -> None:
    """Tells the rooms that a user is in about a changed profile: a new membership event in each, all in one go.

    Takes the profile as stored; `displayname` and `avatar_url` are what it now says.
    """
    await stream.lock(tx)
    shown = {"displayname": displayname, "avatar_url": avatar_url}
    changed: list[Event] = []
    memberships: list[Membership] = []
    room_ids = await stored_rooms.list_joined_rooms(tx, user_id)
    for room in await stored_rooms.list_rooms(tx, room_ids):
        [previous] = await stored_events.list_some_state(tx, room.room_id, [], [user_id])
        kept = {key: value for key, value in content_of(previous).items() if key not in ("reason", *shown)}
        content = {**kept, **{key: value for key, value in shown.items() if value}}
        if content == content_of(previous):
            continue
        stands = events.Standing(room, [previous])
        event = events.build_state(ctx, stands, user_id, "m.room.member", user_id, content)
        changed.append(event)
        memberships.append(Membership(room.room_id, user_id, "join", user_id, event.event_id))
    if changed:
        await stored_events.append(tx, changed, memberships)
