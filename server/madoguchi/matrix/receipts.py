"""Receipts and read markers (client-server API, "Receipts", "Fully read markers")."""

from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core import access
from madoguchi.core.chat import receipts
from madoguchi.web.endpoint import Call

Json = dict[str, Any]


class PostReceipt(msgspec.Struct):
    thread_id: str | None = None


async def post_receipt(call: Call, room_id: str, receipt_type: str, event_id: str, body: PostReceipt) -> Json:
    user_id = call.session.user_id
    await access.seat(call.tx, call.ctx, room_id, user_id)
    now = call.ctx.clock.ms()
    if body.thread_id == "":
        raise errors.Invalid("The thread's id is empty.")
    await receipts.set_receipt(call.tx, room_id, user_id, receipt_type, event_id, body.thread_id, now)
    return {}


class SetReadMarker(msgspec.Struct):
    fully_read: str | None = msgspec.field(default=None, name="m.fully_read")
    read: str | None = msgspec.field(default=None, name="m.read")
    read_private: str | None = msgspec.field(default=None, name="m.read.private")


async def set_read_marker(call: Call, room_id: str, body: SetReadMarker) -> Json:
    user_id = call.session.user_id
    await access.seat(call.tx, call.ctx, room_id, user_id)
    now = call.ctx.clock.ms()
    marks = (
        (receipts.FULLY_READ, body.fully_read),
        (receipts.READ, body.read),
        (receipts.READ_PRIVATE, body.read_private),
    )
    for receipt_type, event_id in marks:
        if event_id is not None:
            await receipts.set_receipt(call.tx, room_id, user_id, receipt_type, event_id, None, now)
    return {}
