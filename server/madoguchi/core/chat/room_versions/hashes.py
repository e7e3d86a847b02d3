"""Canonical JSON, and what an event's id is made of.

(Server-server API, "Calculating the content hash for an event" and "… the reference hash"; appendices, "Canonical
JSON".) An event as it is hashed has room_id, type, sender, content, origin_server_ts and perhaps state_key, redacts and
hashes. Rooms are linear here and never federated, so no graph tells two equal events apart: a `nonce` does, which is
stored beside the event. So anybody who has the rows can compute every event's id anew, also of redacted ones, of which
the content hash is kept.
"""

import hashlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat.room_versions.v10 import Version10

# Sorted keys, no white space, UTF-8: canonical JSON for whatever `check_canonical` lets through.
_canonical = msgspec.json.Encoder(order="sorted").encode
_MOST_INTEGER = 2**53 - 1
# What an event's content hash does not cover.
_UNHASHED = frozenset(("unsigned", "signatures", "hashes"))


def content_hash(event: Mapping[str, Any]) -> bytes:
    """The SHA-256 of all that an event says, 32 bytes."""
    return hashlib.sha256(_canonical({key: event[key] for key in event.keys() - _UNHASHED})).digest()


def event_id(version: Version10, event: Mapping[str, Any], hashed: bytes | None = None) -> str:
    """`$` and the reference hash of an event, in URL-safe base64 without padding.

    `hashed`: its content hash, where redaction has left too little to compute it from.
    """
    digest = content_hash(event) if hashed is None else hashed
    left = version.redacted(event)
    left["hashes"] = {"sha256": b64encode(digest).decode().rstrip("=")}
    left.pop("signatures", None)
    return "$" + urlsafe_b64encode(hashlib.sha256(_canonical(left)).digest()).decode().rstrip("=")


def check_canonical(value: Any, depth: int = 0) -> None:
    """Raises BadJson where a decoded value can't stand in an event: floats, integers beyond 2^53 - 1, too deep."""
    if isinstance(value, str) or value is None or value is True or value is False:
        return
    if isinstance(value, int):
        if -_MOST_INTEGER <= value <= _MOST_INTEGER:
            return
        raise errors.BadJson("An integer is outside the range of canonical JSON.")
    if depth > 100:
        raise errors.BadJson("The content is nested too deeply.")
    if isinstance(value, dict):
        for part in value.values():
            check_canonical(part, depth + 1)
    elif isinstance(value, list):
        for part in value:
            check_canonical(part, depth + 1)
    else:
        raise errors.BadJson("Events can't have fractional numbers.")
