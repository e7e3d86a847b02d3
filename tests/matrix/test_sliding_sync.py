"""Sliding sync (MSC4186): the rooms that a client looks at, and only what is new in them."""

import asyncio
import time

import pytest

from tests.cast import V3, Cast, Json, Person, refused, segment
from tests.house import Workers
from tests.matrix.window import STABLE, UNSTABLE, Window, everything

JOIN, INVITE = ["m.room.member", "$ME"], ["m.room.join_rules", ""]


async def test_the_first_answer_has_the_newest_rooms_and_the_next_what_is_new(mio: Person, ken: Person) -> None:
    rooms = [await mio.opens_a_room(with_=[ken], name=f"部屋{n}") for n in range(4)]
    await mio.says(rooms[0], "こんばんは")
    window = Window(ken)
    window.lists = {"all": everything(0, 1)}
    await window.looks()
    assert set(window.told["rooms"]) == {rooms[0], rooms[3]}
    assert window.counts == {"all": 4}
    assert window.rooms[rooms[0]].name == "部屋0"
    assert window.bodies(rooms[0]) == ["こんばんは"]
    assert window.of(rooms[0])["initial"] is True
    assert window.of(rooms[0])["num_live"] == 0
    assert window.rooms[rooms[0]].counts == (1, 0)
    # Nothing is new.
    await window.looks()
    assert window.told["rooms"] == {}
    # A message brings a room into the window that was not in it: it comes whole, with its one new event.
    await mio.says(rooms[1], "まだいる？")
    await window.looks()
    assert set(window.told["rooms"]) == {rooms[1]}
    assert window.of(rooms[1])["initial"] is True
    assert window.of(rooms[1])["num_live"] == 1
    # Only the difference of one that the client has.
    await mio.says(rooms[1], "いるよ")
    await window.looks()
    assert "initial" not in window.of(rooms[1])
    assert [event["content"]["body"] for event in window.of(rooms[1])["timeline"]] == ["いるよ"]
    assert window.of(rooms[1])["required_state"] == []
    assert window.of(rooms[1])["limited"] is False


async def test_a_room_that_was_out_of_sight_comes_back_with_all_that_happened(mio: Person, ken: Person) -> None:
    quiet, busy = [await mio.opens_a_room(with_=[ken]) for _ in range(2)]
    window = Window(ken)
    window.lists = {"all": everything(0, 0)}
    window.subscriptions = {quiet: {"timeline_limit": 20, "required_state": [["*", "*"]]}}
    await window.looks()
    assert set(window.told["rooms"]) == {quiet, busy}
    window.subscriptions = {}
    await window.looks()
    # Said where nobody looks, while something newer is said elsewhere.
    await mio.says(quiet, "ひとつ")
    await mio.sets(quiet, "m.room.topic", {"topic": "よる"})
    await mio.says(busy, "べつの")
    await window.looks()
    assert set(window.told["rooms"]) == {busy}
    await mio.says(quiet, "ふたつ")
    await window.looks()
    told = window.of(quiet)
    assert "initial" not in told
    assert window.bodies(quiet)[-2:] == ["ひとつ", "ふたつ"]
    assert window.rooms[quiet].state["m.room.topic", ""]["content"] == {"topic": "よる"}
    assert told["num_live"] == 1


async def test_an_answer_that_got_lost_is_given_again(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    window = Window(ken)
    await window.looks()
    await mio.says(room, "とどいた？")
    lost = await window.asks()
    assert room in lost["rooms"]
    again = await window.looks()
    assert [e["event_id"] for e in again["rooms"][room]["timeline"]] == [
        e["event_id"] for e in lost["rooms"][room]["timeline"]
    ]
    await window.looks()
    assert window.told["rooms"] == {}
    # The answer that got lost was never taken in: what it named is good for nothing any more, or for the same.
    await mio.says(room, "うん")
    await window.looks()
    assert window.bodies(room) == ["とどいた？", "うん"]


async def test_a_position_that_is_not_known_begins_anew(mio: Person, ken: Person) -> None:
    await mio.opens_a_room()
    window, other = Window(mio), Window(ken)
    await window.looks()
    await other.looks()
    for foreign in ("x", "s1", "s1_", "s1_unknown", "s99999999999999999999_a", other.pos, "ü_", "_"):
        await refused(mio.post(UNSTABLE, {"conn_id": "room-list"}, pos=foreign), 400, "M_UNKNOWN_POS")
    await refused(mio.post(UNSTABLE, {"conn_id": "another"}, pos=window.pos), 400, "M_UNKNOWN_POS")
    # A new beginning under the same name ends the old one.
    old = window.pos
    window.pos = None
    await window.looks()
    await refused(mio.post(UNSTABLE, {"conn_id": "room-list"}, pos=old), 400, "M_UNKNOWN_POS")


async def test_required_state_is_what_was_asked_for(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(with_=[ken, sato], name="相談", encrypted=True)
    await mio.sets(room, "m.room.topic", {"topic": "x"})
    window = Window(ken)

    async def state(*required: list[str]) -> set[tuple[str, str]]:
        window.pos = None
        window.lists = {"all": everything(limit=1) | {"required_state": list(required)}}
        await window.looks()
        return {(event["type"], event["state_key"]) for event in window.of(room)["required_state"]}

    assert await state() == set()
    assert await state(["m.room.name", ""], ["m.room.encryption", ""]) == {
        ("m.room.name", ""), ("m.room.encryption", ""),
    }  # fmt: skip
    assert await state(JOIN) == {("m.room.member", ken.user_id)}
    assert await state(["m.room.member", "*"]) == {("m.room.member", who.user_id) for who in (mio, ken, sato)}
    assert await state(["*", sato.user_id]) == {("m.room.member", sato.user_id)}
    # As they speak: mio set the topic, which is the one event of this timeline.
    assert await state(["m.room.member", "$LAZY"]) == {("m.room.member", mio.user_id)}
    assert {type_ for type_, _ in await state(["*", "*"])} >= {"m.room.create", "m.room.power_levels", "m.room.topic"}
    # More is asked for: what the client does not have comes at once.
    await state(["m.room.name", ""])
    window.lists["all"]["required_state"] = [["m.room.name", ""], ["m.room.topic", ""]]
    await window.looks()
    assert [event["type"] for event in window.of(room)["required_state"]] == ["m.room.topic"]
    assert "initial" not in window.of(room)


async def test_members_come_as_they_speak_and_only_once(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(with_=[ken, sato])
    window = Window(ken)
    window.lists = {"all": everything(limit=1) | {"required_state": [["m.room.member", "$LAZY"]]}}
    await mio.says(room, "a")
    await window.looks()

    async def after(speaker: Person, text: str) -> set[str]:
        await speaker.says(room, text)
        await window.looks()
        return {event["state_key"] for event in window.of(room)["required_state"]}

    assert window.rooms[room].state.keys() == {("m.room.member", mio.user_id)}
    assert await after(mio, "b") == set()
    assert await after(sato, "c") == {sato.user_id}
    assert await after(sato, "d") == set()
    await sato.put(f"{V3}/profile/{segment(sato.user_id)}/displayname", {"displayname": "さとう"})
    await window.looks()
    assert window.rooms[room].state["m.room.member", sato.user_id]["content"]["displayname"] == "さとう"


async def test_a_longer_timeline_is_sent_at_once(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    for n in range(6):
        await mio.says(room, str(n))
    window = Window(ken)
    window.lists = {"all": everything(limit=1)}
    await window.looks()
    assert window.bodies(room) == ["5"]
    assert window.of(room)["limited"] is True
    window.subscriptions = {room: {"timeline_limit": 4, "required_state": []}}
    await window.looks()
    assert window.of(room)["unstable_expanded_timeline"] is True
    assert window.bodies(room) == ["2", "3", "4", "5"]
    assert window.of(room)["num_live"] == 0
    # What lies before joins up.
    page = await ken.reads(room, from_=window.of(room)["prev_batch"], limit=2)
    assert [event["content"]["body"] for event in page["chunk"]] == ["1", "0"]
    assert (await ken.reads(room, from_=window.pos, limit=1))["chunk"][0]["content"]["body"] == "5"
    # And is not sent a second time.
    await window.looks()
    assert window.told["rooms"] == {}


async def test_an_invitation_shows_what_the_room_is_and_no_more(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(name="ひみつ")
    await mio.says(room, "before")
    window = Window(ken)
    await window.looks()
    await mio.invites(room, ken)
    await window.looks()
    told = window.of(room)
    assert {event["type"] for event in told["invite_state"]} >= {"m.room.create", "m.room.name", "m.room.member"}
    assert "timeline" not in told
    assert "required_state" not in told
    window.lists = {"invited": everything() | {"filters": {"is_invite": True}}}
    await window.looks()
    assert window.counts["invited"] == 1
    await ken.joins(room)
    window.lists = {"all": everything()}
    await window.looks()
    assert window.of(room)["initial"] is True
    assert "before" in window.bodies(room)


async def test_leaving_and_being_removed_are_told_once(mio: Person, ken: Person) -> None:
    left, removed, unseen = [await mio.opens_a_room(with_=[ken], name=str(n)) for n in range(3)]
    window = Window(ken)
    window.lists = {"all": everything(0, 0)}
    await window.looks()
    assert set(window.rooms) == {unseen}
    window.lists = {"all": everything()}
    await window.looks()
    await ken.leaves(left)
    await mio.kicks(removed, ken)
    await mio.says(removed, "not for ken")
    await window.looks()
    for room in (left, removed):
        member = window.rooms[room].state["m.room.member", ken.user_id]
        assert member["content"]["membership"] == "leave"
        assert "not for ken" not in window.bodies(room)
    await window.looks()
    assert window.told["rooms"] == {}
    # Who comes anew is told that they were removed, not that they left.
    fresh = Window(ken, "fresh")
    await fresh.looks()
    assert set(fresh.told["rooms"]) == {removed, unseen}
    assert "not for ken" not in fresh.bodies(removed)
    # Nobody is shown a room they were never in.
    stranger = Window(ken, "stranger")
    hidden = await mio.opens_a_room()
    stranger.subscriptions = {hidden: {"timeline_limit": 20, "required_state": [["*", "*"]]}}
    await stranger.looks()
    assert hidden not in stranger.told["rooms"]


async def test_lists_are_filtered(mio: Person, ken: Person) -> None:
    plain = await mio.opens_a_room(with_=[ken])
    secret = await mio.opens_a_room(with_=[ken], encrypted=True)
    space = await mio.opens_a_room(with_=[ken], creation_content={"type": "m.space"})
    await mio.sets(space, "m.space.child", {"via": ["madoguchi.test"]}, secret)
    await ken.put(f"{V3}/user/{segment(ken.user_id)}/account_data/m.direct", {mio.user_id: [secret]})
    await ken.put(f"{V3}/user/{segment(ken.user_id)}/rooms/{segment(plain)}/tags/m.favourite", {"order": 0.5})
    filters: dict[str, tuple[Json, set[str]]] = {
        "dm": ({"is_dm": True}, {secret}),
        "no dm": ({"is_dm": False}, {plain, space}),
        "encrypted": ({"is_encrypted": True}, {secret}),
        "spaces": ({"room_types": ["m.space"]}, {space}),
        "no spaces": ({"not_room_types": ["m.space"]}, {plain, secret}),
        "without type": ({"room_types": [None]}, {plain, secret}),
        "favourites": ({"tags": ["m.favourite"]}, {plain}),
        "no favourites": ({"not_tags": ["m.favourite"]}, {secret, space}),
        "in the space": ({"spaces": [space]}, {secret}),
        "invited": ({"is_invite": True}, set()),
    }
    for name, (asked, expected) in filters.items():
        window = Window(ken, name)
        window.lists = {name: everything() | {"filters": asked}}
        await window.looks()
        assert (name, set(window.told["rooms"])) == (name, expected)
        assert window.counts[name] == len(expected)
    assert window.rooms == {}
    window.lists = {"all": everything()}
    await window.looks()
    assert window.rooms[secret].is_dm is True
    await ken.put(f"{V3}/user/{segment(ken.user_id)}/account_data/m.direct", {})
    await window.looks()
    assert window.of(secret)["is_dm"] is False


async def test_the_extensions_say_what_is_beside_the_rooms(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    other = await mio.opens_a_room(with_=[ken])
    said = await mio.says(room, "みた？")
    window = Window(ken)
    await window.looks()
    assert "m.push_rules" in window.data
    assert window.told["extensions"]["e2ee"]["device_one_time_keys_count"] == {"signed_curve25519": 0}
    assert "device_lists" not in window.told["extensions"]["e2ee"]
    # Typing, and no longer typing.
    path = f"{V3}/rooms/{segment(room)}/typing/{segment(mio.user_id)}"
    await mio.put(path, {"typing": True, "timeout": 30_000})
    await window.looks(5_000)
    assert window.rooms[room].typing == [mio.user_id]
    await mio.put(path, {"typing": False})
    await window.looks(5_000)
    assert window.rooms[room].typing == []
    # Receipts; the user's own takes the count away.
    await ken.post(f"{V3}/rooms/{segment(room)}/receipt/m.read/{segment(said)}")
    await window.looks(5_000)
    assert window.rooms[room].receipts["m.read", ken.user_id] == said
    assert window.rooms[room].counts == (0, 0)
    # Private ones are nobody else's business.
    await mio.post(f"{V3}/rooms/{segment(room)}/receipt/m.read.private/{segment(said)}")
    # Account data, of all and of a room.
    await ken.put(f"{V3}/user/{segment(ken.user_id)}/account_data/jp.example.x", {"a": 1})
    await ken.put(f"{V3}/user/{segment(ken.user_id)}/rooms/{segment(other)}/account_data/jp.example.y", {"b": 2})
    await window.looks(5_000)
    await window.looks(0)
    assert window.data["jp.example.x"] == {"a": 1}
    assert window.rooms[other].data["jp.example.y"] == {"b": 2}
    assert ("m.read.private", mio.user_id) not in window.rooms[room].receipts
    # Only of the rooms that are asked for.
    window.extensions["typing"] = {"enabled": True, "lists": [], "rooms": [other]}
    window.subscriptions = {other: {"timeline_limit": 1, "required_state": []}}
    await mio.put(path, {"typing": True, "timeout": 30_000})
    await window.looks(0)
    assert window.told["extensions"]["typing"] == {"rooms": {}}
    # Nothing of what is not asked for.
    window.extensions = {"typing": {"enabled": False}, "jp.example.unknown": {"enabled": True}}
    await window.looks(0)
    assert window.told["extensions"] == {}


async def test_messages_to_the_device_come_once_and_in_order(mio: Person, ken: Person) -> None:
    await mio.opens_a_room(with_=[ken])
    window = Window(ken, "encryption")
    window.lists = {}
    window.extensions = {"to_device": {"enabled": True, "limit": 3}, "e2ee": {"enabled": True}}
    await window.looks()

    async def sends(n: int) -> None:
        body = {"messages": {ken.user_id: {ken.device_id: {"n": n}}}}
        await mio.put(f"{V3}/sendToDevice/jp.example.n/{n}", body)

    for n in range(5):
        await sends(n)
    lost = await window.asks()
    assert [each["content"]["n"] for each in lost["extensions"]["to_device"]["events"]] == [0, 1, 2]
    await window.looks()
    await window.looks(5_000)
    assert [each["content"]["n"] for each in window.to_device] == [0, 1, 2, 3, 4]
    await window.looks()
    assert window.told["extensions"]["to_device"]["events"] == []
    # And are no longer there for /v3/sync.
    assert (await ken.sync())["to_device"]["events"] == []
    waiting = asyncio.create_task(window.looks(20_000))
    await asyncio.sleep(0.2)
    await sends(5)
    await asyncio.wait_for(waiting, 10)
    assert window.to_device[-1]["content"] == {"n": 5}


async def test_whose_devices_to_look_at(mio: Person, ken: Person, sato: Person) -> None:
    window = Window(ken, "encryption")
    window.lists, window.extensions = {}, {"e2ee": {"enabled": True}}
    await window.looks()
    room = await mio.opens_a_room(with_=[ken], encrypted=True)

    async def lists() -> tuple[list[str], list[str]]:
        told = (await window.looks(0))["extensions"]["e2ee"]["device_lists"]
        return told["changed"], told["left"]

    changed, left = await lists()
    assert (mio.user_id in changed, left) == (True, [])
    await mio.invites(room, sato)
    await sato.joins(room)
    assert await lists() == ([sato.user_id], [])
    again = await sato.logs_in_again()
    keys = {
        "user_id": sato.user_id, "device_id": again.device_id, "algorithms": ["m.megolm.v1.aes-sha2"],
        "keys": {f"ed25519:{again.device_id}": "a", f"curve25519:{again.device_id}": "b"}, "signatures": {},
    }  # fmt: skip
    await again.post(f"{V3}/keys/upload", {"device_keys": keys})
    assert await lists() == ([sato.user_id], [])
    await sato.leaves(room)
    assert await lists() == ([], [sato.user_id])


async def test_who_waits_is_woken_by_what_they_look_at_alone(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    hidden = await mio.opens_a_room(with_=[ken], encrypted=True)
    window = Window(ken)
    window.lists = {"plain": everything() | {"filters": {"is_encrypted": False}}}
    window.extensions = {}
    await window.looks()
    waiting = asyncio.create_task(window.looks(20_000))
    await asyncio.sleep(0.2)
    await mio.sends(hidden, "m.room.encrypted", {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x"})
    await asyncio.sleep(0.5)
    assert not waiting.done()
    await mio.says(room, "いま")
    await asyncio.wait_for(waiting, 10)
    assert set(window.told["rooms"]) == {room}
    began = time.monotonic()
    await window.looks(700)
    assert window.told["rooms"] == {}
    assert 0.7 <= time.monotonic() - began < 5


async def test_two_connections_of_a_device_do_not_meet(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    one, two = Window(ken, "one"), Window(ken, "two")
    await one.looks()
    await mio.says(room, "a")
    await two.looks()
    await mio.says(room, "b")
    await one.looks()
    await two.looks()
    assert one.bodies(room) == ["a", "b"]
    assert two.bodies(room) == ["a", "b"]
    # Logging out ends both.
    again = await ken.logs_in_again()
    third = Window(again)
    await third.looks()
    waiting = asyncio.create_task(third.asks(20_000))
    await asyncio.sleep(0.2)
    await again.post(f"{V3}/logout")
    await refused(asyncio.wait_for(waiting, 10), 401, "M_UNKNOWN_TOKEN")


async def test_element_xs_two_connections(mio: Person, ken: Person) -> None:
    """What matrix-rust-sdk's RoomListService and EncryptionSyncService ask for."""
    rooms = [await mio.opens_a_room(with_=[ken], encrypted=True) for _ in range(3)]
    required = [
        ["m.room.name", ""], ["m.room.encryption", ""], ["m.room.member", "$LAZY"], ["m.room.member", "$ME"],
        ["m.room.topic", ""], ["m.room.avatar", ""], ["m.room.canonical_alias", ""], ["m.room.power_levels", ""],
        ["org.matrix.msc3401.call.member", "*"], ["m.room.join_rules", ""], ["m.room.tombstone", ""],
        ["m.room.create", ""], ["m.room.history_visibility", ""], ["io.element.functional_members", ""],
        ["m.space.parent", "*"], ["m.space.child", "*"],
    ]  # fmt: skip
    listed = Window(ken, "room-list")
    filters = {"not_room_types": ["m.space"]}
    listed.lists = {
        "all_rooms": {"ranges": [[0, 1]], "timeline_limit": 1, "required_state": required, "filters": filters}
    }
    listed.extensions = {
        "account_data": {"enabled": True}, "receipts": {"enabled": True, "rooms": ["*"]}, "typing": {"enabled": True},
    }  # fmt: skip
    secrets = Window(ken, "encryption")
    secrets.lists, secrets.extensions = {}, {"to_device": {"enabled": True}, "e2ee": {"enabled": True}}
    await listed.looks()
    await secrets.looks()
    assert len(listed.rooms) == 2
    listed.lists["all_rooms"]["ranges"] = [[0, 99]]
    await listed.looks()
    assert set(listed.told["rooms"]) == {rooms[0]}
    listed.subscriptions = {rooms[1]: {"timeline_limit": 20, "required_state": required}}
    await listed.looks()
    assert set(listed.told["rooms"]) == {rooms[1]}
    room = listed.rooms[rooms[1]]
    assert room.heroes == [mio.user_id]
    assert room.state["m.room.encryption", ""]["content"] == {"algorithm": "m.megolm.v1.aes-sha2"}
    waiting = asyncio.create_task(listed.looks(20_000))
    await mio.sends(rooms[1], "m.room.encrypted", {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "abc"})
    await asyncio.wait_for(waiting, 10)
    assert room.timeline[-1]["content"]["ciphertext"] == "abc"
    assert room.counts == (1, 0)


async def test_the_stable_path_has_its_own_names(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], name="x")
    invited = await mio.opens_a_room()
    await mio.invites(invited, ken)
    window = Window(ken, stable=True)
    include = [{"type": "m.room.name", "state_key": ""}, {"type": "m.room.power_levels"}]
    window.lists = {
        "all": {
            "range": [0, 9], "timeline_limit": 2,
            "required_state": {"include": include, "exclude": [{"type": "m.room.power_levels"}], "lazy_members": True},
        },
        "invited": {"timeline_limit": 0, "required_state": {}, "filters": {"is_invited": True}},
    }  # fmt: skip
    await window.looks()
    told = window.of(room)
    assert told["membership"] == "join"
    assert told["lists"] == ["all"]
    assert len(told["timeline"]) == 2
    assert {event["type"] for event in told["required_state"]} == {"m.room.name", "m.room.member"}
    assert window.of(invited)["membership"] == "invite"
    assert window.of(invited)["lists"] == ["all", "invited"]
    assert "stripped_state" in window.of(invited)
    await mio.sets(room, "m.room.name", {})
    await window.looks()
    assert window.of(room)["name"] is None
    assert window.of(room)["heroes"] == [{"user_id": mio.user_id, "displayname": mio.localpart}] or window.of(room)[
        "heroes"
    ] == [{"user_id": mio.user_id}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (UNSTABLE, {"lists": {"a": {"ranges": [[5, 1]], "timeline_limit": 1, "required_state": []}}}),
        (UNSTABLE, {"lists": {"a": {"ranges": [[-1, 1]], "timeline_limit": 1, "required_state": []}}}),
        (UNSTABLE, {"lists": {"a": {"ranges": [[0, 1]], "timeline_limit": -1, "required_state": []}}}),
        (UNSTABLE, {"lists": {str(n): {"timeline_limit": 1, "required_state": []} for n in range(101)}}),
        (UNSTABLE, {"conn_id": "x" * 65}),
        (UNSTABLE, {"extensions": {"typing": 1}}),
        (STABLE, {"lists": {"a": {"range": [0, 1]}}}),
        (STABLE, {"set_presence": "asleep"}),
    ],
)
async def test_what_makes_no_sense_is_refused(aoi: Person, path: str, body: Json) -> None:
    assert (await refused(aoi.post(path, body), 400)).errcode in ("M_INVALID_PARAM", "M_BAD_JSON")


async def test_any_worker_goes_on_where_another_stopped(workers: Workers) -> None:
    cast = Cast(workers.base_urls[0])
    try:
        mio, ken = await cast.person("mio"), await cast.person("ken")
        elsewhere = ken.through(cast.line_to(workers.base_urls[1]))
        room = await mio.opens_a_room(with_=[ken])
        window = Window(ken)
        await window.looks()
        await mio.says(room, "a")
        await window.looks(person=elsewhere)
        await mio.says(room, "b")
        await window.looks()
        workers.kills(0)
        await asyncio.to_thread(workers.opens, 0)
        await mio.says(room, "c")
        await window.looks()
        assert window.bodies(room) == ["a", "b", "c"]
        assert window.told["rooms"][room].get("initial") is None
    finally:
        await cast.leave_the_stage()
