"""Chapters "Sending events to a room" and "Redactions"."""

from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import events, membership
from madoguchi.core.desk import resting
from madoguchi.web.endpoint import Call

# What only the server itself makes, or what has an endpoint of its own with rules of its own.
_NOT_AS_MESSAGE = frozenset(("m.room.create", "m.room.member", "m.room.power_levels", "m.room.encryption"))


# What a transaction id may have, so that it and the ids beside it fit into an index.
_MOST_TXN_BYTES = 512


def _check_txn_id(txn_id: str) -> None:
    if len(txn_id.encode()) > _MOST_TXN_BYTES:
        raise errors.Invalid(f"A transaction id can have {_MOST_TXN_BYTES} bytes.")


async def send_message(call: Call, room_id: str, event_type: str, txn_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """No transaction here: the writer stores it together with what others send at the same moment."""
    session = call.session
    session.must_not_be_suspended()
    _check_txn_id(txn_id)
    if event_type in _NOT_AS_MESSAGE:
        raise errors.NotAllowed("This is a state event: it is set, not sent.")
    if event_type == "m.room.redaction":
        return await _redaction(call, room_id, txn_id, body)
    event_id = await call.ctx.writer.send(room_id, session.user_id, event_type, body, session.device_id, txn_id)
    await resting.has_written(call.ctx, room_id, session.user_id, body)
    return {"event_id": event_id}


async def _redaction(call: Call, room_id: str, txn_id: str, body: dict[str, Any]) -> dict[str, Any]:
    target = body.get("redacts")
    if not isinstance(target, str):
        raise errors.BadJson("redacts must name an event.")
    reason = body.get("reason")
    session = call.session
    async with call.ctx.db.transaction() as tx:
        event_id = await events.redact(
            call.ctx, tx, room_id, session.user_id, target, reason if isinstance(reason, str) else None,
            session.device_id, txn_id,
        )  # fmt: skip
    return {"event_id": event_id}


class Redaction(msgspec.Struct):
    reason: str | None = None


async def redact_event(call: Call, room_id: str, event_id: str, txn_id: str, body: Redaction) -> dict[str, Any]:
    session = call.session
    session.must_not_be_suspended()
    _check_txn_id(txn_id)
    redaction = await events.redact(
        call.ctx, call.tx, room_id, session.user_id, event_id, body.reason, session.device_id, txn_id
    )
    return {"event_id": redaction}


async def set_room_state_with_key(
    call: Call, room_id: str, event_type: str, body: dict[str, Any], state_key: str = ""
) -> dict[str, Any]:
    session = call.session
    if event_type == "m.room.member":
        if body.get("membership") != "leave":
            session.must_not_be_suspended()
        event_id = await membership.change(call.ctx, call.tx, room_id, session.user_id, state_key, body)
    else:
        session.must_not_be_suspended()
        event_id = await events.send_state(call.ctx, call.tx, room_id, session.user_id, event_type, state_key, body)
    return {"event_id": event_id}
