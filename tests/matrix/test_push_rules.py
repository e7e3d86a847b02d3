"""Push rules over HTTP: the default set, and how a user changes it. tests/core/test_push.py has their meaning."""

from typing import Any

import pytest

from tests.cast import V3, Person, refused, segment

Json = dict[str, Any]
GLOBAL = f"{V3}/pushrules/global"


def path(kind: str, rule_id: str, part: str = "") -> str:
    return f"{GLOBAL}/{kind}/{segment(rule_id)}{part}"


async def ids(person: Person, kind: str) -> list[str]:
    """The user's own rules of a kind, in order."""
    return [rule["rule_id"] for rule in (await person.get(f"{GLOBAL}/"))[kind] if not rule["default"]]


async def test_everybody_begins_with_the_specifications_rules(mio: Person) -> None:
    rules = (await mio.get(f"{V3}/pushrules/"))["global"]
    assert rules == await mio.get(f"{GLOBAL}/")
    assert [rule["rule_id"] for rule in rules["override"]] == [
        ".m.rule.master",
        ".m.rule.suppress_notices",
        ".m.rule.invite_for_me",
        ".m.rule.member_event",
        ".m.rule.is_user_mention",
        ".m.rule.contains_display_name",
        ".m.rule.is_room_mention",
        ".m.rule.roomnotif",
        ".m.rule.tombstone",
        ".m.rule.reaction",
        ".m.rule.room.server_acl",
        ".m.rule.suppress_edits",
    ]
    assert [rule["rule_id"] for rule in rules["underride"]] == [
        ".m.rule.call",
        ".m.rule.encrypted_room_one_to_one",
        ".m.rule.room_one_to_one",
        ".m.rule.message",
        ".m.rule.encrypted",
    ]
    assert rules["content"][0]["pattern"] == mio.localpart
    assert rules["room"] == rules["sender"] == []
    assert [rule["rule_id"] for kind in rules.values() for rule in kind if not rule["enabled"]] == [".m.rule.master"]
    assert (await mio.get(path("override", ".m.rule.invite_for_me")))["conditions"][2]["pattern"] == mio.user_id


async def test_a_rule_is_made_changed_switched_and_taken_away(mio: Person) -> None:
    await mio.put(path("content", "cake"), {"pattern": "cake*lie", "actions": ["notify"]})
    expected = {"rule_id": "cake", "pattern": "cake*lie", "actions": ["notify"], "default": False, "enabled": True}
    assert await mio.get(path("content", "cake")) == expected
    await mio.put(path("content", "cake", "/enabled"), {"enabled": False})
    assert await mio.get(path("content", "cake", "/enabled")) == {"enabled": False}
    await mio.put(path("content", "cake", "/actions"), {"actions": []})
    assert await mio.get(path("content", "cake", "/actions")) == {"actions": []}
    # Changing it leaves it switched off: only a new rule is always on.
    await mio.put(path("content", "cake"), {"pattern": "cake", "actions": ["notify"]})
    assert (await mio.get(path("content", "cake")))["enabled"] is False
    await mio.delete(path("content", "cake"))
    await refused(mio.get(path("content", "cake")), 404, "M_NOT_FOUND")
    await refused(mio.delete(path("content", "cake")), 404, "M_NOT_FOUND")
    await refused(mio.get(path("content", "cake", "/enabled")), 404, "M_NOT_FOUND")
    await refused(mio.put(path("content", "cake", "/actions"), {"actions": []}), 404, "M_NOT_FOUND")


async def test_rules_stand_where_they_are_put(mio: Person) -> None:
    body: Json = {"actions": ["notify"]}
    for name in ("a", "b", "c"):
        await mio.put(path("sender", name), body)
    assert await ids(mio, "sender") == ["c", "b", "a"]
    await mio.put(path("sender", "d"), body, before="b")
    assert await ids(mio, "sender") == ["c", "d", "b", "a"]
    await mio.put(path("sender", "e"), body, after="b")
    assert await ids(mio, "sender") == ["c", "d", "b", "e", "a"]
    await mio.put(path("sender", "c"), body, after="a")
    assert await ids(mio, "sender") == ["d", "b", "e", "a", "c"]
    await mio.put(path("sender", "c"), body, before="d", after="a")
    assert await ids(mio, "sender") == ["c", "d", "b", "e", "a"]
    await mio.put(path("sender", "b"), {"actions": []})
    assert await ids(mio, "sender") == ["c", "d", "b", "e", "a"]
    for query in ({"before": "nosuch"}, {"after": ".m.rule.message"}, {"before": "f"}):
        await refused(mio.put(path("sender", "f"), body, **query), 400, "M_UNKNOWN")
    assert await ids(mio, "sender") == ["c", "d", "b", "e", "a"]


async def test_the_users_rules_stand_above_the_default_ones_but_for_the_master_rule(mio: Person) -> None:
    condition = {"kind": "event_match", "key": "content.body", "pattern": "x"}
    for kind in ("override", "underride"):
        await mio.put(path(kind, "mine"), {"actions": [], "conditions": [condition]})
        assert (await mio.get(path(kind, "mine")))["conditions"] == [condition]
    rules = await mio.get(f"{GLOBAL}/")
    assert [rule["rule_id"] for rule in rules["override"]][:3] == [".m.rule.master", "mine", ".m.rule.suppress_notices"]
    assert [rule["rule_id"] for rule in rules["underride"]][:2] == ["mine", ".m.rule.call"]


async def test_default_rules_can_be_switched_and_changed_but_not_replaced(mio: Person, ken: Person) -> None:
    await mio.put(path("override", ".m.rule.master", "/enabled"), {"enabled": True})
    await mio.put(path("underride", ".m.rule.message", "/actions"), {"actions": []})
    assert (await mio.get(path("override", ".m.rule.master")))["enabled"] is True
    changed = await mio.get(path("underride", ".m.rule.message"))
    assert (changed["actions"], changed["default"]) == ([], True)
    await refused(mio.put(path("override", ".m.rule.master"), {"actions": []}), 400, "M_INVALID_PARAM")
    await refused(mio.delete(path("override", ".m.rule.master")), 404, "M_NOT_FOUND")
    assert (await ken.get(path("override", ".m.rule.master")))["enabled"] is False


async def test_every_change_reaches_the_users_devices(mio: Person) -> None:
    first = await mio.catches_up()
    (told,) = [event for event in first["account_data"]["events"] if event["type"] == "m.push_rules"]
    assert told["content"]["global"] == await mio.get(f"{GLOBAL}/")
    await mio.put(path("room", "!quiet:madoguchi.test"), {"actions": []})
    second = await mio.catches_up(timeout_ms=5000)
    (told,) = [event for event in second["account_data"]["events"] if event["type"] == "m.push_rules"]
    assert told["content"]["global"]["room"][0]["rule_id"] == "!quiet:madoguchi.test"
    third = await mio.catches_up()
    assert not any(event["type"] == "m.push_rules" for event in third.get("account_data", {}).get("events", []))


@pytest.mark.parametrize(
    ("kind", "rule_id", "body"),
    [
        ("nosuch", "a", {"actions": []}),
        ("content", "a", {"actions": []}),
        ("content", ".mine", {"actions": [], "pattern": "x"}),
        ("content", "a\\b", {"actions": [], "pattern": "x"}),
        ("content", "a/b", {"actions": [], "pattern": "x"}),
        ("content", "x" * 300, {"actions": [], "pattern": "x"}),
        ("override", "a", {}),
        ("override", "a", {"actions": "notify"}),
        ("override", "a", {"actions": [1]}),
        ("override", "a", {"actions": [{"value": "x"}]}),
        ("override", "a", {"actions": [], "conditions": [{}]}),
        ("override", "a", {"actions": [], "conditions": [{"kind": "event_match", "key": "x"}]}),
        ("override", "a", {"actions": [], "conditions": [{"kind": "event_property_is", "key": "x", "value": []}]}),
    ],
)
async def test_rules_without_sense_are_refused(mio: Person, kind: str, rule_id: str, body: Json) -> None:
    await refused(mio.put(path(kind, rule_id), body), 400)


# -- pushers ----------------------------------------------------------------------------------------------------------
PUSHER: Json = {
    "app_id": "jp.madoguchi.test",
    "app_display_name": "Test",
    "device_display_name": "Phone",
    "kind": "http",
    "lang": "ja",
    "data": {"url": "https://127.0.0.1:9/_matrix/push/v1/notify", "format": "event_id_only"},
}


async def test_a_pusher_is_set_listed_and_taken_away(mio: Person) -> None:
    assert await mio.get(f"{V3}/pushers") == {"pushers": []}
    await mio.post(f"{V3}/pushers/set", PUSHER | {"pushkey": mio.user_id})
    await mio.post(f"{V3}/pushers/set", PUSHER | {"pushkey": mio.user_id, "lang": "en"})
    (shown,) = (await mio.get(f"{V3}/pushers"))["pushers"]
    assert shown == PUSHER | {"pushkey": mio.user_id, "lang": "en"}
    await mio.post(f"{V3}/pushers/set", {"app_id": PUSHER["app_id"], "pushkey": mio.user_id, "kind": None})
    assert await mio.get(f"{V3}/pushers") == {"pushers": []}


async def test_one_device_tells_one_user_unless_asked_otherwise(mio: Person, ken: Person, sato: Person) -> None:
    key = {"pushkey": mio.user_id}
    await mio.post(f"{V3}/pushers/set", PUSHER | key)
    await ken.post(f"{V3}/pushers/set", PUSHER | key | {"append": True})
    assert len((await mio.get(f"{V3}/pushers"))["pushers"]) == 1
    await sato.post(f"{V3}/pushers/set", PUSHER | key)
    assert [(await person.get(f"{V3}/pushers"))["pushers"] == [] for person in (mio, ken, sato)] == [True, True, False]


async def test_a_pusher_goes_with_its_device(mio: Person) -> None:
    phone = await mio.logs_in_again()
    await phone.post(f"{V3}/pushers/set", PUSHER | {"pushkey": mio.user_id})
    await phone.post(f"{V3}/logout")
    assert await mio.get(f"{V3}/pushers") == {"pushers": []}


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "carrier pigeon"},
        {"data": {}},
        {"data": {"url": "https://127.0.0.1:9/elsewhere"}},
        {"data": None},
        {"lang": None},
        {"app_id": "x" * 65},
        {"pushkey": "x" * 513},
    ],
)
async def test_pushers_without_sense_are_refused(mio: Person, wrong: Json) -> None:
    await refused(mio.post(f"{V3}/pushers/set", PUSHER | {"pushkey": "k"} | wrong), 400)


# -- notifications ----------------------------------------------------------------------------------------------------
async def test_what_somebody_was_told_of_is_listed_page_by_page(mio: Person, ken: Person, aoi: Person) -> None:
    room = await ken.opens_a_room()
    await ken.says(room, "before Mio came")
    await ken.invites(room, mio)
    (invitation,) = (await mio.get(f"{V3}/notifications"))["notifications"]
    assert invitation["event"]["type"] == "m.room.member" and invitation["room_id"] == room
    await mio.joins(room)
    events = [await ken.says(room, f"{n}") for n in range(5)]
    events.append(await ken.says(room, f"dear {mio.localpart}"))
    await ken.sends(room, "m.room.message", {"msgtype": "m.notice", "body": "notice"})
    await mio.put(f"{V3}/profile/{segment(mio.user_id)}/displayname", {"displayname": "another name"})
    await mio.post(f"{V3}/rooms/{segment(room)}/receipt/m.read/{segment(events[2])}", {})
    first = await mio.get(f"{V3}/notifications", limit=4)
    second = await mio.get(f"{V3}/notifications", limit=4, from_=first["next_token"])
    listed = first["notifications"] + second["notifications"]
    assert [told["event"]["event_id"] for told in listed] == events[::-1]
    assert [told["read"] for told in listed] == [False, False, False, True, True, True]
    assert "next_token" not in second
    assert listed[0]["actions"] == ["notify", {"set_tweak": "sound", "value": "default"}, {"set_tweak": "highlight"}]
    (loud,) = (await mio.get(f"{V3}/notifications", only="highlight"))["notifications"]
    assert loud["event"]["event_id"] == events[-1]
    await mio.says(room, "her own")
    assert all(told["read"] for told in (await mio.get(f"{V3}/notifications"))["notifications"])
    assert await aoi.get(f"{V3}/notifications") == {"notifications": []}
    await refused(mio.get(f"{V3}/notifications", from_="x"), 400, "M_INVALID_PARAM")
