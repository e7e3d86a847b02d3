"""Sealing a session key so that only the vault's key holders can open it. Imports nothing of the server."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox


class WrongKey(Exception):
    """What was sealed to another key, or has been changed, can't be opened with this one."""


@dataclass(frozen=True)
class SessionSecret:
    """A Megolm session: what opens the messages of one device of one person from `first_index` on.

    session_key: the session in export format, unpadded base64; sender_key and signing_key: the Curve25519 and Ed25519
    keys of the device that made it, as that device claimed them.
    """

    room_id: str
    session_id: str
    sender_key: str
    signing_key: str
    session_key: str
    first_index: int


def key_id(public_key: bytes) -> str:
    """The short name of a vault key: 16 hexadecimal digits."""
    return hashlib.blake2b(public_key, digest_size=8, person=b"madoguchi vault").hexdigest()


def seal(public_key: bytes, secret: SessionSecret) -> bytes:
    """The secret, openable only with the private half of `public_key` (X25519, 32 bytes; PyNaCl SealedBox)."""
    return SealedBox(PublicKey(public_key)).encrypt(json.dumps(asdict(secret)).encode())


def unseal(private_key: bytes, sealed: bytes) -> SessionSecret:
    """The secret again. Raises WrongKey."""
    try:
        fields: dict[str, Any] = json.loads(SealedBox(PrivateKey(private_key)).decrypt(sealed))
        return SessionSecret(**fields)
    except (CryptoError, ValueError, TypeError) as error:
        raise WrongKey("This key does not open what was sealed.") from error


def public_of(private_key: bytes) -> bytes:
    """The public half of a private key."""
    return bytes(PrivateKey(private_key).public_key)


def make_private_key() -> bytes:
    """A new private key, 32 bytes."""
    return bytes(PrivateKey.generate())
