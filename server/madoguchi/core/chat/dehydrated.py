"""Dehydrated devices (MSC3814): a device without anybody logged in, to which others send their keys. Its owner, coming
back with nothing but a return phrase, opens it and reads what was written in the meantime."""

from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import keys, sessions
from madoguchi.core.chat.shapes import check_depth
from madoguchi.core.chat.tokens import maybe, token
from madoguchi.ids import DeviceID, UserID
from madoguchi.storage import cross_signing as stored_cross_signing
from madoguchi.storage import dehydrated as storage
from madoguchi.storage import devices as stored_devices
from madoguchi.storage import keys as stored_keys
from madoguchi.storage import stream
from madoguchi.storage import to_device as stored_to_device
from madoguchi.storage.db import Tx
from madoguchi.storage.dehydrated import DehydratedDevice

if TYPE_CHECKING:
    from madoguchi.context import Context

Json = dict[str, Any]
_AT_ONCE = 100


async def put(
    ctx: "Context",
    tx: Tx,
    user_id: UserID,
    device_id: DeviceID,
    *,
    name: str | None,
    device_data: Json,
    device_keys: Json,
    one_time_keys: Json,
    fallback_keys: Json,
) -> None:
    """Makes the user's dehydrated device, in place of the one before it.

    Raises Invalid if a device that somebody is logged in with has this id, and what `keys.upload` raises.
    """
    sessions.check_device_id(device_id)
    check_depth(device_data)
    if name is not None:
        sessions.check_display_name(name)
    await stored_cross_signing.lock_cross_signing(tx, user_id)
    before = await storage.get_dehydrated_device(tx, user_id)
    if before is not None:
        await _delete(tx, user_id, before.device_id)
    if not await stored_devices.insert_device(tx, user_id, device_id, name, ctx.clock.ms()):
        raise errors.Invalid("There is a device with this id already.")
    encoded = msgspec.json.encode(device_data)
    await storage.set_dehydrated_device(tx, user_id, DehydratedDevice(device_id, encoded))
    await keys.upload(tx, user_id, device_id, device_keys, one_time_keys, fallback_keys)


async def get(tx: Tx, user_id: UserID) -> DehydratedDevice:
    """The user's dehydrated device. Raises NotFound."""
    device = await storage.get_dehydrated_device(tx, user_id)
    if device is None:
        raise errors.NotFound("You have no dehydrated device.")
    return device


async def delete(tx: Tx, user_id: UserID) -> DeviceID:
    """Takes the user's dehydrated device away with its keys and messages. Gives its id. Raises NotFound."""
    device = await get(tx, user_id)
    await _delete(tx, user_id, device.device_id)
    await keys.touch_devices(tx, user_id)
    return device.device_id


async def _delete(tx: Tx, user_id: UserID, device_id: DeviceID) -> None:
    await stored_devices.delete_device(tx, user_id, device_id)
    await stored_keys.delete_device_keys(tx, user_id, device_id)


async def list_events(tx: Tx, user_id: UserID, device_id: DeviceID, since: str | None) -> tuple[list[bytes], str, bool]:
    """(the next messages that the dehydrated device was sent, the token to go on with, whether there may be more).

    They stay until the device is taken away. Raises NotAllowed for any other device.
    """
    device = await storage.get_dehydrated_device(tx, user_id)
    if device is None or device.device_id != device_id:
        raise errors.NotAllowed("This is not your dehydrated device.")
    after = maybe(since) or 0
    upto = await stream.position(tx)
    messages = await stored_to_device.list_to_device(tx, user_id, device_id, after, upto, _AT_ONCE)
    going_on = token(messages[-1][0] if messages else after)
    return [message for _, message in messages], going_on, len(messages) == _AT_ONCE
