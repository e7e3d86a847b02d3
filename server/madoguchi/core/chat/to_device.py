"""Messages from device to device, past all rooms: each delivered once, in order (client-server API, "Send-to-Device
messaging"). Encryption runs over this; the server keeps ciphertext until the device has confirmed it."""

from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat.shapes import check_depth, check_names, is_object
from madoguchi.ids import DeviceID, UserID
from madoguchi.storage import stream
from madoguchi.storage import to_device as storage
from madoguchi.storage.db import Tx
from madoguchi.storage.stream import Note

EVERY_DEVICE = "*"
# Keys and secrets take a few KiB; what is larger would only fill the inbox of somebody who has to read it all.
LARGEST = 128 * 1024


async def send(
    tx: Tx,
    sender: UserID,
    event_type: str,
    messages: dict[UserID, dict[DeviceID, Any]],
    *,
    transaction: tuple[DeviceID, str] | None = None,
    at: int = 0,
) -> None:
    """Puts messages into the inboxes of devices; those who don't exist are passed over.

    messages: user id -> device id, or `*` for all of the user's devices -> content
    transaction: the sending device and its transaction id; the same one again does nothing
    at: now, in ms

    Raises BadJson, Invalid, and TooLarge for a message of more than 128 KiB.
    """
    check_names(event_type)
    for contents in messages.values():
        for content in contents.values():
            if not is_object(content):
                raise errors.BadJson("The content of a message must be an object.")
            check_depth(content)
    if transaction is not None:
        device_id, txn_id = transaction
        check_names(txn_id)
        if not await storage.insert_transaction(tx, sender, device_id, event_type, txn_id, at):
            return
    devices = await storage.list_devices(tx, list(messages))
    outgoing: list[tuple[UserID, DeviceID, bytes]] = []
    for user_id, contents in messages.items():
        encoded: dict[int, bytes] = {}
        for device_id in devices.get(user_id, ()):
            # A message to one device goes before one to all of them.
            content = contents.get(device_id, contents.get(EVERY_DEVICE))
            if content is None:
                continue
            if id(content) not in encoded:
                message = msgspec.json.encode({"sender": sender, "type": event_type, "content": content})
                if len(message) > LARGEST:
                    raise errors.TooLarge("A message to a device can have 128 KiB at most.")
                encoded[id(content)] = message
            outgoing.append((user_id, device_id, encoded[id(content)]))
    if outgoing:
        users = sorted({user_id for user_id, _, _ in outgoing})
        pos = await stream.publish(tx, *(Note("to_device", user_id) for user_id in users))
        await storage.insert_to_device(tx, pos, outgoing)
