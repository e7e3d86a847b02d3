"""/sync on the edges: coming, going, coming back; what somebody outside may see; what filters leave; lost answers."""

import pytest

from tests.cast import V1, V3, Json, Person, refused, segment


def bodies(events: list[Json]) -> list[str]:
    return [event["content"]["body"] for event in events if "body" in event["content"]]


def types(events: list[Json]) -> set[str]:
    return {event["type"] for event in events}


def ids(events: list[Json]) -> list[str]:
    return [event["event_id"] for event in events]


def visibility(how: str) -> Json:
    return {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": how}}


def path(room: str, rest: str) -> str:
    return f"{V3}/rooms/{segment(room)}/{rest}"


# -- going -------------------------------------------------------------------------------------------------------------
async def test_who_turns_an_invitation_down_learns_nothing_of_the_room(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(name="相談")
    await mio.says(room, "秘密")
    await mio.invites(room, ken)
    invited = (await ken.catches_up())["rooms"]["invite"][room]["invite_state"]["events"]
    assert {"m.room.create", "m.room.name", "m.room.member"} <= types(invited)
    await refused(ken.get(path(room, "members"), at=ken.since), 403)
    await ken.leaves(room)
    left = (await ken.catches_up())["rooms"]["leave"][room]
    assert [event["content"]["membership"] for event in left["timeline"]["events"]] == ["leave"]
    assert not left["state"]["events"]
    for rest in ("state", "members", "messages?dir=b", "state/m.room.name/", "joined_members"):
        await refused(ken.get(path(room, rest)), 403, "M_FORBIDDEN")
    await refused(ken.get(path(room, "members"), at=ken.since), 403)
    everything = (await ken.sync(filter={"room": {"include_leave": True}}))["rooms"]["leave"][room]
    assert types(everything["state"]["events"]) <= {"m.room.member"}


async def test_the_kicked_and_the_banned_are_told_and_see_no_further(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(with_=[ken, sato], name="前")
    await ken.catches_up()
    await sato.catches_up()
    await mio.kicks(room, ken)
    await mio.bans(room, sato)
    await mio.sets(room, "m.room.name", {"name": "後"})
    await mio.says(room, "後")
    for person, membership in ((ken, "leave"), (sato, "ban")):
        told = await person.catches_up()
        assert room not in told["rooms"]["join"]
        last = told["rooms"]["leave"][room]["timeline"]["events"][-1]
        assert (last["sender"], last["content"]["membership"]) == (mio.user_id, membership)
        assert (await person.state(room, "m.room.name"))["name"] == "前"
        assert not (await person.catches_up())["rooms"]["leave"]


async def test_a_ban_after_leaving_opens_nothing_more(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], name="前")
    await ken.leaves(room)
    await ken.catches_up()
    await mio.sets(room, "m.room.name", {"name": "後"})
    await mio.says(room, "後")
    await mio.bans(room, ken)
    left = (await ken.catches_up())["rooms"]["leave"][room]
    assert [event["content"].get("membership") for event in left["timeline"]["events"]] == ["ban"]
    assert (await ken.state(room, "m.room.name"))["name"] == "前"
    assert bodies(await ken.reads_all(room)) == []


@pytest.mark.parametrize("how", ["joined", "shared"])
async def test_left_rooms_come_with_the_state_their_members_knew(mio: Person, ken: Person, how: str) -> None:
    room = await mio.opens_a_room(with_=[ken], name="前", initial_state=[visibility(how)])
    await mio.says(room, "聞いた")
    await ken.leaves(room)
    await mio.sets(room, "m.room.name", {"name": "後"})
    chosen = {"room": {"include_leave": True, "timeline": {"limit": 2}}}
    left = (await ken.sync(filter=chosen))["rooms"]["leave"][room]
    assert bodies(left["timeline"]["events"]) == ["聞いた"]
    assert {"m.room.create", "m.room.power_levels", "m.room.name"} <= types(left["state"]["events"])
    assert [e["content"]["name"] for e in left["state"]["events"] if e["type"] == "m.room.name"] == ["前"]


async def test_a_room_left_and_forgotten_on_one_device_goes_from_the_other(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    other = await ken.logs_in_again()
    await other.catches_up()
    await ken.leaves(room)
    await ken.forgets(room)
    assert room in (await other.catches_up())["rooms"]["leave"]


async def test_full_state_does_not_tell_old_leavings_again(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await ken.catches_up()
    await ken.leaves(room)
    assert room in (await ken.catches_up())["rooms"]["leave"]
    await mio.says(room, "まだいる")
    assert room not in (await ken.sync(since=ken.since, full_state=True))["rooms"]["leave"]


async def test_what_relates_to_an_event_is_not_shown_beyond_ones_leaving(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    event = await mio.says(room, "はじめ")
    await ken.leaves(room)
    relation = {"rel_type": "m.thread", "event_id": event}
    await mio.sends(room, "m.room.message", {"msgtype": "m.text", "body": "秘密", "m.relates_to": relation})
    hers = await mio.get(path(room, f"event/{segment(event)}"))
    assert hers["unsigned"]["m.relations"]["m.thread"]["count"] == 1
    his = await ken.get(path(room, f"event/{segment(event)}"))
    assert "m.relations" not in his.get("unsigned", {})
    assert all("m.relations" not in e.get("unsigned", {}) for e in await ken.reads_all(room))
    assert (await ken.get(f"{V1}/rooms/{segment(room)}/relations/{segment(event)}"))["chunk"] == []


# -- coming back -------------------------------------------------------------------------------------------------------
async def test_coming_back_after_a_told_leaving_begins_the_room_anew(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], preset="public_chat", name="相談")
    await mio.says(room, "一")
    await ken.catches_up()
    await ken.leaves(room)
    await ken.catches_up()
    await mio.says(room, "二")
    await ken.joins(room)
    joined = (await ken.catches_up())["rooms"]["join"][room]
    assert joined["timeline"]["limited"] is True, "the client has events of before and can't join them up"
    everything = joined["state"]["events"] + joined["timeline"]["events"]
    assert {"m.room.create", "m.room.name", "m.room.power_levels"} <= types(everything)
    earlier = await ken.reads_all(room, from_=joined["timeline"]["prev_batch"])
    whole = ids(earlier)[::-1] + ids(joined["timeline"]["events"])
    assert whole == ids(await ken.reads_all(room, dir_="f"))
    assert len(set(whole)) == len(whole)


async def test_invited_and_joined_between_two_syncs_is_joined(mio: Person, ken: Person) -> None:
    await ken.catches_up()
    room = await mio.opens_a_room(with_=[ken])
    told = (await ken.catches_up())["rooms"]
    assert room in told["join"]
    assert room not in told["invite"]


async def test_who_joins_is_told_how_far_the_others_have_read(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room()
    event = await mio.says(room, "はじめ")
    await mio.post(path(room, f"receipt/m.read/{segment(event)}"))
    await ken.catches_up()
    await mio.invites(room, ken)
    await ken.joins(room)
    ephemeral = (await ken.catches_up())["rooms"]["join"][room]["ephemeral"]["events"]
    marks = [e["content"] for e in ephemeral if e["type"] == "m.receipt"]
    assert mio.user_id in marks[0][event]["m.read"]


@pytest.mark.parametrize(
    ("how", "seen"), [("joined", []), ("invited", ["招待のあと"]), ("shared", ["前", "招待のあと"])]
)
async def test_a_first_timeline_shows_what_may_be_seen(mio: Person, ken: Person, how: str, seen: list[str]) -> None:
    room = await mio.opens_a_room(initial_state=[visibility(how)])
    await mio.says(room, "前")
    await ken.catches_up()
    await mio.invites(room, ken)
    await mio.says(room, "招待のあと")
    await ken.joins(room)
    joined = (await ken.catches_up(filter={"room": {"timeline": {"limit": 50}}}))["rooms"]["join"][room]
    assert bodies(joined["timeline"]["events"]) == seen
    assert "m.room.create" in types(joined["state"]["events"] + joined["timeline"]["events"])
    earlier = await ken.reads_all(room, from_=joined["timeline"]["prev_batch"])
    assert bodies(earlier) == []


# -- timelines and filters ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["joined", "shared"])
@pytest.mark.parametrize("limit", [0, 1, 4])
async def test_a_gap_has_no_hole_and_nothing_twice(mio: Person, ken: Person, how: str, limit: int) -> None:
    room = await mio.opens_a_room(with_=[ken], initial_state=[visibility(how)])
    since = (await ken.catches_up())["next_batch"]
    for n in range(6):
        await mio.says(room, str(n))
        await mio.sets(room, "m.room.topic", {"topic": str(n)})
    told = (await ken.sync(since=since, filter={"room": {"timeline": {"limit": limit}}}))["rooms"]["join"][room]
    assert told["timeline"]["limited"] is True
    assert len(told["timeline"]["events"]) == limit
    earlier = await ken.reads_all(room, from_=told["timeline"]["prev_batch"], to=since, limit=3)
    whole = ids(earlier)[::-1] + ids(told["timeline"]["events"])
    assert len(set(whole)) == len(whole) == 12
    state = [e["content"]["topic"] for e in told["state"]["events"] if e["type"] == "m.room.topic"]
    assert state == {0: ["5"], 1: ["4"], 4: ["3"]}[limit]


async def test_filters_by_sender_type_content_and_room(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    quiet = await mio.opens_a_room(with_=[ken])
    since = (await ken.catches_up())["next_batch"]
    await mio.says(room, "文字")
    await ken.says(room, "健")
    await mio.sends(room, "m.room.message", {"msgtype": "m.file", "body": "絵", "url": "mxc://a/b"})
    await mio.sends(room, "jp.example.other", {"body": "別"})
    await mio.says(quiet, "静か")

    async def told(**timeline: object) -> list[str]:
        answer = await ken.sync(since=since, filter={"room": {"timeline": timeline}})
        part = answer["rooms"]["join"].get(room, {"timeline": {"events": []}})
        return bodies(part["timeline"]["events"])

    assert await told(senders=[mio.user_id]) == ["文字", "絵", "別"]
    assert await told(not_senders=[mio.user_id]) == ["健"]
    assert await told(types=["m.room.*"], not_types=["m.room.mess*"]) == []
    assert await told(types=["jp.*"]) == ["別"]
    assert await told(contains_url=True) == ["絵"]
    assert await told(contains_url=False) == ["文字", "健", "別"]
    assert await told(not_rooms=[room]) == []
    only = await ken.sync(since=since, filter={"room": {"not_rooms": [quiet]}})
    assert set(only["rooms"]["join"]) == {room}


async def test_state_after_holds_what_the_timeline_does_too(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    since = (await ken.catches_up())["next_batch"]
    await mio.sets(room, "m.room.topic", {"topic": "一"})
    await mio.sets(room, "m.room.topic", {"topic": "二"})
    only = {"room": {"timeline": {"types": ["m.room.message"]}}}
    told = (await ken.sync(since=since, use_state_after=True, filter=only))["rooms"]["join"][room]
    assert [e["content"]["topic"] for e in told["state_after"]["events"]] == ["二"]
    assert "state" not in told
    # As matrix-js-sdk asks, which looks for the answer under that name too.
    told = (await ken.sync(since=since, filter=only, **{"org.matrix.msc4222.use_state_after": True}))["rooms"]["join"][
        room
    ]
    assert [e["content"]["topic"] for e in told["org.matrix.msc4222.state_after"]["events"]] == ["二"]
    assert {"state", "state_after"}.isdisjoint(told)
    await ken.leaves(room)
    left = (await ken.sync(since=since, use_state_after=True))["rooms"]["leave"][room]
    after = {(e["type"], e["state_key"]): e["content"] for e in left["state_after"]["events"]}
    assert after["m.room.topic", ""] == {"topic": "二"}
    assert after["m.room.member", ken.user_id]["membership"] == "leave"


async def test_what_was_taken_back_is_gone_from_timeline_and_state(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    event = await mio.says(room, "取り消す")
    topic = await mio.sets(room, "m.room.topic", {"topic": "取り消す"})
    await ken.catches_up()
    redaction = await mio.redacts(room, event)
    await mio.redacts(room, topic)
    news = (await ken.catches_up())["rooms"]["join"][room]["timeline"]["events"]
    assert [e["content"]["redacts"] for e in news] == [event, topic]
    assert news[0]["redacts"] == event
    await mio.sets(room, "m.room.topic", {"topic": "新しい"})
    assert "取り消す" not in str(await ken.sync())
    assert "取り消す" not in str(await ken.reads_all(room))
    seen = await ken.get(path(room, f"event/{segment(event)}"))
    assert seen["content"] == {}
    assert seen["unsigned"]["redacted_because"]["event_id"] == redaction


# -- answers that got lost, tokens that make no sense ------------------------------------------------------------------
async def test_a_lost_answer_comes_again_with_its_members(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(with_=[ken, sato], name="相談")
    await mio.says(room, "誰か")
    lazy = {"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 1}}}
    since = (await sato.sync(filter=lazy))["next_batch"]
    await ken.says(room, "はい")

    def members(told: Json) -> set[str]:
        return {e["state_key"] for e in told["rooms"]["join"][room]["state"]["events"] if e["type"] == "m.room.member"}

    told = await sato.sync(since=since, filter=lazy)
    assert ken.user_id in members(told)
    again = await sato.sync(since=since, filter=lazy)  # the first answer never arrived
    assert ken.user_id in members(again)
    await ken.says(room, "ここに")
    assert ken.user_id not in members(await sato.sync(since=again["next_batch"], filter=lazy))
    redundant = {"room": {**lazy["room"], "state": {"lazy_load_members": True, "include_redundant_members": True}}}
    assert ken.user_id in members(await sato.sync(since=again["next_batch"], filter=redundant))


async def test_a_position_of_the_future_begins_anew(mio: Person) -> None:
    room = await mio.opens_a_room(name="相談")
    told = await mio.sync(since="s4000000000000000000")
    assert "m.room.name" in types(
        told["rooms"]["join"][room]["state"]["events"] + told["rooms"]["join"][room]["timeline"]["events"]
    )


async def test_a_position_of_long_ago_tells_everything_since(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    told = await ken.sync(since="s1")
    assert room in told["rooms"]["join"]
    assert told["rooms"]["join"][room]["state"]["events"] or told["rooms"]["join"][room]["timeline"]["events"]


async def test_senseless_timeouts_are_no_trouble(mio: Person) -> None:
    since = (await mio.sync())["next_batch"]
    assert (await mio.get(f"{V3}/sync", since=since, timeout=-1))["next_batch"]
    for timeout in ("9" * 400, "x"):
        await refused(mio.get(f"{V3}/sync", since=since, timeout=timeout), 400, "M_INVALID_PARAM")
    room = await mio.opens_a_room()
    await refused(mio.reads(room, limit="9" * 30), 400, "M_INVALID_PARAM")


# -- other rooms -------------------------------------------------------------------------------------------------------
async def test_naming_an_event_of_another_room_opens_nothing(mio: Person, aoi: Person) -> None:
    room, elsewhere = await mio.opens_a_room(), await aoi.opens_a_room()
    event = await mio.says(room, "秘密")
    for rel_type in ("m.thread", "m.reference", "m.replace"):
        relation = {"rel_type": rel_type, "event_id": event}
        await aoi.sends(elsewhere, "m.room.message", {"msgtype": "m.text", "body": "横", "m.relates_to": relation})
    threads = await aoi.get(f"{V1}/rooms/{segment(elsewhere)}/threads")
    assert threads["chunk"] == []
    await refused(aoi.get(f"{V1}/rooms/{segment(elsewhere)}/relations/{segment(event)}"), 404, "M_NOT_FOUND")
    await refused(aoi.get(path(elsewhere, f"event/{segment(event)}")), 404, "M_NOT_FOUND")
    await refused(aoi.get(path(elsewhere, f"context/{segment(event)}")), 404, "M_NOT_FOUND")
    await refused(aoi.redacts(elsewhere, event), 404, "M_NOT_FOUND")
    await refused(aoi.post(path(elsewhere, f"receipt/m.read/{segment(event)}")), 400)
    seen = await mio.get(path(room, f"event/{segment(event)}"))
    assert "m.relations" not in seen.get("unsigned", {})
    assert "横" not in str(await mio.sync())
