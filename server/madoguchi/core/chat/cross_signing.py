"""Cross-signing keys and the signatures by which users and devices vouch for each other (client-server API,
"Cross-signing"). What is not signed as it should be is refused here already, though clients must not rely on that."""

from typing import Any, Literal, TypeAlias, cast

import msgspec

from madoguchi import errors
from madoguchi.core.chat.keys import touch_devices
from madoguchi.core.chat.shapes import check_depth, is_object
from madoguchi.crypto.cross_signing import decode_base64, is_signed
from madoguchi.ids import DeviceID, UserID
from madoguchi.storage import cross_signing as storage
from madoguchi.storage import keys as stored_keys
from madoguchi.storage import stream
from madoguchi.storage.cross_signing import CrossSigningKey, Signature
from madoguchi.storage.db import Tx
from madoguchi.storage.stream import Note

Json: TypeAlias = dict[str, Any]
Usage: TypeAlias = Literal["master", "self_signing", "user_signing"]
USAGES: tuple[Usage, ...] = ("master", "self_signing", "user_signing")


async def needs_interactive_auth(tx: Tx, user_id: UserID, offered: dict[Usage, Json]) -> bool:
    """Whether the user must show once more who they are: there is a master key, and something offered is not what is
    there (MSC3967). The first upload and the same upload again need nothing."""
    stored = {key.usage: key for key in await storage.list_cross_signing_keys(tx, [user_id])}
    if "master" not in stored:
        return False
    return any(usage not in stored or _public_key(key) != stored[usage].public_key for usage, key in offered.items())


async def upload(tx: Tx, user_id: UserID, offered: dict[Usage, Json]) -> None:
    """Publishes cross-signing keys, in place of those of the same usage.

    Raises BadJson for a wrong shape, MissingParam without any master key, InvalidSignature for a key that the master
    key has not signed, NotAllowed where a key is called like one of the user's devices.
    """
    for usage, key in offered.items():
        _check_shape(user_id, usage, key)
    await storage.lock_cross_signing(tx, user_id)
    stored = {key.usage: key for key in await storage.list_cross_signing_keys(tx, [user_id])}
    if "master" in offered:
        master = _public_key(offered["master"])
    elif "master" in stored:
        master = stored["master"].public_key
    else:
        raise errors.MissingParam("A master key is needed first.")
    devices = {device.device_id for device in await stored_keys.list_device_keys(tx, [user_id])}
    for usage, key in offered.items():
        if _public_key(key) in devices:
            raise errors.NotAllowed("A key can't have the name of one of the user's devices.")
        if usage != "master" and not is_signed(key, user_id, master, master):
            raise errors.InvalidSignature(f"The {usage} key is not signed by the master key.")
    changed = False
    for usage, key in offered.items():
        public_key = _public_key(key)
        before = stored.get(usage)
        if before is not None and before.public_key != public_key:
            await storage.delete_cross_signing_key(tx, user_id, usage, before.public_key)
        encoded = msgspec.json.encode({name: part for name, part in key.items() if name != "unsigned"})
        if before is None or before.key != encoded:
            await storage.set_cross_signing_key(tx, CrossSigningKey(user_id, usage, public_key, encoded))
            changed = True
    if changed:
        await touch_devices(tx, user_id)


def _check_shape(user_id: UserID, usage: Usage, key: Json) -> None:
    if key.get("user_id") != user_id:
        raise errors.Invalid(f"The {usage} key must be the user's own.")
    usages = key.get("usage")
    if not isinstance(usages, list) or usage not in usages:
        raise errors.Invalid(f"The {usage} key must name its usage.")
    keys = key.get("keys")
    if not is_object(keys) or len(keys) != 1:
        raise errors.Invalid(f"The {usage} key must have exactly one public key.")
    ((name, public_key),) = keys.items()
    if not isinstance(public_key, str) or name != f"ed25519:{public_key}" or not _is_ed25519(public_key):
        raise errors.Invalid(f"The {usage} key must be an Ed25519 key under its own name.")
    if not is_object(key.get("signatures", {})):
        raise errors.BadJson("Signatures must be an object.")
    check_depth(key)


def _is_ed25519(public_key: str) -> bool:
    try:
        return len(decode_base64(public_key)) == 32
    except ValueError:
        return False


def _public_key(key: Json) -> str:
    """The public key of a cross-signing key; an empty string where there is none."""
    keys = key.get("keys")
    if not is_object(keys) or len(keys) != 1:
        return ""
    return cast(str, next(iter(keys.values()))) if isinstance(next(iter(keys.values())), str) else ""


# -- signatures -------------------------------------------------------------------------------------------------------
async def upload_signatures(tx: Tx, user_id: UserID, offered: dict[str, dict[str, Any]]) -> dict[str, dict[str, Json]]:
    """Adds signatures of this user to keys; gives what was refused, by user id and key id.

    offered: user id -> device id or public master key -> the signed object. On own devices the self-signing key
    signs, on the own master key a device, on somebody else's master key the user-signing key.
    """
    await storage.lock_cross_signing(tx, user_id)
    cross_signing: dict[str, dict[str, CrossSigningKey]] = {}
    for key in await storage.list_cross_signing_keys(tx, list({*offered, user_id})):
        cross_signing.setdefault(key.user_id, {})[key.usage] = key
    devices = {device.device_id: device.keys for device in await stored_keys.list_device_keys(tx, [user_id])}
    own = _Signer(user_id, cross_signing.get(user_id, {}), devices)
    good: list[Signature] = []
    failures: dict[str, dict[str, Json]] = {}
    for target, objects in offered.items():
        for key_id, signed in objects.items():
            try:
                if target == user_id:
                    good += own.on_own(key_id, signed)
                else:
                    good += own.on_other(target, cross_signing.get(target, {}).get("master"), key_id, signed)
            except errors.InvalidSignature as wrong:
                failures.setdefault(target, {})[key_id] = {"errcode": "M_INVALID_SIGNATURE", "error": wrong.message}
            except errors.NotFound as missing:
                failures.setdefault(target, {})[key_id] = {"errcode": "M_NOT_FOUND", "error": missing.message}
            except errors.Refused as wrong:
                failures.setdefault(target, {})[key_id] = {"errcode": "M_INVALID_PARAM", "error": wrong.message}
    if good:
        await storage.set_signatures(tx, good)
    others = sorted({one.target for one in good} - {user_id})
    if any(one.target == user_id for one in good):
        await touch_devices(tx, user_id)
    if others:
        pos = await stream.publish(tx, Note("signatures", user_id))
        for target in others:
            await stored_keys.set_signature_change(tx, user_id, target, pos)
    return failures


class _Signer:
    """The keys with which one user may sign."""

    def __init__(
        self, user_id: UserID, cross_signing: dict[str, CrossSigningKey], devices: dict[DeviceID, bytes]
    ) -> None:
        self.user_id = user_id
        self.cross_signing = cross_signing
        self.devices = devices

    def on_own(self, key_id: str, signed: Any) -> list[Signature]:
        master = self.cross_signing.get("master")
        if master is not None and key_id == master.public_key:
            return self._device_signatures(master, signed)
        if key_id not in self.devices:
            raise errors.NotFound("There is no such device or key.")
        self_signing = self.cross_signing.get("self_signing")
        if self_signing is None:
            raise errors.NotFound("There is no self-signing key.")
        return [self._one(self_signing.public_key, self.user_id, key_id, self.devices[key_id], signed)]

    def on_other(self, target: UserID, master: CrossSigningKey | None, key_id: str, signed: Any) -> list[Signature]:
        if master is None or key_id != master.public_key:
            raise errors.NotFound("There is no such master key.")
        user_signing = self.cross_signing.get("user_signing")
        if user_signing is None:
            raise errors.NotFound("There is no user-signing key.")
        return [self._one(user_signing.public_key, target, key_id, master.key, signed)]

    def _device_signatures(self, master: CrossSigningKey, signed: Any) -> list[Signature]:
        found: list[Signature] = []
        for key_name in _own_signatures(signed, self.user_id):
            device_id = key_name.removeprefix("ed25519:")
            if device_id in self.devices:
                public_key = msgspec.json.decode(self.devices[device_id])["keys"].get(key_name)
                found.append(self._one(device_id, self.user_id, master.public_key, master.key, signed, public_key))
        if not found:
            raise errors.InvalidSignature("The master key is not signed by a device of the user.")
        return found

    def _one(
        self, key_id: str, target: UserID, target_key: str, stored: bytes, signed: Any, public_key: str | None = None
    ) -> Signature:
        """One signature of this user by `ed25519:key_id`, looked at closely."""
        if not is_object(signed) or _bare(signed) != _bare(msgspec.json.decode(stored)):
            raise errors.InvalidSignature("The signed object is not the key that is known here.")
        name = f"ed25519:{key_id}"
        signature = _own_signatures(signed, self.user_id).get(name)
        if not isinstance(signature, str) or not is_signed(signed, self.user_id, key_id, public_key or key_id):
            raise errors.InvalidSignature("The signature is missing or not valid.")
        return Signature(self.user_id, name, target, target_key, signature)


def _own_signatures(signed: Any, user_id: UserID) -> Json:
    signatures = signed.get("signatures") if is_object(signed) else None
    theirs = signatures.get(user_id) if is_object(signatures) else None
    return theirs if is_object(theirs) else {}


def _bare(value: Json) -> Json:
    return {name: part for name, part in value.items() if name not in ("signatures", "unsigned")}
