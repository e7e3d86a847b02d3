"""What differs between room versions 10, 11 and 12 (specification, "Room Versions")."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from madoguchi import errors

# Sorted keys, no white space, UTF-8: canonical JSON (appendices, "Canonical JSON") for what `checked` lets through.
_canonical = msgspec.json.Encoder(order="sorted").encode

_MOST_INTEGER = 2**53 - 1
_KEPT_ALWAYS = frozenset(
    ("event_id", "type", "room_id", "sender", "state_key", "content", "hashes", "signatures", "depth", "prev_events",
     "auth_events", "origin_server_ts")
)  # fmt: skip


@dataclass(frozen=True)
class RoomVersion:
    """One room version.

    kept_keys, kept_content: what a redaction leaves of an event and of the content of each type (True: all of it)
    redacts_in_content: a redaction names its target in its content
    creators_above_all: the room's creators stand above all power levels, and the room id is the create event's hash
    """

    name: str
    kept_keys: frozenset[str]
    kept_content: Mapping[str, frozenset[str] | bool] = field(default_factory=dict)
    redacts_in_content: bool = True
    creators_above_all: bool = False


_CONTENT_10: dict[str, frozenset[str] | bool] = {
    "m.room.member": frozenset(("membership", "join_authorised_via_users_server")),
    "m.room.create": frozenset(("creator",)),
    "m.room.join_rules": frozenset(("join_rule", "allow")),
    "m.room.power_levels": frozenset(
        ("ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default")
    ),
    "m.room.history_visibility": frozenset(("history_visibility",)),
}
_CONTENT_11: dict[str, frozenset[str] | bool] = {
    **_CONTENT_10,
    "m.room.member": frozenset(("membership", "join_authorised_via_users_server", "third_party_invite")),
    "m.room.create": True,
    "m.room.power_levels": frozenset(
        ("ban", "events", "events_default", "invite", "kick", "redact", "state_default", "users", "users_default")
    ),
    "m.room.redaction": frozenset(("redacts",)),
}

VERSIONS: dict[str, RoomVersion] = {
    "10": RoomVersion(
        "10", _KEPT_ALWAYS | {"origin", "prev_state", "membership"}, _CONTENT_10, redacts_in_content=False
    ),
    "11": RoomVersion("11", _KEPT_ALWAYS, _CONTENT_11),
    "12": RoomVersion("12", _KEPT_ALWAYS, _CONTENT_11, creators_above_all=True),
}
DEFAULT = "11"


def of(name: str) -> RoomVersion:
    """The room version of a name. Raises UnsupportedRoomVersion."""
    version = VERSIONS.get(name)
    if version is None:
        raise errors.UnsupportedRoomVersion(f"Room version {name[:20]!r} is not made here.")
    return version


def redacted(version: RoomVersion, event: Mapping[str, Any]) -> dict[str, Any]:
    """What is left of an event after redaction ("Redactions" of each room version)."""
    left = {key: value for key, value in event.items() if key in version.kept_keys}
    content = event.get("content") or {}
    kept = version.kept_content.get(str(event.get("type")), frozenset())
    if kept is True:
        left["content"] = dict(content)
        return left
    left["content"] = {key: value for key, value in content.items() if key in kept}  # type: ignore[operator]
    invite = left["content"].get("third_party_invite")
    if isinstance(invite, dict):
        left["content"]["third_party_invite"] = {key: value for key, value in invite.items() if key == "signed"}
    return left


def reference_hash(version: RoomVersion, event: Mapping[str, Any], nonce: str) -> str:
    """The reference hash of an event in URL-safe unpadded base64; with `$` before it, the event id.

    (Server-server API, "Calculating the reference hash for an event".) `event` has room_id, type, sender, content,
    origin_server_ts and perhaps state_key and redacts. Rooms are linear here and never federated, so the events have no
    graph to tell two equal ones apart: `nonce` goes into the content hash instead.
    """
    hashed = hashlib.sha256(_canonical({**event, "nonce": nonce})).digest()
    left = redacted(version, event)
    left["hashes"] = {"sha256": urlsafe_b64encode(hashed).decode().rstrip("=")}
    return urlsafe_b64encode(hashlib.sha256(_canonical(left)).digest()).decode().rstrip("=")


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
