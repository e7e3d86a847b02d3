"""What push rules mean, held against a second reading of the specification that is slow and plain."""

import re
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madoguchi.core.chat.push import RoomFacts, Rules, Verdict, actions_of, evaluate
from madoguchi.core.chat.push_conditions import compile_condition, split_path, whole_match, words_match
from madoguchi.storage.default_push_rules import OWNER
from madoguchi.storage.push import DefaultChange, OwnRule, RuleChanges, push_rules_content, rule_set

Json = dict[str, Any]
MIO, KEN = "@mio:madoguchi.test", "@ken:madoguchi.test"
TWO = RoomFacts(member_count=2, display_name="ミオ", owner=MIO)
MANY = RoomFacts(
    member_count=5, display_name="Mio Tanaka", power_levels={"users": {KEN: 50}, "users_default": 0}, owner=MIO
)
QUIET, NOTIFY, LOUD = Verdict(False, False), Verdict(True, False), Verdict(True, True)


def event(type_: str = "m.room.message", sender: str = KEN, state_key: str | None = None, **content: Any) -> Json:
    told = {"type": type_, "sender": sender, "room_id": "!r:madoguchi.test", "content": content}
    return told if state_key is None else told | {"state_key": state_key}


def verdict(told: Json, room: RoomFacts = MANY, **changes: Any) -> Verdict:
    return evaluate(Rules(rule_set(OWNER, RuleChanges(**changes))), told, room, MIO)


# -- the default rules ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("told", "room", "expected"),
    [
        (event(body="hello", msgtype="m.text"), MANY, NOTIFY),
        (event("m.room.encrypted"), MANY, NOTIFY),
        (event("m.room.encrypted"), TWO, NOTIFY),
        # A reaction that is sealed whole says only that nobody is called for it.
        (event("m.room.encrypted", **{"jp.madoguchi.quiet": True}), TWO, QUIET),
        (event("m.room.encrypted", **{"jp.madoguchi.quiet": "no"}), TWO, NOTIFY),
        (event(body="hello", sender=MIO), MANY, QUIET),
        (event(body="hello mio!", sender=MIO), MANY, QUIET),
        (event(body="hello", msgtype="m.notice"), MANY, QUIET),
        (event("m.reaction"), MANY, QUIET),
        (event("jp.madoguchi.something"), MANY, QUIET),
        (event("m.room.member", state_key=KEN, membership="join"), MANY, QUIET),
        (event("m.room.member", state_key=MIO, membership="invite"), MANY, NOTIFY),
        (event("m.room.member", state_key=KEN, membership="invite"), MANY, QUIET),
        (event("m.room.tombstone", state_key=""), MANY, LOUD),
        (event("m.room.tombstone"), MANY, QUIET),
        (event("m.room.server_acl", state_key=""), MANY, QUIET),
        (event("m.call.invite"), TWO, NOTIFY),
        # By name, while the event does not say itself whom it mentions.
        (event(body="hello mio."), MANY, LOUD),
        (event(body="MIO?"), MANY, LOUD),
        (event(body="hello miomio"), MANY, NOTIFY),
        (event(body="dear Mio Tanaka, "), MANY, LOUD),
        (event(body="こんにちはミオさん"), TWO, LOUD),
        (event(body="hello mio", **{"m.mentions": {}}), MANY, NOTIFY),
        (event(body="dear Mio Tanaka", **{"m.mentions": {"user_ids": [KEN]}}), MANY, NOTIFY),
        (event(body="@room", **{"m.mentions": {}}), MANY, NOTIFY),
        (event(body="x", **{"m.mentions": {"user_ids": [KEN, MIO]}}), MANY, LOUD),
        (event("m.room.encrypted", **{"m.mentions": {"user_ids": [MIO]}}), MANY, LOUD),
        (event(body="x", **{"m.mentions": {"user_ids": MIO}}), MANY, NOTIFY),
        # The whole room, by those who may.
        (event(body="@room come"), MANY, LOUD),
        (event(body="@room come", sender="@x:y"), MANY, NOTIFY),
        (event(body="x", **{"m.mentions": {"room": True}}), MANY, LOUD),
        (event(body="x", **{"m.mentions": {"room": 1}}), MANY, NOTIFY),
        (event(body="x", sender="@x:y", **{"m.mentions": {"room": True}}), MANY, NOTIFY),
        (event(body="* x", **{"m.relates_to": {"rel_type": "m.replace"}}), MANY, QUIET),
        (event("m.room.encrypted", **{"m.relates_to": {"rel_type": "m.replace"}}), TWO, QUIET),
        # An edit that mentions still does.
        (event(body="x", **{"m.relates_to": {"rel_type": "m.replace"}, "m.mentions": {"user_ids": [MIO]}}), MANY, LOUD),
        ({"type": 3, "sender": KEN, "content": {}}, MANY, QUIET),
        ({"type": "m.room.message", "sender": KEN, "content": "text"}, MANY, NOTIFY),
        ({"type": "m.room.message", "sender": KEN, "content": {"body": 1, "m.mentions": 7}}, MANY, NOTIFY),
    ],
)
def test_the_default_rules_say_whom_to_tell(told: Json, room: RoomFacts, expected: Verdict) -> None:
    assert verdict(told, room) == expected


@pytest.mark.parametrize("user_id", [MIO, '@an "old" name\\:madoguchi.test', "@澪:madoguchi.test"])
def test_who_has_changed_nothing_is_shown_rules_of_their_own(user_id: str) -> None:
    shown = msgspec.json.decode(push_rules_content(user_id, None))
    assert shown == msgspec.to_builtins({"global": rule_set(user_id, RuleChanges())})


def test_rules_that_people_share_mean_each_of_them() -> None:
    rules = Rules(rule_set(OWNER, RuleChanges()))
    hers, his = MANY, msgspec.structs.replace(MANY, display_name="Ken", owner=KEN)
    aoi = "@aoi:madoguchi.test"
    called = event(body="x", sender=aoi, **{"m.mentions": {"user_ids": [MIO]}})
    assert (evaluate(rules, called, hers, MIO), evaluate(rules, called, his, KEN)) == (LOUD, NOTIFY)
    named = event(body="Is mio there?", sender=aoi)
    assert (evaluate(rules, named, hers, MIO), evaluate(rules, named, his, KEN)) == (LOUD, NOTIFY)
    invited = event("m.room.member", sender=aoi, state_key=MIO, membership="invite")
    assert (evaluate(rules, invited, hers, MIO), evaluate(rules, invited, his, KEN)) == (NOTIFY, QUIET)


def test_the_sound_of_a_one_to_one_room_differs() -> None:
    rules = Rules(rule_set(OWNER, RuleChanges()))
    assert actions_of(rules, event(body="x"), TWO, MIO) == ["notify", {"set_tweak": "sound", "value": "default"}]
    assert actions_of(rules, event(body="x"), MANY, MIO) == ["notify"]
    assert actions_of(rules, event(body="x", sender=MIO), MANY, MIO) == []


# -- the user's own ---------------------------------------------------------------------------------------------------
def test_kinds_are_asked_in_their_order() -> None:
    loud: list[Any] = ["notify", {"set_tweak": "highlight"}]
    room = {"room": [OwnRule("!r:madoguchi.test", actions=[])]}
    sender = {"sender": [OwnRule(KEN, actions=loud)]}
    content = {"content": [OwnRule("tea", actions=loud, pattern="tea")]}
    override = {"override": [OwnRule("all", actions=[], conditions=[])]}
    tea = event(body="Time for tea")
    assert verdict(tea, own=room) == QUIET
    assert verdict(tea, own=sender) == LOUD
    assert verdict(tea, own=room | sender) == QUIET
    assert verdict(tea, own=room | sender | content) == LOUD
    assert verdict(tea, own=room | sender | content | override) == QUIET
    assert verdict(event(body="other", sender="@x:y"), own=sender | content) == NOTIFY


def test_the_first_of_a_kind_decides_and_a_rule_switched_off_never_holds() -> None:
    rules = [OwnRule("a", actions=[], pattern="tea"), OwnRule("b", actions=["notify"], pattern="time")]
    assert verdict(event(body="time for tea"), own={"content": rules}) == QUIET
    assert verdict(event(body="time for tea"), own={"content": rules[::-1]}) == NOTIFY
    rules[0].enabled = False
    assert verdict(event(body="time for tea"), own={"content": rules}) == NOTIFY


def test_the_master_rule_silences_everything() -> None:
    changes = {".m.rule.master": DefaultChange(enabled=True)}
    own = {"override": [OwnRule("all", actions=["notify"], conditions=[])]}
    assert verdict(event(body="mio"), own=own, defaults=changes) == QUIET


def test_default_rules_can_be_switched_off_and_given_other_actions() -> None:
    off = {".m.rule.message": DefaultChange(enabled=False)}
    assert verdict(event(body="x"), defaults=off) == QUIET
    assert verdict(event(body="x"), defaults={".m.rule.message": DefaultChange(actions=[])}) == QUIET


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (["notify"], NOTIFY),
        (["notify", "dont_notify", "coalesce", "whatever"], NOTIFY),
        (["dont_notify"], QUIET),
        (["notify", {"set_tweak": "highlight"}], LOUD),
        (["notify", {"set_tweak": "highlight", "value": True}], LOUD),
        (["notify", {"set_tweak": "highlight", "value": False}], NOTIFY),
        (["notify", {"set_tweak": "sound", "value": "x"}], NOTIFY),
    ],
)
def test_actions_come_to_a_verdict(actions: list[Any], expected: Verdict) -> None:
    own = {"override": [OwnRule("all", actions=actions, conditions=[])]}
    assert verdict(event(body="x"), own=own) == expected


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"kind": "room_member_count", "is": "5"}, True),
        ({"kind": "room_member_count", "is": "==5"}, True),
        ({"kind": "room_member_count", "is": "<5"}, False),
        ({"kind": "room_member_count", "is": "<=5"}, True),
        ({"kind": "room_member_count", "is": ">4"}, True),
        ({"kind": "room_member_count", "is": ">=6"}, False),
        ({"kind": "room_member_count", "is": "many"}, False),
        ({"kind": "room_member_count", "is": "!=4"}, False),
        ({"kind": "room_member_count", "is": "5\n"}, False),
        ({"kind": "event_match", "key": "content.n", "pattern": "*"}, False),
        ({"kind": "event_match", "key": "content.missing", "pattern": "*"}, False),
        ({"kind": "event_match", "key": "content.dotted\\.key", "pattern": "V?L*"}, True),
        ({"kind": "event_match", "key": "content.dotted.key", "pattern": "*"}, False),
        ({"kind": "event_match", "key": "content.topic", "pattern": "lunc?*"}, True),
        ({"kind": "event_match", "key": "content.topic", "pattern": "unch plans"}, False),
        ({"kind": "event_match", "key": "room_id", "pattern": "!r:madoguchi.test"}, True),
        ({"kind": "event_match", "key": "sender"}, False),
        ({"kind": "event_property_is", "key": "content.n", "value": 1}, True),
        ({"kind": "event_property_is", "key": "content.n", "value": True}, False),
        ({"kind": "event_property_is", "key": "content.n", "value": "1"}, False),
        ({"kind": "event_property_is", "key": "content.null", "value": None}, True),
        ({"kind": "event_property_is", "key": "content.missing", "value": None}, False),
        ({"kind": "event_property_is", "key": "content.list", "value": []}, False),
        ({"kind": "event_property_is", "key": "content.n"}, False),
        ({"kind": "event_property_contains", "key": "content.list", "value": "a"}, True),
        ({"kind": "event_property_contains", "key": "content.list", "value": True}, False),
        ({"kind": "event_property_contains", "key": "content.list", "value": None}, True),
        ({"kind": "event_property_contains", "key": "content.topic", "value": "L"}, False),
        ({"kind": "sender_notification_permission", "key": "room"}, True),
        ({"kind": "sender_notification_permission"}, False),
        ({"kind": "of the future"}, False),
    ],
)
def test_each_condition_means_what_the_specification_says(condition: Json, holds: bool) -> None:
    told = event(n=1, null=None, topic="Lunch plans", list=["a", 1, None, ["b"]], **{"dotted.key": "value"})
    check = compile_condition(condition)
    assert (check is not None and check(told, MANY)) is holds


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        (RoomFacts(2, None), False),
        (RoomFacts(2, None, creators=frozenset({KEN})), True),
        (RoomFacts(2, {}), False),
        (RoomFacts(2, {"users_default": 50}), True),
        (RoomFacts(2, {"users": {KEN: 49}}), False),
        (RoomFacts(2, {"users": {KEN: "50"}}), True),
        (RoomFacts(2, {"users": {KEN: 0}, "notifications": {"room": 0}}), True),
        (RoomFacts(2, {"users": {KEN: 99}, "notifications": {"room": 100}}), False),
        (RoomFacts(2, {}, creators=frozenset({KEN})), False),
        (RoomFacts(2, {}, creators=frozenset({KEN}), creators_rule=True), True),
        (RoomFacts(2, {"users": 1, "notifications": []}), False),
    ],
)
def test_the_sender_needs_the_power(room: RoomFacts, allowed: bool) -> None:
    check = compile_condition({"kind": "sender_notification_permission", "key": "room"})
    assert check is not None and check(event(body="@room"), room) is allowed


# -- patterns, by a plain second reading ------------------------------------------------------------------------------
LETTERS = st.text(alphabet="ab?*. _Aあ", max_size=8)
TEXTS = st.text(alphabet="abAB. _あ\n", max_size=14)
WORD = re.compile(r"[A-Za-z0-9_]")


def plainly(pattern: str, value: str) -> bool:
    """Glob by recursion."""
    if not pattern:
        return not value
    if pattern[0] == "*":
        return any(plainly(pattern[1:], value[n:]) for n in range(len(value) + 1))
    return bool(value) and pattern[0] in ("?", value[0]) and plainly(pattern[1:], value[1:])


def is_boundary(value: str, at: int) -> tuple[bool, bool]:
    """(a part may begin here, a part may end here)."""
    return at == 0 or not WORD.match(value[at - 1]), at == len(value) or not WORD.match(value[at])


@given(LETTERS, TEXTS)
@settings(max_examples=400)
def test_whole_values_match_as_globs_do(pattern: str, value: str) -> None:
    assert whole_match(pattern)(value) == plainly(pattern.lower(), value.lower())
    assert whole_match(pattern, ignore_case=False)(value) == plainly(pattern, value)


@given(LETTERS, TEXTS)
@settings(max_examples=400)
def test_texts_match_in_parts_between_word_boundaries(pattern: str, value: str) -> None:
    expected = any(
        is_boundary(value, start)[0]
        and is_boundary(value, end)[1]
        and plainly(pattern.lower(), value[start:end].lower())
        for start in range(len(value) + 1)
        for end in range(start, len(value) + 1)
    )
    assert words_match(pattern)(value) == expected


@given(st.lists(st.text(alphabet="a.\\b", max_size=4), min_size=1, max_size=4))
def test_paths_are_split_as_they_were_joined(parts: list[str]) -> None:
    joined = ".".join(part.replace("\\", "\\\\").replace(".", "\\.") for part in parts)
    assert split_path(joined) == parts


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab@", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["body", "a", "m.mentions", "room"]), inner)
    ),
    max_leaves=6,
)
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(
            ["event_match", "event_property_is", "event_property_contains", "contains_display_name"]
        )
        | JSON,
        "key": st.sampled_from(["content.body", "content.a", "type", "a.b.c"]) | JSON,
        "pattern": st.sampled_from(["a", "*", "a*b"]) | JSON,
        "value": JSON,
        "is": JSON,
    },
)


@given(JSON, st.lists(CONDITIONS, max_size=3), JSON)
def test_nothing_that_can_be_sent_breaks_the_evaluation(content: Any, conditions: list[Json], levels: Any) -> None:
    own = {
        kind: [OwnRule("x", actions=["notify"], conditions=conditions, pattern="a*")]
        for kind in ("override", "content")
    }
    facts = RoomFacts(2, levels if isinstance(levels, dict) else None, "a")
    told = {"type": "m.room.message", "sender": KEN, "content": content}
    assert evaluate(Rules(rule_set(OWNER, RuleChanges(own=own))), told, facts, MIO) in (QUIET, NOTIFY, LOUD)


# -- time -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("pattern", ["a*a*a*a*a*a*b", "*a*a*a*a*c*", "a?*a?*a?*b"])
def test_no_pattern_takes_long_however_it_is_made(pattern: str) -> None:
    text = "a " * 30_000
    began = time.perf_counter()
    words_match(pattern)(text)
    whole_match(pattern)(text)
    assert time.perf_counter() - began < 1


def test_an_encrypted_message_costs_next_to_nothing() -> None:
    rules = Rules(rule_set(OWNER, RuleChanges()))
    told = event("m.room.encrypted", algorithm="m.megolm.v1.aes-sha2", ciphertext="x", session_id="y")
    began = time.perf_counter()
    for _ in range(10_000):
        evaluate(rules, told, MANY, MIO)
    assert time.perf_counter() - began < 0.5
