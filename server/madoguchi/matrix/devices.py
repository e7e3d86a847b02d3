"""Chapter "Device management"."""

from typing import Any

import msgspec
from aiohttp import web

from madoguchi import errors
from madoguchi.core.chat import interactive_auth, sessions
from madoguchi.core.chat.interactive_auth import Auth
from madoguchi.storage import devices, keys, stream
from madoguchi.storage.devices import Device
from madoguchi.web.answers import HEADERS
from madoguchi.web.endpoint import Call


class UpdateDevice(msgspec.Struct):
    """Body of `update_device`."""

    display_name: str | None = None


class DeleteDevice(msgspec.Struct):
    """Body of `delete_device`."""

    auth: Auth | None = None


class DeleteDevices(msgspec.Struct):
    """Body of `delete_devices`."""

    devices: list[str]
    auth: Auth | None = None


async def get_devices(call: Call) -> dict[str, Any]:
    await call.ctx.sessions.write_down_for(call.tx, call.session.user_id)
    return {"devices": [_shown(device) for device in await devices.list_devices(call.tx, call.session.user_id)]}


async def get_device(call: Call, device_id: str) -> dict[str, Any]:
    await call.ctx.sessions.write_down_for(call.tx, call.session.user_id)
    device = await devices.get_device(call.tx, call.session.user_id, device_id)
    if device is None:
        raise errors.NotFound("You have no such device.")
    return _shown(device)


async def update_device(call: Call, device_id: str, body: UpdateDevice) -> web.Response:
    user_id = call.session.user_id
    sessions.check_display_name(body.display_name)
    known = await devices.get_device(call.tx, user_id, device_id)
    if known is None and call.session.appservice is None:
        raise errors.NotFound("You have no such device.")
    if known is None:
        # Application services may make devices for their users without logging in (spec v1.17).
        sessions.check_device_id(device_id)
        await devices.insert_device(call.tx, user_id, device_id, body.display_name, call.ctx.clock.ms())
        return web.json_response({}, status=201, headers=HEADERS)
    if body.display_name is not None and body.display_name != known.display_name:
        await devices.update_device_name(call.tx, user_id, device_id, body.display_name)
        if await keys.get_device_keys(call.tx, user_id, device_id) is not None:
            # The user's other devices see the name beside the keys.
            pos = await stream.publish(call.tx, stream.Note("devices", user_id))
            await keys.set_device_change(call.tx, user_id, pos)
    return web.json_response({}, headers=HEADERS)


async def delete_device(call: Call, device_id: str, body: DeleteDevice) -> dict[str, Any]:
    await interactive_auth.require(call, body.auth, f"delete_device {device_id}")
    async with call.ctx.db.transaction() as tx:
        await sessions.end(call.ctx, tx, call.session.user_id, [device_id])
    return {}


async def delete_devices(call: Call, body: DeleteDevices) -> dict[str, Any]:
    wanted = sorted(set(body.devices))
    await interactive_auth.require(call, body.auth, f"delete_devices {wanted}")
    async with call.ctx.db.transaction() as tx:
        await sessions.end(call.ctx, tx, call.session.user_id, wanted)
    return {}


def _shown(device: Device) -> dict[str, Any]:
    # Every key, every time: matrix-nio takes no list with one missing. Empty text stands for what is not known.
    return {
        "device_id": device.device_id,
        "display_name": device.display_name or "",
        "last_seen_ts": device.last_seen_at or device.created_at,
        "last_seen_ip": device.last_seen_address or "",
    }
