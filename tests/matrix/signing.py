"""Devices and cross-signing keys that really sign, for tests that look at the server's side only."""

import secrets
from typing import Any

from nacl.signing import SigningKey

from madoguchi.crypto.cross_signing import CrossSigningKeys, encode_base64, public, sign
from tests.cast import V3, Person

Json = dict[str, Any]


class Device:
    """The keys of one person's device: the one they are logged in with, or another."""

    def __init__(self, person: Person, device_id: str | None = None) -> None:
        self.person = person
        self.device_id = device_id or person.device_id
        self.key = SigningKey.generate()
        self.curve = encode_base64(secrets.token_bytes(32))

    @property
    def keys(self) -> Json:
        """Signed device keys, as /keys/upload takes them."""
        device_id = self.device_id
        bare = {
            "user_id": self.person.user_id,
            "device_id": device_id,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": {f"curve25519:{device_id}": self.curve, f"ed25519:{device_id}": public(self.key)},
        }
        return self.signs(bare)

    def signs(self, value: Json) -> Json:
        return sign(value, self.person.user_id, self.device_id, self.key)

    def one_time_keys(self, *ids: str, **more: Any) -> Json:
        return {
            f"signed_curve25519:{id_}": self.signs({"key": encode_base64(secrets.token_bytes(32))} | more)
            for id_ in ids
        }

    async def uploads(self, **body: Any) -> dict[str, int]:
        counts: dict[str, int] = (await self.person.post(f"{V3}/keys/upload", body))["one_time_key_counts"]
        return counts


async def a_device(person: Person) -> Device:
    """The person's device, its identity keys published."""
    device = Device(person)
    await device.uploads(device_keys=device.keys)
    return device


async def a_cross_signed(person: Person) -> tuple[Device, CrossSigningKeys]:
    """The person's device and cross-signing keys, both published; nothing is signed by the device yet."""
    device = await a_device(person)
    keys = CrossSigningKeys.make(person.user_id)
    await person.post(f"{V3}/keys/device_signing/upload", keys.upload_body())
    return device, keys


async def queried(asker: Person, *people: Person) -> Json:
    """What POST /keys/query tells about these people."""
    answer: Json = await asker.post(f"{V3}/keys/query", {"device_keys": {p.user_id: [] for p in people}})
    return answer
