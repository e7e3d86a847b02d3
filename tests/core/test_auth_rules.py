"""The authorisation rules of room versions 10 to 12, against tables written by hand from the specification."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madoguchi import errors
from madoguchi.core.chat import auth_rules
from madoguchi.core.chat.room_versions import VERSIONS

MIO, KEN, SATO, AOI, RIN = (f"@{name}:test" for name in ("mio", "ken", "sato", "aoi", "rin"))
CREATOR = MIO
ALL_VERSIONS = ("10", "11", "12")


class Room:
    """State by hand: memberships, power levels (None: no such event), join rule, further creators."""

    def __init__(
        self,
        members: Mapping[str, str],
        levels: Mapping[str, Any] | None = None,
        rule: str | None = None,
        creators: list[str] | None = None,
    ) -> None:
        self.state: dict[tuple[str, str], Mapping[str, Any]] = {
            ("m.room.member", user): {"membership": membership} for user, membership in members.items()
        }
        self.state["m.room.create", ""] = {"additional_creators": creators} if creators else {}
        if levels is not None:
            self.state["m.room.power_levels", ""] = levels
        if rule is not None:
            self.state["m.room.join_rules", ""] = {"join_rule": rule}

    def __call__(self, type_: str, state_key: str) -> Mapping[str, Any] | None:
        return self.state.get((type_, state_key))

    def may(self, version: str, sender: str, type_: str, key: str | None, content: Mapping[str, Any]) -> bool:
        try:
            auth_rules.check_event(VERSIONS[version], self, CREATOR, sender, type_, key, content)
        except (errors.NotAllowed, errors.BadJson):
            return False
        return True

    def may_make(self, version: str, sender: str, target: str, membership: str, **more: Any) -> bool:
        return self.may(version, sender, "m.room.member", target, {"membership": membership, **more})


LEVELS = {"users": {KEN: 50, SATO: 50, MIO: 100}, "events": {"m.room.name": 30, "jp.word": 10}}

# was, join rule -> may they join by themselves?
JOINS = [
    ("leave", "public", True), ("leave", "invite", False), ("leave", "knock", False), ("leave", "restricted", False),
    ("leave", "knock_restricted", False), ("leave", "private", False), ("leave", None, False),
    ("invite", "invite", True), ("invite", "knock", True), ("invite", "restricted", True), ("invite", None, True),
    ("join", "invite", True), ("join", None, True), ("knock", "knock", False), ("knock", "public", True),
    ("ban", "public", False), ("ban", "invite", False), ("ban", "restricted", False),
]  # fmt: skip


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize(("was", "rule", "allowed"), JOINS)
def test_who_may_join(version: str, was: str, rule: str | None, allowed: bool) -> None:
    room = Room({MIO: "join", AOI: was}, LEVELS, rule)
    assert room.may_make(version, AOI, AOI, "join") is allowed
    assert not room.may_make(version, MIO, AOI, "join"), "nobody joins for another"
    vouched = room.may_make(version, AOI, AOI, "join", join_authorised_via_users_server=MIO)
    assert vouched is (allowed or (was not in ("ban",) and rule in ("restricted", "knock_restricted")))


# sender, target, who was -> becomes: allowed? Ken and Sato have 50; Rin and Aoi 0; kick and ban take 50, invite 0
MOVES = [
    (RIN, AOI, "leave", "invite", True), (RIN, AOI, "join", "invite", False), (RIN, AOI, "ban", "invite", False),
    (RIN, AOI, "invite", "invite", True), (RIN, AOI, "knock", "invite", True),
    (KEN, AOI, "join", "leave", True), (KEN, AOI, "invite", "leave", True), (KEN, AOI, "ban", "leave", True),
    (RIN, AOI, "join", "leave", False), (RIN, AOI, "ban", "leave", False), (RIN, AOI, "invite", "leave", False),
    (KEN, SATO, "join", "leave", False), (KEN, SATO, "join", "ban", False), (KEN, MIO, "join", "ban", False),
    (KEN, AOI, "join", "ban", True), (KEN, AOI, "leave", "ban", True), (KEN, AOI, "invite", "ban", True),
    (RIN, AOI, "join", "ban", False), (MIO, KEN, "join", "ban", True), (MIO, KEN, "join", "leave", True),
    (AOI, AOI, "join", "leave", True), (AOI, AOI, "invite", "leave", True), (AOI, AOI, "knock", "leave", True),
    (AOI, AOI, "leave", "leave", False), (AOI, AOI, "ban", "leave", False), (AOI, AOI, "leave", "invite", False),
    (AOI, KEN, "join", "leave", False), (KEN, AOI, "join", "knock", False), (KEN, AOI, "join", "nonsense", False),
]  # fmt: skip


@pytest.mark.parametrize("version", ["10", "11"])
@pytest.mark.parametrize(("sender", "target", "was", "to", "allowed"), MOVES)
def test_who_may_move_whom(version: str, sender: str, target: str, was: str, to: str, allowed: bool) -> None:
    room = Room({MIO: "join", KEN: "join", SATO: "join", RIN: "join", target: was}, LEVELS, "invite")
    assert room.may_make(version, sender, target, to) is allowed


@pytest.mark.parametrize(
    ("was", "rule", "allowed"),
    [
        ("leave", "knock", True), ("leave", "knock_restricted", True), ("knock", "knock", True),
        ("leave", "invite", False), ("leave", "public", False), ("leave", "restricted", False), ("leave", None, False),
        ("invite", "knock", False), ("join", "knock", False), ("ban", "knock", False),
    ],
)  # fmt: skip
def test_who_may_knock(was: str, rule: str | None, allowed: bool) -> None:
    room = Room({MIO: "join", AOI: was}, LEVELS, rule)
    assert room.may_make("11", AOI, AOI, "knock") is allowed
    assert not room.may_make("11", MIO, AOI, "knock")


# levels, sender, type, is state -> allowed
SENDING: list[tuple[Mapping[str, Any] | None, str, str, bool, bool]] = [
    (LEVELS, RIN, "m.room.message", False, True), (LEVELS, RIN, "jp.word", False, False),
    (LEVELS, KEN, "jp.word", False, True), (LEVELS, RIN, "m.room.topic", True, False),
    (LEVELS, KEN, "m.room.topic", True, True), (LEVELS, KEN, "m.room.name", True, True),
    ({"users": {KEN: 29}, "events": {"m.room.name": 30}}, KEN, "m.room.name", True, False),
    ({"users": {KEN: 30}, "events": {"m.room.name": 30}}, KEN, "m.room.name", True, True),
    # No power levels at all: state takes 0, and the creator has 100.
    (None, RIN, "m.room.topic", True, True), (None, MIO, "m.room.topic", True, True),
    # Empty power levels: state takes 50, and nobody has it.
    ({}, RIN, "m.room.topic", True, False), ({}, MIO, "m.room.topic", True, False),
    ({}, RIN, "m.room.message", False, True), ({"users_default": 50}, RIN, "m.room.topic", True, True),
    ({"events_default": 1}, RIN, "m.room.message", False, False),
    ({"state_default": 0}, RIN, "m.room.topic", True, True),
    (LEVELS, MIO, "m.room.create", True, False), (LEVELS, AOI, "m.room.message", False, False),
]  # fmt: skip


@pytest.mark.parametrize("version", ["10", "11"])
@pytest.mark.parametrize(("levels", "sender", "type_", "is_state", "allowed"), SENDING)
def test_who_may_send(
    version: str, levels: Mapping[str, Any] | None, sender: str, type_: str, is_state: bool, allowed: bool
) -> None:
    room = Room({MIO: "join", KEN: "join", RIN: "join", AOI: "leave"}, levels)
    assert room.may(version, sender, type_, "" if is_state else None, {}) is allowed


def test_state_under_a_users_name_is_that_users_own() -> None:
    room = Room({MIO: "join", KEN: "join"}, {"users": {MIO: 100}, "state_default": 0})
    assert room.may("11", KEN, "jp.state", KEN, {})
    assert not room.may("11", MIO, "jp.state", KEN, {})
    assert room.may("11", MIO, "jp.state", "ken", {})


# old, new -> may Ken (50) change it so?
CHANGES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({}, {"ban": 50}, True), ({}, {"ban": 51}, False), ({"ban": 51}, {}, False), ({"ban": 50}, {}, True),
    ({"ban": 60}, {"ban": 40}, False), ({"invite": 10}, {"invite": 50}, True), ({}, {"users_default": 51}, False),
    ({}, {"events": {"a": 50}}, True), ({}, {"events": {"a": 51}}, False), ({"events": {"a": 51}}, {}, False),
    ({"events": {"a": 51}}, {"events": {"a": 51}}, True), ({}, {"notifications": {"room": 51}}, False),
    ({"notifications": {"room": 51}}, {"notifications": {"room": 50}}, False),
    ({}, {"users": {AOI: 50}}, True), ({}, {"users": {AOI: 51}}, False),
    ({"users": {AOI: 49}}, {"users": {AOI: 0}}, True), ({"users": {AOI: 50}}, {"users": {AOI: 0}}, False),
    ({"users": {AOI: 50}}, {}, False), ({"users": {AOI: 49}}, {}, True), ({"users": {AOI: 60}}, {}, False),
    ({}, {"users": {KEN: 0}}, True), ({}, {"users": {KEN: 51}}, False),
    ({}, {"ban": "50"}, False), ({}, {"ban": 5.0}, False), ({}, {"ban": True}, False),
    ({}, {"users": {"aoi": 1}}, False), ({}, {"users": {AOI: "1"}}, False),
    ({}, {"events": {"a": None}}, False), ({}, {"events": []}, False),
    ({}, {"notifications": {"room": 1.5}}, False),
]  # fmt: skip


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize(("old", "new", "allowed"), CHANGES)
def test_nobody_lifts_anyone_above_themselves(
    version: str, old: dict[str, Any], new: dict[str, Any], allowed: bool
) -> None:
    own = {KEN: 50}
    old = {**old, "users": {**own, **old.get("users", {})}}
    if isinstance(new.get("users", {}), dict):
        new = {**new, "users": {**own, **new.get("users", {})}}
    room = Room({MIO: "join", KEN: "join"}, old)
    assert room.may(version, KEN, "m.room.power_levels", "", new) is allowed


def test_version_12_puts_creators_above_all() -> None:
    room = Room({MIO: "join", KEN: "join", RIN: "join"}, {"users": {RIN: 2**53 - 1}}, creators=[KEN])
    assert room.may("12", MIO, "m.room.power_levels", "", {"users": {RIN: 0}})
    assert room.may("12", KEN, "m.room.power_levels", "", {"users": {RIN: 0}})
    assert not room.may("12", MIO, "m.room.power_levels", "", {"users": {MIO: 100}}), "creators have no level"
    assert not room.may("12", MIO, "m.room.power_levels", "", {"users": {KEN: 100}})
    assert room.may_make("12", KEN, RIN, "ban")
    assert not room.may_make("12", RIN, KEN, "leave")
    assert not room.may_make("12", MIO, KEN, "leave"), "nor does a creator remove another"
    assert room.may("12", KEN, "m.room.tombstone", "", {})
    # Elsewhere the key means nothing.
    assert not room.may("11", KEN, "m.room.topic", "", {})


# What the authorisation rules say of memberships, once more and in other words: is `sender` making `target`, who was
# `was`, into `to` right? Levels: of the sender, of the target.
def membership_by_the_spec(
    sender: str, target: str, was: str, to: str, in_room: bool, rule: str, own: int, other: int, needed: dict[str, int]
) -> bool:
    if to == "join":
        return sender == target and was != "ban" and (rule == "public" or was in ("join", "invite"))
    if to == "knock":
        return sender == target and was in ("leave", "knock") and rule in ("knock", "knock_restricted")
    if to == "leave" and sender == target:
        return was in ("join", "invite", "knock")
    if not in_room:
        return False
    if to == "invite":
        return was not in ("join", "ban") and own >= needed["invite"]
    if to == "leave":
        return own >= needed["kick"] and other < own and (was != "ban" or own >= needed["ban"])
    return own >= needed["ban"] and other < own


PLACES = st.sampled_from(["join", "invite", "leave", "knock", "ban"])
POWERS = st.fixed_dictionaries(dict.fromkeys(("invite", "kick", "ban"), st.integers(0, 3)))


@settings(max_examples=400, deadline=None)
@given(
    places=st.tuples(PLACES, PLACES, PLACES), levels=st.tuples(*[st.integers(0, 3)] * 3), needed=POWERS,
    sender=st.integers(0, 2), target=st.integers(0, 2), to=PLACES, version=st.sampled_from(ALL_VERSIONS),
    rule=st.sampled_from(["public", "invite", "knock", "restricted", "knock_restricted", "private"]),
)  # fmt: skip
def test_memberships_are_judged_as_the_specification_says(
    places: tuple[str, ...], levels: tuple[int, ...], needed: dict[str, int], sender: int, target: int, to: str,
    version: str, rule: str,
) -> None:  # fmt: skip
    names = (KEN, SATO, AOI)
    users = dict(zip(names, levels, strict=True))
    room = Room({MIO: "join", **dict(zip(names, places, strict=True))}, {"users": users, **needed}, rule)
    expected = membership_by_the_spec(
        names[sender], names[target], places[target], to, places[sender] == "join", rule,
        levels[sender], levels[target], needed,
    )  # fmt: skip
    assert room.may_make(version, names[sender], names[target], to) is expected


NAMES = st.sampled_from([MIO, KEN, RIN])
LEVEL = st.integers(-10, 110)
TABLES = st.fixed_dictionaries(
    {"users": st.dictionaries(NAMES, LEVEL)},
    optional={
        **dict.fromkeys(("ban", "kick", "invite", "redact", "state_default", "events_default", "users_default"), LEVEL),
        "events": st.dictionaries(st.sampled_from(["a", "m.room.power_levels"]), LEVEL),
        "notifications": st.dictionaries(st.just("room"), LEVEL),
    },
)


@settings(max_examples=300, deadline=None)
@given(old=TABLES, new=TABLES, sender=NAMES, version=st.sampled_from(ALL_VERSIONS))
def test_a_change_of_levels_never_gives_more_than_one_has(
    old: dict[str, Any], new: dict[str, Any], sender: str, version: str
) -> None:
    room = Room(dict.fromkeys((MIO, KEN, RIN), "join"), old)
    if not room.may(version, sender, "m.room.power_levels", "", new):
        return
    level = auth_rules.level_of(VERSIONS[version], room, CREATOR, sender)
    for user, given_ in new["users"].items():
        assert given_ == old["users"].get(user) or given_ <= level
    for user, had in old["users"].items():
        assert new["users"].get(user) == had or had < level or user == sender
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if before != after and not isinstance(before, dict) and not isinstance(after, dict):
            assert (before is None or before <= level) and (after is None or after <= level)
