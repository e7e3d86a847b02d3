"""A log whose entries are bound to each other: change, leave out, add or move one, and all hashes after it are wrong.

An entry's hash is SHA-256 over the hash before it (32 zero bytes at the beginning) and the entry as canonical JSON.
What the chain can't show by itself, that its end was cut off, the signed heads do (Ed25519, PyNaCl). Its beginning may
be cut off openly: a signed anchor then says at which entry and hash it goes on.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from madoguchi.crypto import canonical_json

BEGINNING = bytes(32)
# A signature over an anchor is good for no head, and the other way round.
_ANCHOR = b"madoguchi audit anchor\n"


@dataclass(frozen=True)
class Entry:
    """Who (`actor`) did what (`act`) to what (`subject`); detail: more of it, as text. seq counts from 1."""

    seq: int
    at: datetime
    actor: str
    act: str
    subject: str
    detail: str
    hash: bytes = b""

    def shown(self) -> dict[str, str | int]:
        """The entry as JSON, without its hash: what is hashed."""
        return {
            "seq": self.seq,
            "at": moment(self.at),
            "actor": self.actor,
            "act": self.act,
            "subject": self.subject,
            "detail": self.detail,
        }


@dataclass(frozen=True)
class Head:
    """What the log was at a moment: its last entry then, signed."""

    seq: int
    hash: bytes
    at: datetime
    signature: bytes


@dataclass(frozen=True)
class Anchor:
    """Up to which entry a log was cut and when, with that entry's hash, signed."""

    seq: int
    hash: bytes
    at: datetime
    signature: bytes


def moment(at: datetime) -> str:
    """A moment as it is hashed and signed: UTC with microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def entry_hash(before: bytes, entry: Entry) -> bytes:
    """The hash of an entry after the one with the hash `before`."""
    return hashlib.sha256(before + canonical_json.encode(entry.shown())).digest()


def sign(key: SigningKey, desk: str, seq: int, last: bytes, at: datetime) -> Head:
    """The head of a desk's log, signed. desk: its server name."""
    return Head(seq, last, at, key.sign(_signed(desk, seq, last, at)).signature)


def sign_anchor(key: SigningKey, desk: str, seq: int, last: bytes, at: datetime) -> Anchor:
    """The statement that a desk's log was cut up to an entry. desk: its server name."""
    return Anchor(seq, last, at, key.sign(_signed(desk, seq, last, at, _ANCHOR)).signature)


def faults(
    entries: Iterable[Entry], heads: Sequence[Head], desk: str, public_key: bytes, anchor: Anchor | None = None
) -> list[str]:
    """What is wrong with a log, in words; nothing if it is whole. The first fault of the chain ends the search.

    anchor: where it begins, if it was cut.
    """
    found: list[str] = []
    at_head = {head.seq: head for head in heads}
    verifier = VerifyKey(public_key)
    for head in heads:
        try:
            verifier.verify(_signed(desk, head.seq, head.hash, head.at), head.signature)
        except BadSignatureError:
            found.append(f"the head at {head.seq} was not signed by this key")
    before, seq = BEGINNING, 0
    if anchor is not None:
        before, seq = anchor.hash, anchor.seq
        try:
            verifier.verify(_signed(desk, anchor.seq, anchor.hash, anchor.at, _ANCHOR), anchor.signature)
        except BadSignatureError:
            found.append(f"the anchor at {anchor.seq}, where the log was cut, was not signed by this key")
        if anchor.seq in at_head and at_head[anchor.seq].hash != anchor.hash:
            found.append(f"the anchor at {anchor.seq} says another entry than the signed head")
    for entry in entries:
        seq += 1
        if entry.seq != seq:
            return [*found, f"entry {seq} is missing or out of its place (there is {entry.seq})"]
        if entry.hash != entry_hash(before, entry):
            return [*found, f"entry {seq} is not what it was when it was written"]
        before = entry.hash
        if seq in at_head and at_head[seq].hash != before:
            return [*found, f"entry {seq} is another one than the signed head says"]
    last = max(at_head, default=0)
    if last > seq:
        found.append(f"the log ends at {seq}, and a signed head says that it went on to {last}")
    return found


def _signed(desk: str, seq: int, last: bytes, at: datetime, word: bytes = b"madoguchi audit head\n") -> bytes:
    told = {"desk": desk, "seq": seq, "hash": base64.b64encode(last).decode(), "at": moment(at)}
    return word + canonical_json.encode(told)
