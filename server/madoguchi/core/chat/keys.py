"""Keys of devices: published once, given out exactly once (client-server API, "End-to-end encryption", "Key
management API"). Cross-signing stands in cross_signing.py."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from madoguchi import errors
from madoguchi.core.chat.shapes import check_depth, check_names, is_object
from madoguchi.ids import DeviceID, UserID, server_name_of
from madoguchi.storage import cross_signing as stored_cross_signing
from madoguchi.storage import keys as storage
from madoguchi.storage import stream
from madoguchi.storage.db import Tx
from madoguchi.storage.keys import OneTimeKey
from madoguchi.storage.stream import Note

Json: TypeAlias = dict[str, Any]

_MOST_KEYS = 1_000


async def touch_devices(tx: Tx, user_id: UserID) -> int:
    """Tells everybody who shares a room with the user that their devices or keys have changed. Gives the position.

    Call it late in the transaction: after a device got, changed or lost its keys, or was deleted.
    """
    pos = await stream.publish(tx, Note("devices", user_id))
    await storage.set_device_change(tx, user_id, pos)
    return pos


# -- upload -----------------------------------------------------------------------------------------------------------
async def upload(
    tx: Tx,
    user_id: UserID,
    device_id: DeviceID,
    device_keys: Json | None,
    one_time_keys: Mapping[str, Any],
    fallback_keys: Mapping[str, Any],
) -> dict[str, int]:
    """Takes what a device publishes; gives the number of one-time keys left by algorithm.

    The identity keys of a device never change, nor does a one-time key under the same id: that raises Unknown.
    The same upload again is no change. Raises Invalid or BadJson for what has the wrong shape.
    """
    fresh_device_keys = _checked_device_keys(user_id, device_id, device_keys) if device_keys else None
    offered = _checked_keys(one_time_keys)
    fallbacks = _checked_keys(fallback_keys)
    if len({key.algorithm for key in fallbacks}) != len(fallbacks):
        raise errors.Invalid("There can be one fallback key for each algorithm.")
    await storage.lock_device(tx, user_id, device_id)
    changed = fresh_device_keys is not None and await _publish_device_keys(tx, user_id, device_id, fresh_device_keys)
    fresh = await _new_ones(tx, user_id, device_id, offered)
    if fresh:
        await storage.insert_one_time_keys(tx, user_id, device_id, fresh)
    for key in fallbacks:
        await storage.set_fallback_key(tx, user_id, device_id, key)
    counts = await storage.count_one_time_keys(tx, user_id, device_id)
    if changed:
        await touch_devices(tx, user_id)
    if fresh or fallbacks:
        await stream.publish(tx, Note("keys", user_id))
    return counts


def _checked_device_keys(user_id: UserID, device_id: DeviceID, keys: Json) -> Json:
    if keys.get("user_id") != user_id or keys.get("device_id") != device_id:
        raise errors.Invalid("The device keys must be those of this user and device.")
    published, signatures = keys.get("keys"), keys.get("signatures")
    if not is_object(published) or not all(isinstance(key, str) for key in published.values()):
        raise errors.BadJson("The device keys need `keys`: an object of strings.")
    if not isinstance(keys.get("algorithms"), list) or not all(isinstance(a, str) for a in keys["algorithms"]):
        raise errors.BadJson("The device keys need `algorithms`: a list of strings.")
    if not is_object(signatures) or not all(is_object(theirs) for theirs in signatures.values()):
        raise errors.BadJson("The device keys need `signatures`: an object of objects.")
    for name in published:
        algorithm, _, of_device = name.partition(":")
        if not algorithm or of_device != device_id:
            raise errors.Invalid("A device key's name must be its algorithm and the device id.")
    check_depth(keys)
    return {name: value for name, value in keys.items() if name != "unsigned"}


def _checked_keys(keys: Mapping[str, Any]) -> list[OneTimeKey]:
    if len(keys) > _MOST_KEYS:
        raise errors.Invalid(f"No more than {_MOST_KEYS} keys at once.")
    checked: list[OneTimeKey] = []
    for name, key in keys.items():
        algorithm, colon, key_id = name.partition(":")
        if not colon:
            raise errors.Invalid("A key's name must be ALGORITHM:ID.")
        check_names(algorithm, key_id)
        if is_object(key):
            if not isinstance(key.get("key"), str) or not is_object(key.get("signatures", {})):
                raise errors.BadJson("A signed key needs `key` and `signatures`.")
            check_depth(key)
        elif not isinstance(key, str):
            raise errors.BadJson("A key must be a string or an object.")
        checked.append(OneTimeKey(algorithm, key_id, msgspec.json.encode(key)))
    return checked


async def _publish_device_keys(tx: Tx, user_id: UserID, device_id: DeviceID, keys: Json) -> bool:
    """Whether anything has changed by it."""
    before = await storage.get_device_keys(tx, user_id, device_id)
    encoded = msgspec.json.encode(keys)
    if before is not None:
        known: Json = msgspec.json.decode(before)
        if known == keys:
            return False
        if known["keys"] != keys["keys"]:
            raise errors.Unknown("The keys of a device can't be changed. Log in as a new device instead.")
    await storage.set_device_keys(tx, user_id, device_id, encoded)
    return True


async def _new_ones(tx: Tx, user_id: UserID, device_id: DeviceID, offered: list[OneTimeKey]) -> list[OneTimeKey]:
    if not offered:
        return []
    stored = await storage.list_one_time_keys(tx, user_id, device_id, [key.key_id for key in offered])
    known = {(key.algorithm, key.key_id): key.key for key in stored}
    fresh: list[OneTimeKey] = []
    for key in offered:
        before = known.get((key.algorithm, key.key_id))
        if before is None:
            fresh.append(key)
        elif _unsigned(before) != _unsigned(key.key):
            raise errors.Unknown(f"One time key {key.algorithm}:{key.key_id} already exists with another value.")
    return fresh


def _unsigned(key: bytes) -> Any:
    value = msgspec.json.decode(key)
    # A device may sign the same key anew.
    return {name: part for name, part in value.items() if name != "signatures"} if isinstance(value, dict) else value


# -- claim ------------------------------------------------------------------------------------------------------------
async def claim(tx: Tx, server_name: str, wanted: dict[str, dict[str, str]]) -> Json:
    """Gives each asked device's next one-time key, or its fallback key, and never the same one-time key twice.

    `wanted`: user id -> device id -> algorithm. Devices without a key are missing in the answer; users of other
    servers are under `failures`, for there is no way to them.
    """
    given: dict[str, dict[str, dict[str, msgspec.Raw]]] = {}
    counts_changed: set[UserID] = set()
    # In one order, so that two who ask for the same devices never wait for each other.
    for user_id, devices in sorted(wanted.items()):
        if server_name_of(user_id) != server_name:
            continue
        for device_id, algorithm in sorted(devices.items()):
            key = await storage.take_one_time_key(tx, user_id, device_id, algorithm)
            if key is not None:
                counts_changed.add(user_id)
            else:
                fallback = await storage.use_fallback_key(tx, user_id, device_id, algorithm)
                if fallback is None:
                    continue
                key, first_use = fallback
                if first_use:
                    counts_changed.add(user_id)
            of_device = given.setdefault(user_id, {}).setdefault(device_id, {})
            of_device[f"{key.algorithm}:{key.key_id}"] = msgspec.Raw(key.key)
    if counts_changed:
        await stream.publish(tx, *(Note("keys", user_id) for user_id in sorted(counts_changed)))
    return {"one_time_keys": given, "failures": unreachable(server_name, wanted)}


def unreachable(server_name: str, users: Mapping[str, object]) -> dict[str, Json]:
    """The other servers among the users' ids: this one speaks to none."""
    others = {server_name_of(user_id) for user_id in users} - {server_name, ""}
    return {other: {"status": 503, "message": "This server is not federated."} for other in sorted(others)}


# -- query ------------------------------------------------------------------------------------------------------------
async def query(tx: Tx, server_name: str, asker: UserID, wanted: dict[str, list[str]]) -> Json:
    """The devices and cross-signing keys of users, with the signatures that the asker may see.

    `wanted`: user id -> device ids, or an empty list for all. A user-signing key is shown to its owner only, and a
    signature by a third person to nobody (client-server API, "Cross-signing", "Key and signature security"). A device's
    name is its owner's alone: it often says somebody's name, and here people are nameless.
    """
    users = [user_id for user_id in wanted if server_name_of(user_id) == server_name]
    signatures: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for one in await stored_cross_signing.list_signatures(tx, asker, users):
        by_signer = signatures.setdefault((one.target, one.target_key), {})
        by_signer.setdefault(one.signer, {})[one.signer_key] = one.signature
    devices: dict[str, Json] = {user_id: {} for user_id in users}
    for device in await storage.list_device_keys(tx, users):
        asked = wanted[device.user_id]
        if asked and device.device_id not in asked:
            continue
        keys = _with_signatures(device.keys, signatures.get((device.user_id, device.device_id)))
        named = device.display_name is not None and device.user_id == asker
        keys["unsigned"] = {"device_display_name": device.display_name} if named else {}
        devices[device.user_id][device.device_id] = keys
    answer: Json = {
        "device_keys": devices,
        "master_keys": {},
        "self_signing_keys": {},
        "user_signing_keys": {},
        "failures": unreachable(server_name, wanted),
    }
    for key in await stored_cross_signing.list_cross_signing_keys(tx, users):
        if key.usage != "user_signing" or key.user_id == asker:
            shown = _with_signatures(key.key, signatures.get((key.user_id, key.public_key)))
            answer[f"{key.usage}_keys"][key.user_id] = shown
    return answer


def _with_signatures(stored: bytes, more: dict[str, dict[str, str]] | None) -> Json:
    value: Json = msgspec.json.decode(stored)
    if more:
        signatures = value.setdefault("signatures", {})
        for signer, theirs in more.items():
            signatures.setdefault(signer, {}).update(theirs)
    return value
