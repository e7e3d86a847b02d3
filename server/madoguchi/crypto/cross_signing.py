"""Cross-signing: a user's master, self-signing and user-signing keys, and the signatures they make.

matrix-nio has none of this. Newer clients give room history only to, and take it only from, devices that their owner
has signed (Matrix specification v1.19, "Cross-signing" and "Sharing keys between users"), so every device we make is.
"""

import base64
from dataclasses import dataclass
from typing import Any

from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from madoguchi.crypto import canonical_json

JSON = dict[str, Any]


@dataclass(frozen=True)
class CrossSigningKeys:
    """The three private keys of one user. They belong in a `SealedFile` and nowhere else."""

    user_id: str
    master: SigningKey
    self_signing: SigningKey
    user_signing: SigningKey

    @classmethod
    def make(cls, user_id: str) -> "CrossSigningKeys":
        """Three new keys."""
        return cls(user_id, SigningKey.generate(), SigningKey.generate(), SigningKey.generate())

    @classmethod
    def from_seeds(cls, user_id: str, seeds: dict[str, str]) -> "CrossSigningKeys":
        """The keys whose `seeds()` were stored. Raises KeyError or ValueError when they are not whole."""
        return cls(user_id, *(SigningKey(decode_base64(seeds[name])) for name in ("master", "self", "user")))

    def seeds(self) -> dict[str, str]:
        """The private seeds as unpadded base64, for `from_seeds`."""
        return {
            "master": encode_base64(bytes(self.master)),
            "self": encode_base64(bytes(self.self_signing)),
            "user": encode_base64(bytes(self.user_signing)),
        }

    @property
    def master_public(self) -> str:
        """The public master key, unpadded base64."""
        return public(self.master)

    def upload_body(self) -> JSON:
        """The body of POST /keys/device_signing/upload, without `auth`."""
        master = self._key("master", self.master)
        return {
            "master_key": master,
            "self_signing_key": self._by_master(self._key("self_signing", self.self_signing)),
            "user_signing_key": self._by_master(self._key("user_signing", self.user_signing)),
        }

    def sign_device(self, device_keys: JSON) -> JSON:
        """The same device keys with the self-signing key's signature added, as /keys/signatures/upload wants them."""
        return sign(device_keys, self.user_id, public(self.self_signing), self.self_signing)

    def sign_user(self, their_master_key: JSON) -> JSON:
        """Another user's master key with our user-signing key's signature added: "this is really them"."""
        return sign(their_master_key, self.user_id, public(self.user_signing), self.user_signing)

    def _key(self, usage: str, key: SigningKey) -> JSON:
        return {"user_id": self.user_id, "usage": [usage], "keys": {f"ed25519:{public(key)}": public(key)}}

    def _by_master(self, key: JSON) -> JSON:
        return sign(key, self.user_id, self.master_public, self.master)


def sign(value: JSON, user_id: str, key_id: str, key: SigningKey) -> JSON:
    """A copy of `value` with one more signature, by `ed25519:key_id` of `user_id`."""
    signature = encode_base64(key.sign(_signed_bytes(value)).signature)
    signatures = {user: dict(theirs) for user, theirs in value.get("signatures", {}).items()}
    signatures.setdefault(user_id, {})[f"ed25519:{key_id}"] = signature
    return {**value, "signatures": signatures}


def is_signed(value: JSON, user_id: str, key_id: str, public_key: str) -> bool:
    """Whether `value` carries a valid signature by `ed25519:key_id` of `user_id`. Never raises."""
    try:
        signature = decode_base64(value["signatures"][user_id][f"ed25519:{key_id}"])
        VerifyKey(decode_base64(public_key)).verify(_signed_bytes(value), signature)
    except (KeyError, TypeError, AttributeError, ValueError, CryptoError):
        return False
    return True


def master_of(query: JSON, user_id: str) -> str | None:
    """The user's public master key in an answer of POST /keys/query, or None."""
    return _public_of(query.get("master_keys"), user_id)


def signed_devices(query: JSON, user_id: str) -> dict[str, JSON]:
    """Device id → device keys of those of the user's devices that the user has cross-signed.

    `query`: the answer of POST /keys/query. The chain is master key → self-signing key → device, and the device's
    own signature is checked as well.
    """
    master = master_of(query, user_id)
    self_signing = _public_of(query.get("self_signing_keys"), user_id)
    if master is None or self_signing is None:
        return {}
    if not is_signed(query["self_signing_keys"][user_id], user_id, master, master):
        return {}
    found = {}
    for device_id, device in (query.get("device_keys") or {}).get(user_id, {}).items():
        try:
            own_key = device["keys"][f"ed25519:{device_id}"]
            named = device["user_id"] == user_id and device["device_id"] == device_id
        except (KeyError, TypeError):
            continue
        if (
            named
            and is_signed(device, user_id, device_id, own_key)
            and is_signed(device, user_id, self_signing, self_signing)
        ):
            found[device_id] = device
    return found


def public(key: SigningKey) -> str:
    """The public half, unpadded base64."""
    return encode_base64(bytes(key.verify_key))


def encode_base64(data: bytes) -> str:
    """Unpadded base64, as Matrix writes keys."""
    return base64.b64encode(data).decode().rstrip("=")


def decode_base64(text: str) -> bytes:
    """Bytes of unpadded (or padded) base64. Raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _signed_bytes(value: JSON) -> bytes:
    return canonical_json.encode({key: inner for key, inner in value.items() if key not in ("signatures", "unsigned")})


def _public_of(keys: Any, user_id: str) -> str | None:
    try:
        key = keys[user_id]
        (value,) = key["keys"].values()
        if key["user_id"] != user_id or key["keys"] != {f"ed25519:{value}": value}:
            return None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return str(value)
