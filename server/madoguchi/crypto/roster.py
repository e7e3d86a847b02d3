"""The roster 名簿: who is of a desk's staff and by which keys, signed by its operator.

A roster is an object of Matrix's canonical JSON; `signature` is Ed25519 (RFC 8032, PyNaCl) over it without that member.
Keys and signature are unpadded base64. `number` only grows, so that an old one can be told from the newest.
"""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from madoguchi.crypto import canonical_json
from madoguchi.crypto.cross_signing import decode_base64, encode_base64

Role = Literal["counsellor", "supervisor", "administrator", "auditor", "keeper"]


class BadRoster(ValueError):
    """Not a roster, or not this desk's, or not signed by this key."""


class Entry(msgspec.Struct, frozen=True):
    """name: what young people read. master_key: the account's cross-signing identity (public, Client-Server API,
    "Cross-signing")."""

    user_id: str
    name: str
    role: Role
    master_key: str


class Roster(msgspec.Struct, frozen=True):
    """desk: its server name. issued_at: RFC 3339, UTC. key: the operator's public key."""

    desk: str
    number: int
    issued_at: str
    key: str
    staff: list[Entry]
    signature: str

    def master_key_of(self, user_id: str) -> str | None:
        """The identity that the roster vouches for; None for who is not on it."""
        return next((entry.master_key for entry in self.staff if entry.user_id == user_id), None)


def sign(key: SigningKey, desk: str, number: int, at: datetime, staff: list[Entry]) -> dict[str, Any]:
    """A signed roster, as it is stored and handed out."""
    told = {
        "desk": desk,
        "number": number,
        "issued_at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "key": encode_base64(bytes(key.verify_key)),
        "staff": [msgspec.to_builtins(entry) for entry in staff],
    }
    return told | {"signature": encode_base64(key.sign(canonical_json.encode(told)).signature)}


def verify(document: object, key: str, desk: str) -> Roster:
    """The roster that a document is. key: the public key that it has to be signed by. Raises BadRoster."""
    try:
        roster = msgspec.convert(document, Roster)
        told = {name: value for name, value in dict(document).items() if name != "signature"}  # type: ignore[call-overload]
        if roster.key != key or roster.desk != desk:
            raise BadRoster("This roster is of another desk, or of another key.")
        VerifyKey(decode_base64(key)).verify(canonical_json.encode(told), decode_base64(roster.signature))
    except BadSignatureError:
        raise BadRoster("This roster was not signed by its key: it has been changed.") from None
    except BadRoster:
        raise
    except (ValueError, TypeError) as wrong:
        raise BadRoster("This is not a roster.") from wrong
    return roster
