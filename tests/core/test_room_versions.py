"""What room versions say about events: what redaction leaves, event ids as reference hashes, canonical JSON."""

import hashlib
import json
import re
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madoguchi import errors
from madoguchi.core.chat import room_versions
from madoguchi.core.chat.room_versions import VERSIONS, hashes

ALL = ("10", "11", "12")
# Written from the specification's "Redactions" of room versions 10 and 11 (12 keeps those of 11).
TOP = {
    "event_id", "type", "room_id", "sender", "state_key", "content", "hashes", "signatures", "depth", "prev_events",
    "auth_events", "origin_server_ts",
}  # fmt: skip
TOP_10 = TOP | {"origin", "membership", "prev_state"}
OTHERS = {"unsigned", "redacts", "txn", "age", "user_id"}
LEVELS = {"ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default"}
# type -> content keys kept in version 10, in versions 11 and 12
KEPT: dict[str, tuple[set[str], set[str]]] = {
    "m.room.member": ({"membership", "join_authorised_via_users_server"},) * 2,
    "m.room.join_rules": ({"join_rule", "allow"},) * 2,
    "m.room.history_visibility": ({"history_visibility"},) * 2,
    "m.room.power_levels": (LEVELS, LEVELS | {"invite"}),
    "m.room.redaction": (set(), {"redacts"}),
    "m.room.message": (set(), set()),
    "m.room.encrypted": (set(), set()),
    "m.room.aliases": (set(), set()),
    "m.room.name": (set(), set()),
    "m.room.encryption": (set(), set()),
}
EVERY_KEY = sorted(set().union(*(kept for both in KEPT.values() for kept in both)) | {"body", "creator", "reason"})


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("type_", sorted(KEPT))
def test_what_redaction_leaves_of_a_content(version: str, type_: str) -> None:
    event = {"type": type_, "content": dict.fromkeys(EVERY_KEY, 1)}
    left = VERSIONS[version].redacted(event)
    assert set(left["content"]) == KEPT[type_][version != "10"]


def test_what_redaction_leaves_of_a_create_event() -> None:
    event = {"type": "m.room.create", "content": {"creator": "@a:b", "room_version": "1", "type": "m.space", "x": 1}}
    assert VERSIONS["10"].redacted(event)["content"] == {"creator": "@a:b"}
    for version in ("11", "12"):
        assert VERSIONS[version].redacted(event)["content"] == event["content"]


def test_what_redaction_leaves_of_a_third_party_invite() -> None:
    invite = {"signed": {"mxid": "@a:b"}, "display_name": "あおい"}
    event = {"type": "m.room.member", "content": {"membership": "invite", "third_party_invite": invite}}
    assert VERSIONS["10"].redacted(event)["content"] == {"membership": "invite"}
    for version in ("11", "12"):
        left = VERSIONS[version].redacted(event)["content"]
        assert left == {"membership": "invite", "third_party_invite": {"signed": {"mxid": "@a:b"}}}


@pytest.mark.parametrize("version", ALL)
def test_what_redaction_leaves_of_an_event(version: str) -> None:
    event: dict[str, Any] = {**dict.fromkeys(TOP_10 | OTHERS, "x"), "type": "m.room.message", "content": {"body": "x"}}
    left = VERSIONS[version].redacted(event)
    assert set(left) == (TOP_10 if version == "10" else TOP)
    assert left["content"] == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
CONTENTS = st.dictionaries(st.sampled_from(EVERY_KEY), JSON, max_size=5)
EVENTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from([*KEPT, "m.room.create"]),
        "sender": st.just("@mio:test"),
        "room_id": st.just("!r:test"),
        "origin_server_ts": st.integers(0, 2**45),
        "content": CONTENTS,
    }
)


@settings(max_examples=150, deadline=None)
@given(event=EVENTS, version=st.sampled_from(ALL))
def test_redacting_twice_is_redacting_once(event: dict[str, Any], version: str) -> None:
    once = VERSIONS[version].redacted(event)
    assert VERSIONS[version].redacted(once) == once
    assert once["content"].items() <= event["content"].items() or event["type"] == "m.room.member"


def hash_of(value: Any) -> bytes:
    """Canonical JSON by Python's own encoder, hashed."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).digest()


@settings(max_examples=150, deadline=None)
@given(event=EVENTS, version=st.sampled_from(ALL))
def test_an_event_id_is_the_reference_hash(event: dict[str, Any], version: str) -> None:
    sent = {**event, "nonce": "n"}
    found = hashes.event_id(VERSIONS[version], sent)
    left = VERSIONS[version].redacted(event)
    assert hashes.content_hash(sent) == hash_of(sent)
    sha256 = b64encode(hash_of(sent)).decode().rstrip("=")
    assert found == "$" + urlsafe_b64encode(hash_of({**left, "hashes": {"sha256": sha256}})).decode().rstrip("=")
    assert re.fullmatch(r"\$[A-Za-z0-9_-]{43}", found)
    assert hashes.event_id(VERSIONS[version], {**event, "nonce": "other"}) != found
    assert hashes.event_id(VERSIONS[version], left, hash_of(sent)) == found, "also when it is redacted"
    assert hashes.event_id(VERSIONS[version], {**sent, "unsigned": {"age": 1}}) == found


@given(value=JSON)
def test_canonical_json_is_taken(value: Any) -> None:
    hashes.check_canonical(value)


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("value", [1.0, 2**53, -(2**53), [{"a": 0.5}], {"a": [2**60]}, deep(200)])
def test_what_is_no_canonical_json_is_refused(value: Any) -> None:
    with pytest.raises(errors.BadJson):
        hashes.check_canonical(value)


def test_unknown_versions_are_not_made() -> None:
    for name in ("1", "9", "13", "", "org.example"):
        with pytest.raises(errors.UnsupportedRoomVersion):
            room_versions.of(name)
