"""/sync, sentence by sentence: what the specification asks for and no story has shown. The table is in docs/sync.md."""

import asyncio
import time
from typing import Any

import pytest

from tests.cast import V3, Cast, Json, Person, segment
from tests.matrix.kept import kept

LAZY: Json = {"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 1}}}


@pytest.fixture
async def mio(cast: Cast) -> Person:
    return await kept(cast, "mio")


@pytest.fixture
async def sato(cast: Cast) -> Person:
    return await kept(cast, "sato")


def path(room: str, rest: str) -> str:
    return f"{V3}/rooms/{segment(room)}/{rest}"


def members(part: Json) -> set[str]:
    return {event["state_key"] for event in part["events"] if event["type"] == "m.room.member"}


def types(part: Json) -> set[str]:
    return {event["type"] for event in part["events"]}


def only(told: Json, room: str) -> Json:
    """What is told of a room the person has joined."""
    part: Json = told["rooms"]["join"][room]
    return part


async def call_themselves(person: Person, name: str) -> None:
    await person.put(f"{V3}/profile/{segment(person.user_id)}/displayname", {"displayname": name})


# -- members as they speak ---------------------------------------------------------------------------------------------
async def test_lazy_members_include_oneself_and_whom_the_room_is_called_after(
    mio: Person, ken: Person, sato: Person
) -> None:
    await ken.catches_up(filter=LAZY)
    named = await mio.opens_a_room(name="名のある", with_=[sato, ken])
    unnamed = await mio.opens_a_room(with_=[sato, ken])
    for room in (named, unnamed):
        await mio.says(room, "こんばんは")
    told = await ken.catches_up(filter=LAZY)
    assert members(only(told, named)["state"]) == {ken.user_id, mio.user_id}
    assert "m.heroes" not in only(told, named)["summary"]
    assert only(told, unnamed)["summary"]["m.heroes"] == [mio.user_id, sato.user_id]
    assert members(only(told, unnamed)["state"]) == {ken.user_id, mio.user_id, sato.user_id}
    # The whole state is asked for again: again oneself, though one says nothing.
    told = await ken.sync(since=ken.since, full_state=True, filter=LAZY)
    assert members(only(told, named)["state"]) == {ken.user_id}
    assert members(only(told, unnamed)["state"]) == {ken.user_id, mio.user_id, sato.user_id}


async def test_lazy_members_of_a_gap_are_all_told(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(with_=[sato, ken], name="相談")
    for person in (mio, sato):
        await person.says(room, "はい")
    await ken.catches_up(filter=LAZY)
    await call_themselves(sato, "さとう")
    for n in range(2):
        await mio.says(room, str(n))
    part = only(await ken.catches_up(filter=LAZY), room)
    assert part["timeline"]["limited"] is True
    assert sato.user_id in members(part["state"])


# -- summaries and state -----------------------------------------------------------------------------------------------
async def test_a_summary_is_told_when_members_change_and_names_the_first_who_are_there(
    mio: Person, ken: Person, sato: Person
) -> None:
    room = await ken.opens_a_room(with_=[sato])
    await ken.invites(room, mio)
    quiet = {"room": {"state": {"not_types": ["*"]}, "timeline": {"not_types": ["m.room.member"], "limit": 1}}}
    first = only(await ken.catches_up(filter=quiet), room)
    assert first["summary"] == {
        "m.heroes": [sato.user_id, mio.user_id], "m.joined_member_count": 2, "m.invited_member_count": 1,
    }  # fmt: skip
    await ken.says(room, "まだ？")
    assert "m.joined_member_count" not in only(await ken.catches_up(filter=quiet), room).get("summary", {})
    # Told though neither timeline nor state may show it.
    await mio.joins(room)
    for n in range(2):
        await ken.says(room, str(n))
    assert only(await ken.catches_up(filter=quiet), room)["summary"]["m.joined_member_count"] == 3
    await mio.leaves(room)
    await sato.leaves(room)
    assert set(only(await ken.catches_up(), room)["summary"]["m.heroes"]) == {mio.user_id, sato.user_id}


async def test_a_young_rooms_state_stands_in_its_timeline(ken: Person) -> None:
    room = await ken.opens_a_room(name="できたて")
    part = only(await ken.sync(filter={"room": {"timeline": {"limit": 50}}}), room)
    assert part["state"]["events"] == []
    assert part["timeline"]["events"][0]["type"] == "m.room.create"
    assert part["timeline"].get("limited") is False
    # As of the timeline's end it is all there, and `state` is not.
    part = only(await ken.sync(use_state_after=True), room)
    assert {"m.room.create", "m.room.name"} <= {event["type"] for event in part["state_after"]["events"]}
    assert "state" not in part


async def test_the_whole_state_comes_at_once_for_every_room(ken: Person) -> None:
    rooms = [await ken.opens_a_room(name=name) for name in ("一", "二")]
    await ken.catches_up()
    began = time.monotonic()
    told = await ken.catches_up(timeout_ms=30_000, full_state=True)
    assert time.monotonic() - began < 10
    for room in rooms:
        assert "m.room.create" in {event["type"] for event in only(told, room)["state"]["events"]}
        assert only(told, room)["timeline"]["events"] == []
    # Nothing new, and `state_after` stands there all the same.
    await ken.says(rooms[0], "x")
    part = only(await ken.catches_up(use_state_after=True), rooms[0])
    assert part["state_after"] == {"events": []}
    assert "state" not in part


async def test_an_event_says_what_one_was_when_it_happened(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room()
    for text, does in (("外", mio.invites(room, ken)), ("招かれて", ken.joins(room)), ("中", ken.leaves(room))):
        await mio.says(room, text)
        await does
    await mio.invites(room, ken)
    await ken.joins(room)
    await call_themselves(ken, "けん")
    await mio.says(room, "また")

    def course(events: list[Json]) -> list[tuple[str, str]]:
        return [
            (event["content"].get("body") or event["content"]["membership"], event["unsigned"]["membership"])
            for event in events
            if event["type"] == "m.room.message" or event.get("state_key") == ken.user_id
        ]

    expected = [
        ("外", "leave"), ("invite", "invite"), ("招かれて", "invite"), ("join", "join"), ("中", "join"),
        ("leave", "leave"), ("invite", "invite"), ("join", "join"), ("join", "join"), ("また", "join"),
    ]  # fmt: skip
    assert course(await ken.reads_all(room, dir_="f")) == expected
    assert course(only(await ken.sync(filter={"room": {"timeline": {"limit": 50}}}), room)["timeline"]["events"]) == (
        expected
    )
    await ken.leaves(room)
    left = (await ken.sync(filter={"room": {"include_leave": True, "timeline": {"limit": 2}}}))["rooms"]["leave"][room]
    assert course(left["timeline"]["events"]) == [("また", "join"), ("leave", "leave")]


async def test_a_change_of_the_visibility_is_seen_under_what_held_before(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room()
    await mio.sets(room, "m.room.history_visibility", {"history_visibility": "joined"})
    await mio.sets(room, "m.room.topic", {"topic": "hidden"})
    await mio.invites(room, ken)
    await ken.joins(room)
    seen = [event["type"] for event in await ken.reads_all(room, dir_="f")]
    assert seen.count("m.room.history_visibility") == 2
    assert "m.room.topic" not in seen


# -- rooms one is not in -----------------------------------------------------------------------------------------------
async def test_what_is_shown_to_the_invited_and_to_who_knocks(mio: Person, ken: Person) -> None:
    rule = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
    open_, closed = await mio.opens_a_room(name="扉", initial_state=[rule], encrypted=True), await mio.opens_a_room()
    await ken.catches_up()
    await ken.post(f"{V3}/knock/{segment(open_)}", {})
    await mio.invites(closed, ken)
    told = (await ken.catches_up())["rooms"]
    knocked, invited = told["knock"][open_]["knock_state"]["events"], told["invite"][closed]["invite_state"]["events"]
    for events in (knocked, invited):
        assert {event["type"] for event in events} >= {"m.room.create", "m.room.join_rules", "m.room.member"}
        assert {frozenset(event) for event in events} == {frozenset(("type", "state_key", "sender", "content"))}
    assert {"m.room.name", "m.room.encryption"} <= {event["type"] for event in knocked}
    # A filter of rooms holds for them, too.
    wanted = {"room": {"rooms": [closed, open_], "not_rooms": [open_]}}
    told = (await ken.sync(filter=wanted))["rooms"]
    assert (set(told["invite"]), told["knock"], told["join"]) == ({closed}, {}, {})


async def test_a_forgotten_room_is_told_no_more(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await ken.leaves(room)
    await ken.forgets(room)
    await ken.catches_up()
    await mio.bans(room, ken)
    await mio.unbans(room, ken)
    assert room not in (await ken.catches_up())["rooms"]["leave"]
    assert room not in (await ken.sync(filter={"room": {"include_leave": True}}))["rooms"]["leave"]
    await mio.invites(room, ken)
    assert room in (await ken.catches_up())["rooms"]["invite"]


async def test_a_room_one_has_left_keeps_ones_own_data(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await ken.put(f"{V3}/user/{segment(ken.user_id)}/rooms/{segment(room)}/tags/u.old", {})
    await ken.leaves(room)
    left = (await ken.sync(filter={"room": {"include_leave": True}}))["rooms"]["leave"][room]
    assert left["account_data"]["events"] == [{"type": "m.tag", "content": {"tags": {"u.old": {}}}}]
    filtered = {"room": {"include_leave": True, "account_data": {"not_types": ["m.tag"]}}}
    assert (await ken.sync(filter=filtered))["rooms"]["leave"][room]["account_data"]["events"] == []


# -- what stands beside the events -------------------------------------------------------------------------------------
async def test_each_part_has_a_filter_of_its_own(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    said = await mio.says(room, "みて")
    await mio.post(path(room, f"receipt/m.read/{segment(said)}"))
    await mio.put(path(room, f"typing/{segment(mio.user_id)}"), {"typing": True, "timeout": 30_000})
    me = f"{V3}/user/{segment(ken.user_id)}"
    await ken.put(f"{me}/rooms/{segment(room)}/account_data/jp.example.a", {})
    await ken.put(f"{me}/account_data/jp.example.b", {})

    async def told(**parts: Any) -> tuple[set[str], set[str], set[str]]:
        room_parts = {name: parts[name] for name in ("ephemeral", "account_data") if name in parts}
        whole = {"room": room_parts} | ({"account_data": parts["top"]} if "top" in parts else {})
        answer = await ken.sync(filter=whole)
        part = only(answer, room)
        return tuple(  # type: ignore[return-value]
            {event["type"] for event in events}
            for events in (
                part["ephemeral"]["events"],
                part["account_data"]["events"],
                answer["account_data"]["events"],
            )
        )

    ephemeral, of_room, of_account = await told()
    assert ephemeral == {"m.typing", "m.receipt"}
    assert of_room == {"jp.example.a"}
    assert {"jp.example.b", "m.push_rules"} <= of_account
    assert await told(ephemeral={"types": ["m.typ*"]}, account_data={"not_rooms": [room]}, top={"types": ["jp.*"]}) == (
        {"m.typing"}, set(), {"jp.example.b"},
    )  # fmt: skip
    refusing = {"ephemeral": {"not_rooms": [room]}, "account_data": {"types": ["jp.*"], "not_types": ["*.a"]}}
    assert (await told(**refusing))[:2] == (set(), set())


async def test_receipts_of_two_threads_at_one_event_are_both_told(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    root = await mio.says(room, "root")
    for thread in ("main", root):
        await mio.post(path(room, f"receipt/m.read/{segment(root)}"), {"thread_id": thread})
    events = only(await ken.sync(), room)["ephemeral"]["events"]
    assert [event["content"][root]["m.read"][mio.user_id]["thread_id"] for event in events] == ["main", root]
    # One for all threads says as much.
    await mio.post(path(room, f"receipt/m.read/{segment(root)}"))
    [event] = only(await ken.sync(), room)["ephemeral"]["events"]
    assert "thread_id" not in event["content"][root]["m.read"][mio.user_id]


async def test_an_answer_to_a_poll_in_a_thread_counts_in_the_thread(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], encrypted=True)
    by_threads = {"room": {"timeline": {"unread_thread_notifications": True}}}

    async def sends(**relation: str) -> str:
        content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "y"}
        return await mio.sends(room, "m.room.encrypted", content | ({"m.relates_to": relation} if relation else {}))

    root = await sends()
    poll = await sends(rel_type="m.thread", event_id=root)
    answer = await sends(rel_type="m.reference", event_id=poll)
    part = only(await ken.catches_up(filter=by_threads), room)
    assert part["unread_notifications"]["notification_count"] == 1
    assert part["unread_thread_notifications"] == {root: {"notification_count": 2, "highlight_count": 0}}
    await ken.post(path(room, f"receipt/m.read/{segment(answer)}"), {"thread_id": root})
    part = only(await ken.catches_up(filter=by_threads, timeout_ms=5_000), room)
    assert part["unread_notifications"]["notification_count"] == 1
    assert part.get("unread_thread_notifications", {}) == {}


async def test_two_devices_at_once_count_the_same(mio: Person, ken: Person) -> None:
    """Both look at the same memory of what has been counted."""
    room = await mio.opens_a_room(with_=[ken])
    phone = await ken.logs_in_again()
    said = ""
    for count in range(1, 4):
        said = await mio.says(room, str(count))
        for told in await asyncio.gather(*(who.sync() for who in (ken, phone) for _ in range(3))):
            assert only(told, room)["unread_notifications"]["notification_count"] == count
    await ken.post(path(room, f"receipt/m.read/{segment(said)}"))
    for told in await asyncio.gather(*(who.sync() for who in (ken, phone) for _ in range(3))):
        assert only(told, room)["unread_notifications"]["notification_count"] == 0


async def test_a_device_hears_how_many_of_its_keys_are_left(ken: Person, mio: Person) -> None:
    keys = {f"signed_curve25519:{n}": {"key": str(n), "signatures": {ken.user_id: {}}} for n in range(3)}
    await ken.post(f"{V3}/keys/upload", {"one_time_keys": keys})
    told = await ken.catches_up()
    assert told["device_one_time_keys_count"]["signed_curve25519"] == 3
    assert told["device_unused_fallback_key_types"] == []
    waiting = asyncio.create_task(ken.catches_up(timeout_ms=10_000))
    await mio.post(f"{V3}/keys/claim", {"one_time_keys": {ken.user_id: {ken.device_id: "signed_curve25519"}}})
    assert (await waiting)["device_one_time_keys_count"]["signed_curve25519"] == 2
