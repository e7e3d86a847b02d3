"""Dehydrated devices (MSC3814, under its unstable name)."""

from typing import Any

import msgspec

from madoguchi.core.chat import dehydrated
from madoguchi.web.endpoint import Call

Json = dict[str, Any]


class PutDehydratedDevice(msgspec.Struct):
    device_id: str
    device_data: Json
    device_keys: Json
    initial_device_display_name: str | None = None
    one_time_keys: Json | None = None
    fallback_keys: Json | None = None


class From(msgspec.Struct):
    from_: str | None = msgspec.field(default=None, name="from")


class NextEvents(msgspec.Struct):
    next_batch: str | None = None


async def put_dehydrated_device(call: Call, body: PutDehydratedDevice) -> Json:
    await dehydrated.put(
        call.ctx,
        call.tx,
        call.session.user_id,
        body.device_id,
        name=body.initial_device_display_name,
        device_data=body.device_data,
        device_keys=body.device_keys,
        one_time_keys=body.one_time_keys or {},
        fallback_keys=body.fallback_keys or {},
    )
    return {"device_id": body.device_id}


async def get_dehydrated_device(call: Call) -> Json:
    device = await dehydrated.get(call.tx, call.session.user_id)
    return {"device_id": device.device_id, "device_data": msgspec.Raw(device.device_data)}


async def delete_dehydrated_device(call: Call) -> Json:
    return {"device_id": await dehydrated.delete(call.tx, call.session.user_id)}


async def get_dehydrated_device_events(call: Call, device_id: str, query: From) -> Json:
    """As the proposal has it now: a token only if there is more."""
    messages, token, more = await dehydrated.list_events(call.tx, call.session.user_id, device_id, query.from_)
    events = [msgspec.Raw(message) for message in messages]
    return {"events": events, "next_batch": token} if more else {"events": events}


async def post_dehydrated_device_events(call: Call, device_id: str, body: NextEvents) -> Json:
    """As the proposal had it before, which older clients use: always a token, and no events at the end."""
    messages, token, _ = await dehydrated.list_events(call.tx, call.session.user_id, device_id, body.next_batch)
    return {"events": [msgspec.Raw(message) for message in messages], "next_batch": token}
