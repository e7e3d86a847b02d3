"""Messages from device to device (client-server API, "Send-to-Device messaging")."""

from typing import Any

import msgspec

from madoguchi.core.chat import acquaintance, to_device
from madoguchi.web.endpoint import Call


class SendToDevice(msgspec.Struct):
    messages: dict[str, dict[str, Any]]


async def send_to_device(call: Call, event_type: str, txn_id: str, body: SendToDevice) -> dict[str, Any]:
    session = call.session
    await to_device.send(
        call.tx,
        session.user_id,
        event_type,
        await acquaintance.known(call.tx, session, body.messages),
        transaction=(session.device_id or "", txn_id),
        at=call.ctx.clock.ms(),
    )
    return {}
