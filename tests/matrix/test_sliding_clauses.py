"""Sliding sync (MSC4186), clause by clause: what the proposal says on the edges. The table is in docs/sync.md."""

import asyncio
from typing import Any

import pytest

from tests.cast import V1, V3, Cast, Json, Person, refused, segment
from tests.house import Workers
from tests.matrix.kept import kept
from tests.matrix.window import STABLE, UNSTABLE, Window, everything

EVERYTHING: Json = {"include": [{}]}


@pytest.fixture
async def mio(cast: Cast) -> Person:
    return await kept(cast, "mio")


@pytest.fixture
async def sato(cast: Cast) -> Person:
    return await kept(cast, "sato")


def all_rooms(limit: int = 20, **required: Any) -> Json:
    """A list of all rooms, in the stable shape."""
    return {"timeline_limit": limit, "required_state": required or EVERYTHING}


def stable(person: Person, conn_id: str = "main", limit: int = 20, **required: Any) -> Window:
    window = Window(person, conn_id, stable=True)
    window.lists = {"all": all_rooms(limit, **required)}
    return window


def members(told: Json) -> set[str]:
    return {event["state_key"] for event in told["required_state"] if event["type"] == "m.room.member"}


def path(room: str, rest: str) -> str:
    return f"{V3}/rooms/{segment(room)}/{rest}"


# -- which state -------------------------------------------------------------------------------------------------------
async def test_all_state_with_lazy_members_leaves_out_the_silent(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(with_=[ken, sato], name="相談")
    await mio.says(room, "ひとり")
    window = stable(sato, limit=1, include=[{}], lazy_members=True)
    await window.looks()
    assert members(window.of(room)) == {mio.user_id}
    assert {"m.room.create", "m.room.name"} <= {event["type"] for event in window.of(room)["required_state"]}
    # Who is named comes all the same, and nobody is held back by `exclude`.
    named = [{}, {"type": "m.room.member", "state_key": ken.user_id}]
    window.lists = {"all": all_rooms(1, include=named, exclude=[{"state_key": mio.user_id}], lazy_members=True)}
    await window.looks()
    assert members(window.of(room)) == {ken.user_id}
    await mio.put(f"{V3}/profile/{segment(mio.user_id)}/displayname", {"displayname": "みお"})
    await window.looks()
    assert members(window.of(room)) == {mio.user_id}
    # Another list that asks for all members makes it all of them.
    window.lists["everybody"] = all_rooms(1, include=[{"type": "m.room.member"}])
    await window.looks()
    assert members(window.of(room)) >= {sato.user_id}
    assert {user for type_, user in window.rooms[room].state if type_ == "m.room.member"} == {
        mio.user_id, ken.user_id, sato.user_id,
    }  # fmt: skip


async def test_a_name_that_is_taken_back_is_told(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    name = await mio.sets(room, "m.room.name", {"name": "間違い"})
    window = stable(ken, include=[])
    await window.looks()
    assert window.rooms[room].name == "間違い"
    assert "notification_count" not in window.of(room)
    await mio.redacts(room, name)
    await window.looks()
    assert window.of(room)["name"] is None
    assert [hero["user_id"] for hero in window.of(room)["heroes"]] == [mio.user_id]
    # What has not changed is not told again.
    await mio.says(room, "よし")
    await window.looks()
    assert window.of(room).keys().isdisjoint(("name", "avatar", "heroes", "joined_count", "invited_count", "is_dm"))


# -- rooms one is not, or no longer, in --------------------------------------------------------------------------------
async def test_a_room_one_was_removed_from_stays_as_it_was(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(with_=[ken, sato], name="前")
    await mio.says(room, "きいた")
    live = stable(ken)
    await live.looks()
    await mio.kicks(room, ken)
    await mio.sets(room, "m.room.name", {"name": "後"})
    await sato.leaves(room)
    await live.looks()
    told = live.of(room)
    assert (told["membership"], told["joined_count"], told["num_live"]) == ("leave", 2, 1)
    assert told["timeline"][-1]["content"]["membership"] == "leave"
    assert "initial" not in told and "name" not in told
    # On a connection that does not know it, with all that was asked for.
    fresh = stable(ken, "fresh", limit=1)
    await fresh.looks()
    told = fresh.of(room)
    assert (told["initial"], told["name"], told["joined_count"]) == (True, "前", 2)
    assert {"m.room.create", "m.room.power_levels", "m.room.name"} <= {e["type"] for e in told["required_state"]}
    assert [event["content"]["membership"] for event in told["timeline"]] == ["leave"]
    assert (told["limited"], told["num_live"]) == (True, 0)
    # A longer timeline is sent at once, and nothing of what came after.
    fresh.lists = {"all": all_rooms(4)}
    await fresh.looks()
    assert fresh.of(room)["expanded_timeline"] is True
    assert "きいた" in fresh.bodies(room)
    await fresh.looks()
    assert fresh.told["rooms"] == {}
    # A ban afterwards opens nothing more; the room of who comes back begins anew.
    await mio.bans(room, ken)
    await fresh.looks()
    assert (fresh.of(room)["membership"], fresh.of(room)["name"]) == ("ban", "前")
    await mio.unbans(room, ken)
    await mio.invites(room, ken)
    await ken.joins(room)
    await fresh.looks()
    assert (fresh.of(room)["initial"], fresh.of(room)["name"], fresh.of(room)["membership"]) == (True, "後", "join")


async def test_who_has_left_may_still_ask_for_the_room(mio: Person, ken: Person) -> None:
    left = await mio.opens_a_room(with_=[ken], name="元の")
    refusing = await mio.opens_a_room()
    await mio.invites(refusing, ken)
    await mio.says(left, "きいた")
    await ken.leaves(left)
    await ken.leaves(refusing)
    await mio.says(left, "きかない")
    window = stable(ken)
    await window.looks()
    assert window.told["rooms"] == {}
    config = {"timeline_limit": 20, "required_state": EVERYTHING}
    window.subscriptions = dict.fromkeys((left, refusing, "!nowhere:madoguchi.test"), config)
    await window.looks()
    assert set(window.told["rooms"]) == {left}
    told = window.of(left)
    assert (told["membership"], told["name"], "lists" in told) == ("leave", "元の", False)
    assert window.bodies(left) == ["きいた"]


async def test_an_invitation_turned_down_shows_what_it_showed(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(name="前")
    await mio.invites(room, ken)
    window = stable(ken)
    await window.looks()
    assert window.of(room)["membership"] == "invite"
    await ken.leaves(room)
    await mio.sets(room, "m.room.name", {"name": "後"})
    await window.looks()
    told = window.of(room)
    assert told["membership"] == "leave"
    assert told.keys().isdisjoint(("timeline", "required_state", "name", "joined_count"))
    assert {"name": "前"} in [event["content"] for event in told["stripped_state"]]
    await window.looks()
    assert window.told["rooms"] == {}


async def test_a_ban_of_somebody_who_was_never_in_is_told_to_nobody(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(name="x")
    await mio.bans(room, ken)
    window = stable(ken)
    await window.looks()
    assert (window.told["rooms"], window.counts) == ({}, {"all": 0})


async def test_the_forgotten_and_the_unwanted_are_in_no_list(mio: Person, ken: Person, sato: Person) -> None:
    removed = await mio.opens_a_room(with_=[ken])
    await mio.kicks(removed, ken)
    window = stable(ken)
    await window.looks()
    assert set(window.told["rooms"]) == {removed}
    await ken.forgets(removed)
    unwanted = await sato.opens_a_room()
    await sato.invites(unwanted, ken)
    ignored: Json = {"ignored_users": {sato.user_id: {}}}
    await ken.put(f"{V3}/user/{segment(ken.user_id)}/account_data/m.ignored_user_list", ignored)
    fresh = stable(ken, "fresh")
    await fresh.looks()
    assert (fresh.told["rooms"], fresh.counts) == ({}, {"all": 0})
    # Who is ignored no longer has their invitation seen.
    await ken.put(f"{V3}/user/{segment(ken.user_id)}/account_data/m.ignored_user_list", {"ignored_users": {}})
    await fresh.looks()
    assert set(fresh.told["rooms"]) == {unwanted}


# -- timelines ---------------------------------------------------------------------------------------------------------
async def test_who_has_the_whole_timeline_is_not_sent_a_longer_one(mio: Person, ken: Person) -> None:
    short = await mio.opens_a_room(with_=[ken])
    window = stable(ken, limit=50)
    await window.looks()
    assert window.of(short)["limited"] is False
    window.lists = {"all": all_rooms(100)}
    await window.looks()
    assert window.told["rooms"] == {}
    # Beyond what the server gives at most, more is the same.
    window.lists = {"all": all_rooms(1000)}
    await window.looks()
    window.lists = {"all": all_rooms(2000)}
    await window.looks()
    assert window.told["rooms"] == {}


async def test_rooms_are_sorted_by_what_was_said(mio: Person, ken: Person) -> None:
    one, two = [await mio.opens_a_room(with_=[ken]) for _ in range(2)]
    for room in (two, one):
        await mio.says(room, "x")
    window = stable(ken)
    await window.looks()
    before = {room: window.of(room)["bump_stamp"] for room in (one, two)}
    assert before[one] > before[two]
    # What is set brings a room into a list, but not up in what the client shows.
    await mio.sets(two, "m.room.topic", {"topic": "x"})
    top = Window(ken, "top", stable=True)
    top.lists = {"top": all_rooms() | {"range": [0, 0]}}
    await top.looks()
    assert set(top.told["rooms"]) == {two}
    assert top.of(two)["bump_stamp"] == before[two]
    await mio.says(two, "y")
    await mio.kicks(one, ken)
    await window.looks()
    assert window.of(one)["bump_stamp"] > window.of(two)["bump_stamp"] > before[one]


async def test_a_position_leads_to_what_lies_before(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    root = await mio.says(room, "root")
    relation = {"rel_type": "m.thread", "event_id": root}
    for n in range(2):
        await mio.sends(room, "m.room.message", {"msgtype": "m.text", "body": str(n), "m.relates_to": relation})
    window = stable(ken)
    await window.looks()
    await mio.sends(room, "m.room.message", {"msgtype": "m.text", "body": "later", "m.relates_to": relation})
    page = await ken.reads(room, from_=window.pos, limit=1)
    assert [event["content"]["body"] for event in page["chunk"]] == ["1"]
    related = await ken.get(f"{V1}/rooms/{segment(room)}/relations/{segment(root)}", from_=window.pos, limit=5)
    assert [event["content"]["body"] for event in related["chunk"]] == ["1", "0"]


# -- connections -------------------------------------------------------------------------------------------------------
async def test_a_request_given_up_ends_when_the_next_one_comes(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    window = Window(ken)
    await window.looks()
    before = window.pos
    given_up = asyncio.create_task(window.asks(20_000))
    await asyncio.sleep(0.2)
    window.subscriptions = {room: {"timeline_limit": 30, "required_state": []}}
    await asyncio.gather(window.looks(0), asyncio.wait_for(given_up, 5))
    assert given_up.result() == {"pos": before, "lists": {}, "rooms": {}, "extensions": {}}
    await mio.says(room, "つづき")
    await window.looks()
    assert window.bodies(room)[-1] == "つづき"
    # A position belongs to one device.
    elsewhere = await ken.logs_in_again()
    await refused(elsewhere.post(UNSTABLE, {"conn_id": "room-list"}, pos=window.pos), 400, "M_UNKNOWN_POS")


async def test_a_request_given_up_on_another_worker_takes_nothing_away(workers: Workers) -> None:
    cast = Cast(workers.base_urls[0])
    try:
        mio, ken = await cast.person("mio"), await cast.person("ken")
        elsewhere = ken.through(cast.line_to(workers.base_urls[1]))
        room, other = [await mio.opens_a_room(with_=[ken]) for _ in range(2)]
        window = Window(ken)
        window.lists = {"newest": everything(0, 0)}
        await window.looks()
        given_up = asyncio.create_task(window.asks(20_000))
        await asyncio.sleep(0.2)
        # The client wants another room, and asks a worker that knows nothing of the request given up.
        window.subscriptions = {room: {"timeline_limit": 20, "required_state": []}}
        await window.looks(person=elsewhere)
        assert set(window.told["rooms"]) == {room}
        await mio.says(room, "ひとつ")
        await asyncio.wait_for(given_up, 10)
        # What the first has written down is not what the client goes on with.
        await window.looks()
        assert window.bodies(room)[-1] == "ひとつ"
        assert "initial" not in window.of(room)
        await mio.says(other, "ふたつ")
        await window.looks(5_000, person=elsewhere)
        assert set(window.told["rooms"]) == {other}
    finally:
        await cast.leave_the_stage()


async def test_a_device_has_so_many_connections(ken: Person) -> None:
    windows = [Window(ken, str(n)) for n in range(17)]
    for window in windows:
        await window.looks()
    room = await ken.opens_a_room()
    await refused(windows[0].asks(), 400, "M_UNKNOWN_POS")
    for window in windows[1:]:
        await window.looks()
        assert set(window.told["rooms"]) == {room}


# -- extensions --------------------------------------------------------------------------------------------------------
async def test_a_token_of_the_future_loses_no_message_to_the_device(mio: Person, ken: Person) -> None:
    """What a client kept from before a backup was played back must not confirm what it has never got."""
    messages = {"messages": {ken.user_id: {ken.device_id: {"n": 1}}}}
    await mio.put(f"{V3}/sendToDevice/jp.example.n/1", messages)
    window = Window(ken, "encryption")
    window.lists, window.extensions = {}, {"to_device": {"enabled": True, "since": "s4000000000000000000"}}
    await window.looks()
    assert [each["content"]["n"] for each in window.to_device] == [1]
    await window.looks()
    assert window.told["extensions"]["to_device"]["events"] == []


async def test_receipts_come_with_the_events_that_are_sent(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(with_=[ken, sato])
    events = [await mio.says(room, str(n)) for n in range(3)]
    for person, event in ((ken, events[0]), (sato, events[0]), (mio, events[2])):
        await person.post(path(room, f"receipt/m.read/{segment(event)}"))
    window = stable(ken, limit=1)
    await window.looks()
    assert window.rooms[room].receipts == {
        ("m.read", mio.user_id): events[2], ("m.read", ken.user_id): events[0],
    }  # fmt: skip
    # A longer timeline brings those of its events.
    window.lists = {"all": all_rooms(3)}
    await window.looks()
    assert window.rooms[room].receipts["m.read", sato.user_id] == events[0]
    await sato.post(path(room, f"receipt/m.read/{segment(events[1])}"))
    await window.looks()
    assert window.rooms[room].receipts["m.read", sato.user_id] == events[1]


async def test_an_extension_asked_for_late_tells_what_it_had_to(mio: Person, ken: Person) -> None:
    me = f"{V3}/user/{segment(ken.user_id)}"
    one, two = [await mio.opens_a_room(with_=[ken]) for _ in range(2)]
    said = await mio.says(one, "みた？")
    await mio.post(path(one, f"receipt/m.read/{segment(said)}"))
    await ken.put(f"{me}/account_data/jp.example.x", {"n": 1})
    for room in (one, two):
        await ken.put(f"{me}/rooms/{segment(room)}/account_data/jp.example.y", {"n": 1})
    window = stable(ken)
    window.extensions = {}
    window.subscriptions = {two: {"timeline_limit": 20, "required_state": EVERYTHING}}
    await window.looks()
    # First only of one room, then of all.
    window.extensions = {"account_data": {"enabled": True, "lists": [], "rooms": [two]}}
    await window.looks()
    assert window.data["jp.example.x"] == {"n": 1}
    assert "m.push_rules" in window.data
    assert (window.rooms[one].data, window.rooms[two].data) == ({}, {"jp.example.y": {"n": 1}})
    await ken.put(f"{me}/rooms/{segment(two)}/account_data/jp.example.z", {"n": 2})
    window.extensions = {"account_data": {"enabled": True}, "receipts": {"enabled": True}}
    await window.looks()
    assert set(window.told["extensions"]["account_data"]["rooms"][two][0]) == {"type", "content"}
    assert window.rooms[one].data == {"jp.example.y": {"n": 1}}
    assert window.rooms[two].data == {"jp.example.y": {"n": 1}, "jp.example.z": {"n": 2}}
    assert window.rooms[one].receipts == {("m.read", mio.user_id): said}
    await window.looks()
    assert window.told["extensions"] == {"account_data": {"global": [], "rooms": {}}, "receipts": {"rooms": {}}}


async def test_an_extension_no_longer_asked_for_wakes_nobody(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    said = await mio.says(room, "みた？")
    window = Window(ken)
    await window.looks()
    window.extensions = {}
    await window.looks()
    await ken.post(path(room, f"receipt/m.read/{segment(said)}"))
    await window.looks(5_000)
    assert window.rooms[room].counts == (0, 0)
    await window.looks()
    assert window.told["rooms"] == {}
    window.extensions = {"receipts": {"enabled": True}}
    await window.looks()
    assert window.rooms[room].receipts == {("m.read", ken.user_id): said}


# -- what may be asked for ---------------------------------------------------------------------------------------------
async def test_a_list_follows_the_tags(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    window = stable(ken)
    window.lists["all"]["filters"] = {"tags": ["u.late", "u.other"]}
    await window.looks()
    assert window.counts == {"all": 0}
    await ken.put(f"{V3}/user/{segment(ken.user_id)}/rooms/{segment(room)}/tags/u.late", {})
    await window.looks()
    assert set(window.told["rooms"]) == {room}
    window.lists["all"]["filters"] |= {"not_tags": ["u.late"]}
    await window.looks()
    assert window.counts == {"all": 0}


async def test_what_the_stable_path_does_not_take(aoi: Person) -> None:
    config: Json = {"timeline_limit": 1, "required_state": {}}
    for body in (
        {"lists": {"two words": config}},
        {"lists": {"": config}},
        {"lists": {str(n): config for n in range(101)}},
        {"room_subscriptions": {f"!{n}:madoguchi.test": config for n in range(101)}},
        {"set_presence": "asleep"},
    ):
        await refused(aoi.post(STABLE, body), 400, "M_INVALID_PARAM")
    assert (await aoi.post(STABLE, {"set_presence": "offline", "extensions": {"jp.example": {"enabled": True}}}))["pos"]
