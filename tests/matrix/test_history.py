"""Who may read what was said before they came: history visibility; pages of /messages; /context."""

import pytest

from tests.cast import V3, Json, Person, refused, segment


def bodies(events: list[Json]) -> list[str]:
    return [event["content"]["body"] for event in events if event["type"] == "m.room.message"]


async def room_with_visibility(mio: Person, visibility: str) -> str:
    state = {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": visibility}}
    return await mio.opens_a_room(initial_state=[state])


@pytest.mark.parametrize(
    ("visibility", "seen"),
    [
        ("joined", ["入ったあと"]),
        ("invited", ["招待のあと", "入ったあと"]),
        ("shared", ["はじめ", "招待のあと", "入ったあと"]),
        ("world_readable", ["はじめ", "招待のあと", "入ったあと"]),
    ],
)
async def test_what_a_newcomer_reads(mio: Person, ken: Person, visibility: str, seen: list[str]) -> None:
    room = await room_with_visibility(mio, visibility)
    await mio.says(room, "はじめ")
    await mio.invites(room, ken)
    await mio.says(room, "招待のあと")
    await ken.joins(room)
    await mio.says(room, "入ったあと")
    assert bodies(await ken.reads_all(room, dir_="f")) == seen
    assert bodies(await ken.reads_all(room, dir_="b", limit=2)) == seen[::-1]
    timeline = (await ken.sync(filter={"room": {"timeline": {"limit": 50}}}))["rooms"]["join"][room]["timeline"]
    assert bodies(timeline["events"]) == seen


async def test_who_has_left_reads_up_to_then(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await mio.says(room, "聞こえる")
    await ken.leaves(room)
    hidden = await mio.says(room, "もう聞こえない")
    assert bodies(await ken.reads_all(room)) == ["聞こえる"]
    await refused(ken.get(f"{V3}/rooms/{segment(room)}/event/{segment(hidden)}"), 404, "M_NOT_FOUND")
    await refused(ken.get(f"{V3}/rooms/{segment(room)}/context/{segment(hidden)}"))


async def test_outsiders_read_only_what_is_for_the_world(mio: Person, aoi: Person) -> None:
    for visibility in ("joined", "invited", "shared"):
        room = await room_with_visibility(mio, visibility)
        event = await mio.says(room, "秘密")
        await refused(aoi.reads(room), 403, "M_FORBIDDEN")
        await refused(aoi.get(f"{V3}/rooms/{segment(room)}/event/{segment(event)}"))
    room = await room_with_visibility(mio, "world_readable")
    await mio.says(room, "公開")
    assert "公開" in bodies(await aoi.reads_all(room))


async def test_pages_join_up_whatever_their_size(mio: Person) -> None:
    room = await mio.opens_a_room()
    said = [str(n) for n in range(25)]
    for text in said:
        await mio.says(room, text)
    whole = [event["event_id"] for event in await mio.reads_all(room, dir_="f", limit=100)]
    for limit in (1, 3, 7, 25):
        forward = [event["event_id"] for event in await mio.reads_all(room, dir_="f", limit=limit)]
        backward = [event["event_id"] for event in await mio.reads_all(room, dir_="b", limit=limit)]
        assert forward == whole
        assert backward == whole[::-1]
    assert len(set(whole)) == len(whole)


async def test_a_page_between_two_tokens(mio: Person) -> None:
    room = await mio.opens_a_room()
    await mio.says(room, "前")
    start = (await mio.sync())["next_batch"]
    await mio.says(room, "中")
    end = (await mio.sync())["next_batch"]
    await mio.says(room, "後")
    assert bodies(await mio.reads_all(room, dir_="f", from_=start, to=end)) == ["中"]
    assert bodies(await mio.reads_all(room, dir_="b", from_=end, to=start)) == ["中"]


async def test_context_stands_around_an_event_and_its_tokens_go_on(mio: Person) -> None:
    room = await mio.opens_a_room()
    ids = [await mio.says(room, str(n)) for n in range(11)]
    told = await mio.get(f"{V3}/rooms/{segment(room)}/context/{segment(ids[5])}", limit=4)
    assert told["event"]["event_id"] == ids[5]
    assert bodies(told["events_before"]) == ["4", "3"]
    assert bodies(told["events_after"]) == ["6", "7"]
    assert any(event["type"] == "m.room.create" for event in told["state"])
    assert bodies(await mio.reads_all(room, dir_="f", from_=told["end"])) == ["8", "9", "10"]
    assert bodies(await mio.reads_all(room, dir_="b", from_=told["start"])) == ["3", "2", "1", "0"][1:]
    await refused(mio.get(f"{V3}/rooms/{segment(room)}/context/{segment('$none')}"), 404, "M_NOT_FOUND")


async def test_a_page_is_filtered(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await mio.says(room, "澪")
    await ken.says(room, "健")
    only = await mio.reads_all(room, filter={"types": ["m.room.message"], "senders": [ken.user_id]})
    assert bodies(only) == ["健"]
    none = await mio.reads_all(room, filter={"not_types": ["m.*"]})
    assert none == []


async def test_a_nonsense_token_is_refused(mio: Person) -> None:
    room = await mio.opens_a_room()
    for token in ("nonsense", "s" * 5000, "1e9", "９"):
        await refused(mio.reads(room, from_=token), 400)
        await refused(mio.sync(since=token), 400)


async def test_an_event_is_found_by_the_time_it_was_sent(mio: Person) -> None:
    room = await mio.opens_a_room()
    event = await mio.says(room, "いつ")
    sent = (await mio.get(f"{V3}/rooms/{segment(room)}/event/{segment(event)}"))["origin_server_ts"]
    path = f"/_matrix/client/v1/rooms/{segment(room)}/timestamp_to_event"
    assert (await mio.get(path, ts=sent, dir="b"))["origin_server_ts"] <= sent
    await refused(mio.get(path, ts=sent + 1_000_000, dir="f"), 404, "M_NOT_FOUND")
