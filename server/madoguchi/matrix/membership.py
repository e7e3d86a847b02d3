"""Chapter "Room membership"."""

from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import membership
from madoguchi.core.desk import case_room, cases, moves_matrix, side_room
from madoguchi.ids import RoomID
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.db import Tx
from madoguchi.web.endpoint import Call


class Reason(msgspec.Struct):
    reason: str | None = None


class Target(msgspec.Struct):
    user_id: str
    reason: str | None = None


class Invite(msgspec.Struct):
    user_id: str | None = None
    reason: str | None = None
    id_server: str | None = None
    medium: str | None = None
    address: str | None = None


async def invite_user(call: Call, room_id: str, body: Invite) -> dict[str, Any]:
    call.session.must_not_be_suspended()
    if body.user_id is None:
        if body.address is not None:
            raise errors.NotAllowed("Nobody can be invited by e-mail or telephone here.")
        raise errors.MissingParam("user_id is missing.")
    await membership.invite(call.ctx, call.tx, room_id, call.session.user_id, body.user_id, body.reason)
    return {}


async def join_room_by_id(call: Call, room_id: str, body: Reason) -> dict[str, Any]:
    return await join_room(call, room_id, body)


async def join_room(call: Call, room_id_or_alias: str, body: Reason) -> dict[str, Any]:
    call.session.must_not_be_suspended()
    if case_room.is_the_desk(call.ctx, room_id_or_alias):
        # The desk's own alias: whoever joins it from any Matrix client opens a case and is in its room.
        async with call.ctx.db.transaction() as tx:
            return {"room_id": await cases.arrive_by_alias(call.ctx, tx, call.session.user_id)}
    if (code := moves_matrix.code_of(call.ctx, room_id_or_alias)) is not None:
        return await _come_by_code(call, code)
    async with call.ctx.db.transaction() as tx:
        room_id = await _room_of(tx, room_id_or_alias)
        await membership.join(call.ctx, tx, room_id, call.session.user_id, body.reason)
        await cases.people_changed(tx, room_id)
    return {"room_id": room_id}


async def _come_by_code(call: Call, code: str) -> dict[str, Any]:
    """Says a code in the way that every client has. It is taken, and the joining refused until the invitation has been
    accepted: only then does a client take the history."""
    user_id = call.session.user_id
    call.ctx.limits.guess(f"move {user_id}", call)
    async with call.ctx.db.transaction() as tx:
        room_id = await moves_matrix.come(call.ctx, tx, code, user_id)
        present = await stored_rooms.get_membership(tx, room_id, user_id)
    if present is None or present.membership != "join":
        raise errors.NotAllowed(moves_matrix.EXPECTED)
    return {"room_id": room_id}


async def knock_room(call: Call, room_id_or_alias: str, body: Reason) -> dict[str, Any]:
    call.session.must_not_be_suspended()
    if (code := moves_matrix.code_of(call.ctx, room_id_or_alias)) is not None:
        call.ctx.limits.guess(f"move {call.session.user_id}", call)
        return {"room_id": await moves_matrix.come(call.ctx, call.tx, code, call.session.user_id)}
    room_id = await _room_of(call.tx, room_id_or_alias)
    await membership.knock(call.ctx, call.tx, room_id, call.session.user_id, body.reason)
    return {"room_id": room_id}


async def _room_of(tx: Tx, room_id_or_alias: str) -> RoomID:
    if room_id_or_alias.startswith("!"):
        return room_id_or_alias
    if not room_id_or_alias.startswith("#"):
        raise errors.Invalid("That is neither a room id nor an alias.")
    found = await stored_rooms.get_alias(tx, room_id_or_alias)
    if found is None:
        raise errors.NotFound("There is no room with this alias.")
    return found[0]


async def leave_room(call: Call, room_id: str, body: Reason) -> dict[str, Any]:
    # Leaving a case's room is leaving the case: the young person ends it, a counsellor gives it back to the queue.
    await cases.left_room(call.ctx, call.tx, room_id, call.session.user_id)
    await side_room.left(call.ctx, call.tx, room_id, call.session.user_id)
    await membership.leave(call.ctx, call.tx, room_id, call.session.user_id, body.reason)
    return {}


async def forget_room(call: Call, room_id: str) -> dict[str, Any]:
    await membership.forget(call.tx, room_id, call.session.user_id)
    return {}


async def kick(call: Call, room_id: str, body: Target) -> dict[str, Any]:
    call.session.must_not_be_suspended()
    await membership.kick(call.ctx, call.tx, room_id, call.session.user_id, body.user_id, body.reason)
    await cases.people_changed(call.tx, room_id)
    return {}


async def ban(call: Call, room_id: str, body: Target) -> dict[str, Any]:
    call.session.must_not_be_suspended()
    await membership.ban(call.ctx, call.tx, room_id, call.session.user_id, body.user_id, body.reason)
    return {}


async def unban(call: Call, room_id: str, body: Target) -> dict[str, Any]:
    call.session.must_not_be_suspended()
    await membership.unban(call.ctx, call.tx, room_id, call.session.user_id, body.user_id, body.reason)
    return {}
