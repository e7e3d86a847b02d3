"""What clients keep for their user: account data, tags, filters."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madoguchi.core.chat import filters
from tests.cast import V3, Person, refused, segment

Json = dict[str, Any]


def path(person: Person, type_: str, room: str | None = None) -> str:
    inside = "" if room is None else f"/rooms/{segment(room)}"
    return f"{V3}/user/{segment(person.user_id)}{inside}/account_data/{segment(type_)}"


async def test_account_data_is_kept_and_told_to_the_users_devices(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    phone = await mio.logs_in_again()
    for person in (phone, ken):
        await person.catches_up()
    content = {"nested": {"list": [1, None, "雪\u0000"]}, "big": 2**53 - 1}
    await refused(mio.get(path(mio, "jp.test")), 404, "M_NOT_FOUND")
    await mio.put(path(mio, "jp.test"), content)
    await mio.put(path(mio, "jp.test", room), {"in": "room"})
    assert await mio.get(path(mio, "jp.test")) == content
    assert await mio.get(path(mio, "jp.test", room)) == {"in": "room"}
    told = await phone.catches_up(timeout_ms=5000)
    assert {"type": "jp.test", "content": content} in told["account_data"]["events"]
    assert {"type": "jp.test", "content": {"in": "room"}} in told["rooms"]["join"][room]["account_data"]["events"]
    again = await phone.sync()
    assert {"type": "jp.test", "content": content} in again["account_data"]["events"]
    assert {"type": "jp.test", "content": {"in": "room"}} in again["rooms"]["join"][room]["account_data"]["events"]
    assert room not in (await ken.catches_up())["rooms"].get("join", {})


async def test_account_data_is_its_owners_alone(mio: Person, ken: Person) -> None:
    await mio.put(path(mio, "jp.test"), {"x": 1})
    for attempt in (ken.get(path(mio, "jp.test")), ken.put(path(mio, "jp.test"), {})):
        await refused(attempt, 403, "M_FORBIDDEN")
    room = await mio.opens_a_room()
    for attempt in (ken.get(path(mio, "jp.test", room)), ken.put(path(mio, "jp.test", room), {})):
        await refused(attempt, 403, "M_FORBIDDEN")


@pytest.mark.parametrize("type_", ["m.push_rules", "m.fully_read"])
async def test_what_the_server_keeps_itself_can_only_be_read(mio: Person, type_: str) -> None:
    await refused(mio.put(path(mio, type_), {}), 405, "M_BAD_JSON")
    await refused(mio.put(path(mio, type_, "!r:madoguchi.test"), {}), 405, "M_BAD_JSON")
    if type_ == "m.push_rules":
        assert (await mio.get(path(mio, type_)))["global"]["override"]


async def test_account_data_must_be_an_object_of_sane_size(mio: Person) -> None:
    for raw in (b"[]", b"1", b'"x"', b"{", b'{"a":"\xff"}', b""):
        await refused(mio.call("PUT", path(mio, "jp.test"), raw=raw), 400)
    deep: Json = {}
    for _ in range(200):
        deep = {"in": deep}
    await refused(mio.put(path(mio, "jp.test"), deep), 400, "M_BAD_JSON")
    await refused(mio.put(path(mio, "jp.test"), {"x": "y" * 1_100_000}), 413, "M_TOO_LARGE")
    await refused(mio.put(path(mio, "x" * 3000), {}), 400, "M_INVALID_PARAM")
    await refused(mio.put(path(mio, "jp.test", "noroom"), {}), 400, "M_INVALID_PARAM")


# -- tags -------------------------------------------------------------------------------------------------------------
async def test_tags_are_put_on_rooms_and_taken_off(mio: Person) -> None:
    room = await mio.opens_a_room()
    await mio.catches_up()
    tags = f"{V3}/user/{segment(mio.user_id)}/rooms/{segment(room)}/tags"
    assert await mio.get(tags) == {"tags": {}}
    await mio.put(f"{tags}/m.favourite", {"order": 0.25})
    await asyncio.gather(*(mio.put(f"{tags}/u.{n}", {}) for n in range(5)))
    expected = {"m.favourite": {"order": 0.25}} | {f"u.{n}": {} for n in range(5)}
    assert (await mio.get(tags))["tags"] == expected
    told = await mio.catches_up(timeout_ms=5000)
    (event,) = [e for e in told["rooms"]["join"][room]["account_data"]["events"] if e["type"] == "m.tag"]
    assert event["content"]["tags"] == expected
    await mio.delete(f"{tags}/u.0")
    await mio.delete(f"{tags}/u.0")
    del expected["u.0"]
    assert (await mio.get(tags))["tags"] == expected
    await refused(mio.put(f"{tags}/m.favourite", {"order": "first"}), 400, "M_INVALID_PARAM")


async def test_tags_are_their_owners_alone(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    tags = f"{V3}/user/{segment(mio.user_id)}/rooms/{segment(room)}/tags"
    for attempt in (ken.get(tags), ken.put(f"{tags}/u.x", {}), ken.delete(f"{tags}/u.x")):
        await refused(attempt, 403, "M_FORBIDDEN")


# -- filters ----------------------------------------------------------------------------------------------------------
async def test_a_filter_is_kept_under_one_number(mio: Person, ken: Person) -> None:
    mine = f"{V3}/user/{segment(mio.user_id)}/filter"
    definition = {"room": {"timeline": {"limit": 3, "types": ["m.room.*"]}}, "jp.unknown": [1]}
    ids = await asyncio.gather(*(mio.post(mine, definition) for _ in range(4)))
    assert len({answer["filter_id"] for answer in ids}) == 1
    filter_id = ids[0]["filter_id"]
    assert await mio.get(f"{mine}/{filter_id}") == definition
    assert (await mio.post(mine, {}))["filter_id"] != filter_id
    await refused(ken.get(f"{mine}/{filter_id}"), 403, "M_FORBIDDEN")
    await refused(ken.post(mine, {}), 403, "M_FORBIDDEN")
    for nonsense in ("99", "x", "-1", "１", "9" * 30):
        await refused(mio.get(f"{mine}/{segment(nonsense)}"), 404, "M_NOT_FOUND")
    room = await mio.opens_a_room()
    for n in range(5):
        await mio.says(room, str(n))
    told = (await mio.sync(filter=filter_id))["rooms"]["join"][room]["timeline"]
    assert [event["content"]["body"] for event in told["events"]] == ["2", "3", "4"] and told["limited"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"room": []},
        {"room": {"timeline": {"limit": -1}}},
        {"room": {"timeline": {"limit": "3"}}},
        {"room": {"rooms": ["noroom"]}},
        {"presence": {"senders": ["nobody"]}},
        {"event_format": "other"},
    ],
)
async def test_filters_without_sense_are_refused(mio: Person, wrong: Json) -> None:
    await refused(mio.post(f"{V3}/user/{segment(mio.user_id)}/filter", wrong), 400)


NAMES = st.text("ab.*", max_size=6)


def plainly(pattern: str, value: str) -> bool:
    if not pattern:
        return not value
    if pattern[0] == "*":
        return any(plainly(pattern[1:], value[n:]) for n in range(len(value) + 1))
    return value[:1] == pattern[0] and plainly(pattern[1:], value[1:])


@given(st.none() | st.lists(NAMES, max_size=3), st.lists(NAMES, max_size=3), st.text("abA.?", max_size=6))
def test_types_pass_as_the_specification_says(types: list[str] | None, not_types: list[str], type_: str) -> None:
    wanted = types is None or any(plainly(pattern, type_) for pattern in types)
    unwanted = any(plainly(pattern, type_) for pattern in not_types)
    passes = filters.EventFilter(types=types, not_types=not_types).wants(type_, "@mio:madoguchi.test")
    assert passes == (wanted and not unwanted)
