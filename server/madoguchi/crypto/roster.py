"""The roster 名簿: who is of a desk's staff and by which keys, signed by its operator.

A roster is an object of Matrix's canonical JSON; `signature` is Ed25519 (RFC 8032, PyNaCl) over it without that member.
Keys and signature are unpadded base64. `number` only grows, so that an old one can be told from the newest.

The operator may exchange the key: the old one then signs the new one, and every roster from then on brings these
signatures along (`succession`, the oldest first). Whoever knows any key of them gets from there to the one that signs
now, and by nothing else to another.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from madoguchi.crypto import canonical_json
from madoguchi.crypto.cross_signing import decode_base64, encode_base64, public

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


class Succession(msgspec.Struct, frozen=True):
    """`key` has signed that `next` signs in its place; signature: over the other members and `desk`."""

    key: str
    next: str
    issued_at: str
    signature: str


class Roster(msgspec.Struct, frozen=True):
    """desk: its server name. issued_at: RFC 3339, UTC. key: the operator's public key. succession: the keys before."""

    desk: str
    number: int
    issued_at: str
    key: str
    staff: list[Entry]
    signature: str
    succession: tuple[Succession, ...] = ()

    def master_key_of(self, user_id: str) -> str | None:
        """The identity that the roster vouches for; None for who is not on it."""
        return next((entry.master_key for entry in self.staff if entry.user_id == user_id), None)


def sign(
    key: SigningKey, desk: str, number: int, at: datetime, staff: list[Entry], succession: Sequence[Succession] = ()
) -> dict[str, Any]:
    """A signed roster, as it is stored and handed out."""
    told: dict[str, Any] = {
        "desk": desk,
        "number": number,
        "issued_at": _moment(at),
        "key": public(key),
        "staff": [msgspec.to_builtins(entry) for entry in staff],
    }
    if succession:
        told["succession"] = [msgspec.to_builtins(step) for step in succession]
    return told | {"signature": _signature(key, told)}


def succeed(old: SigningKey, new: SigningKey, desk: str, at: datetime) -> Succession:
    """What the old key says of the new one."""
    told = {"desk": desk, "issued_at": _moment(at), "key": public(old), "next": public(new)}
    return Succession(told["key"], told["next"], told["issued_at"], _signature(old, told))


def verify(document: object, key: str, desk: str) -> Roster:
    """The roster that a document is. key: the public key that it has to be signed by, or a key before that one which
    has handed over to it. Raises BadRoster."""
    try:
        roster = msgspec.convert(document, Roster)
        told = {name: value for name, value in dict(document).items() if name != "signature"}  # type: ignore[call-overload]
        if roster.desk != desk or _last_after(key, roster.succession, desk) != roster.key:
            raise BadRoster("This roster is of another desk, or of another key.")
        VerifyKey(decode_base64(roster.key)).verify(canonical_json.encode(told), decode_base64(roster.signature))
    except BadSignatureError:
        raise BadRoster("This roster was not signed by its key: it has been changed.") from None
    except BadRoster:
        raise
    except (ValueError, TypeError) as wrong:
        raise BadRoster("This is not a roster.") from wrong
    return roster


def _last_after(key: str, succession: Sequence[Succession], desk: str) -> str:
    """The key to which a key has led, over as many as there were. Raises BadSignatureError for what it did not sign."""
    for step in succession:
        if step.key == key:
            told = {"desk": desk, "issued_at": step.issued_at, "key": key, "next": step.next}
            VerifyKey(decode_base64(key)).verify(canonical_json.encode(told), decode_base64(step.signature))
            key = step.next
    return key


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _signature(key: SigningKey, told: dict[str, Any]) -> str:
    return encode_base64(key.sign(canonical_json.encode(told)).signature)
