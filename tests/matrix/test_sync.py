"""/sync: what is new reaches everybody once, and joins up with what /messages tells."""

import asyncio
import time

from tests.cast import V3, Json, Person, refused, segment


def bodies(events: list[Json]) -> list[str]:
    return [event["content"]["body"] for event in events if event["type"] == "m.room.message"]


def timeline(told: Json, room: str) -> Json:
    part: Json = told["rooms"]["join"][room]["timeline"]
    return part


async def test_the_first_sync_tells_everything(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], name="相談")
    await mio.says(room, "こんばんは")
    told = await ken.sync(filter={"room": {"timeline": {"limit": 2}}})
    joined = told["rooms"]["join"][room]
    assert len(joined["timeline"]["events"]) == 2
    assert joined["timeline"]["limited"] is True
    state = {(event["type"], event["state_key"]) for event in joined["state"]["events"]}
    assert {("m.room.create", ""), ("m.room.name", ""), ("m.room.member", mio.user_id)} <= state
    assert joined.get("summary", {}).get("m.joined_member_count", 2) == 2
    assert any(event["type"] == "m.push_rules" for event in told["account_data"]["events"])
    assert "device_one_time_keys_count" in told


async def test_an_incremental_sync_tells_only_what_is_new(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await ken.catches_up()
    await mio.says(room, "一")
    await mio.says(room, "二")
    told = await ken.catches_up()
    assert bodies(timeline(told, room)["events"]) == ["一", "二"]
    assert not timeline(told, room).get("limited")
    assert not told["rooms"]["join"][room].get("state", {}).get("events")
    told = await ken.catches_up()
    assert not told.get("rooms", {}).get("join")


async def test_the_same_since_gives_the_same_answer_again(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    since = (await ken.catches_up())["next_batch"]
    await mio.says(room, "届く")
    for _ in range(3):
        assert bodies(timeline(await ken.sync(since=since), room)["events"]) == ["届く"]


async def test_a_long_poll_wakes_at_once(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await ken.catches_up()
    waiting = asyncio.create_task(ken.catches_up(timeout_ms=20_000))
    await asyncio.sleep(0.3)
    begun = time.monotonic()
    await mio.says(room, "起きて")
    told = await waiting
    assert bodies(timeline(told, room)["events"]) == ["起きて"]
    assert time.monotonic() - begun < 5


async def test_a_long_poll_with_nothing_new_ends_in_time(mio: Person) -> None:
    since = (await mio.catches_up())["next_batch"]
    begun = time.monotonic()
    told = await mio.catches_up(timeout_ms=700)
    assert 0.5 < time.monotonic() - begun < 5
    assert told["next_batch"]
    assert not told.get("rooms", {}).get("join")
    assert since


async def test_a_limited_timeline_joins_up_with_messages(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    since = (await ken.catches_up())["next_batch"]
    said = [str(n) for n in range(30)]
    for text in said:
        await mio.says(room, text)
    told = await ken.sync(since=since, filter={"room": {"timeline": {"limit": 7}}})
    part = timeline(told, room)
    assert part["limited"] is True
    assert bodies(part["events"]) == said[-7:]
    earlier = await ken.reads_all(room, from_=part["prev_batch"], to=since, limit=5)
    assert bodies(earlier)[::-1] + bodies(part["events"]) == said


async def test_state_in_a_gap_is_told(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    since = (await ken.catches_up())["next_batch"]
    await mio.sets(room, "m.room.topic", {"topic": "あいだ"})
    for n in range(12):
        await mio.says(room, str(n))
    told = (await ken.sync(since=since, filter={"room": {"timeline": {"limit": 3}}}))["rooms"]["join"][room]
    topics = [event["content"]["topic"] for event in told["state"]["events"] if event["type"] == "m.room.topic"]
    assert topics == ["あいだ"]
    # The state before the timeline, so that what stands in the timeline comes after it.
    await mio.sets(room, "m.room.topic", {"topic": "いま"})
    told = (await ken.sync(since=since, filter={"room": {"timeline": {"limit": 1}}}))["rooms"]["join"][room]
    topics = [event["content"]["topic"] for event in told["state"]["events"] if event["type"] == "m.room.topic"]
    assert topics in (["あいだ"], [])
    assert told["timeline"]["events"][0]["content"]["topic"] == "いま"


async def test_state_after_is_given_to_who_asks(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    since = (await ken.catches_up())["next_batch"]
    await mio.sets(room, "m.room.topic", {"topic": "あと"})
    told = (await ken.sync(since=since, use_state_after=True))["rooms"]["join"][room]
    if "state_after" in told:
        assert [e["content"]["topic"] for e in told["state_after"]["events"] if e["type"] == "m.room.topic"] == ["あと"]


async def test_full_state_repeats_the_state_and_not_the_messages(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], name="相談")
    await mio.says(room, "一度だけ")
    since = (await ken.catches_up())["next_batch"]
    told = (await ken.sync(since=since, full_state=True))["rooms"]["join"][room]
    assert any(event["type"] == "m.room.name" for event in told["state"]["events"])
    assert not told["timeline"]["events"]


async def test_lazy_members_are_those_who_speak(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(with_=[ken, sato], name="相談")  # without a name the heroes would be told
    for n in range(5):
        await mio.says(room, str(n))
    lazy = {"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 3}}}
    told = (await sato.sync(filter=lazy))["rooms"]["join"][room]
    members = {event["state_key"] for event in told["state"]["events"] if event["type"] == "m.room.member"}
    assert mio.user_id in members
    assert ken.user_id not in members
    since = (await sato.catches_up(filter=lazy))["next_batch"]
    await ken.says(room, "こんばんは")
    told = (await sato.sync(since=since, filter=lazy))["rooms"]["join"][room]
    members = {event["state_key"] for event in told["state"]["events"] if event["type"] == "m.room.member"}
    assert ken.user_id in members


async def test_joining_between_two_syncs_brings_the_whole_room(mio: Person, ken: Person) -> None:
    await ken.catches_up()
    room = await mio.opens_a_room(name="相談")
    for n in range(3):
        await mio.says(room, str(n))
    await mio.invites(room, ken)
    assert room in (await ken.catches_up())["rooms"]["invite"]
    await ken.joins(room)
    told = await ken.catches_up()
    assert room not in told["rooms"].get("invite", {})
    joined = told["rooms"]["join"][room]
    everything = joined["state"]["events"] + joined["timeline"]["events"]
    assert {"m.room.create", "m.room.name", "m.room.power_levels"} <= {event["type"] for event in everything}
    assert bodies(joined["timeline"]["events"]) == ["0", "1", "2"]


async def test_left_rooms_are_told_once_and_with_a_filter_again(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await ken.catches_up()
    await mio.says(room, "さようなら")
    await ken.leaves(room)
    await mio.says(room, "もう聞こえない")
    left = (await ken.catches_up())["rooms"]["leave"][room]
    assert bodies(left["timeline"]["events"]) == ["さようなら"]
    assert left["timeline"]["events"][-1]["content"]["membership"] == "leave"
    assert not (await ken.catches_up()).get("rooms", {}).get("leave")
    assert not (await ken.sync()).get("rooms", {}).get("leave")
    assert room in (await ken.sync(filter={"room": {"include_leave": True}}))["rooms"]["leave"]


async def test_leaving_and_coming_back_between_two_syncs(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], preset="public_chat")
    await ken.catches_up()
    await ken.leaves(room)
    await ken.joins(room)
    await mio.says(room, "おかえり")
    told = await ken.catches_up()
    assert "おかえり" in bodies(timeline(told, room)["events"])
    assert room not in told["rooms"].get("leave", {})


async def test_unread_counts_follow_the_read_mark(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await ken.catches_up()
    last = ""
    for n in range(3):
        last = await mio.says(room, str(n))
    told = (await ken.catches_up())["rooms"]["join"][room]
    assert told["unread_notifications"]["notification_count"] == 3
    assert told["unread_notifications"]["highlight_count"] == 0
    await ken.post(f"{V3}/rooms/{segment(room)}/receipt/m.read/{segment(last)}")
    told = (await ken.catches_up())["rooms"]["join"][room]
    assert told["unread_notifications"]["notification_count"] == 0
    await mio.sends(
        room, "m.room.message", {"msgtype": "m.text", "body": "ねえ", "m.mentions": {"user_ids": [ken.user_id]}}
    )
    told = (await ken.catches_up())["rooms"]["join"][room]
    assert told["unread_notifications"]["highlight_count"] == 1


async def test_receipts_and_typing_are_seen_by_the_others(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    event = await mio.says(room, "読んだ？")
    await mio.catches_up()
    await ken.post(f"{V3}/rooms/{segment(room)}/receipt/m.read/{segment(event)}")
    ephemeral = (await mio.catches_up(timeout_ms=5000))["rooms"]["join"][room]["ephemeral"]["events"]
    assert ken.user_id in ephemeral[0]["content"][event]["m.read"]
    await ken.put(f"{V3}/rooms/{segment(room)}/typing/{segment(ken.user_id)}", {"typing": True, "timeout": 30000})
    ephemeral = (await mio.catches_up(timeout_ms=5000))["rooms"]["join"][room]["ephemeral"]["events"]
    assert [e["content"]["user_ids"] for e in ephemeral if e["type"] == "m.typing"] == [[ken.user_id]]
    await ken.put(f"{V3}/rooms/{segment(room)}/typing/{segment(ken.user_id)}", {"typing": False})
    ephemeral = (await mio.catches_up(timeout_ms=5000))["rooms"]["join"][room]["ephemeral"]["events"]
    assert [e["content"]["user_ids"] for e in ephemeral if e["type"] == "m.typing"] == [[]]
    path = f"{V3}/rooms/{segment(room)}/typing/{segment(mio.user_id)}"
    await refused(ken.put(path, {"typing": True, "timeout": 1000}), None, "M_FORBIDDEN")


async def test_a_private_read_mark_is_private(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    event = await mio.says(room, "読んだ？")
    await mio.catches_up()
    await ken.catches_up()
    await ken.post(f"{V3}/rooms/{segment(room)}/receipt/m.read.private/{segment(event)}")
    mine = (await ken.catches_up(timeout_ms=5000))["rooms"]["join"][room]["ephemeral"]["events"]
    assert ken.user_id in mine[0]["content"][event]["m.read.private"]
    hers = (await mio.catches_up()).get("rooms", {}).get("join", {}).get(room, {})
    assert not hers.get("ephemeral", {}).get("events")


async def test_account_data_reaches_the_persons_other_devices_and_nobody_else(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    other = await mio.logs_in_again()
    await other.catches_up()
    await ken.catches_up()
    me = segment(mio.user_id)
    await mio.put(f"{V3}/user/{me}/account_data/jp.example.note", {"a": 1})
    await mio.put(f"{V3}/user/{me}/rooms/{segment(room)}/account_data/jp.example.note", {"b": 2})
    await mio.put(f"{V3}/user/{me}/rooms/{segment(room)}/tags/m.favourite", {"order": 0.5})
    told = await other.catches_up(timeout_ms=3000)
    assert {"type": "jp.example.note", "content": {"a": 1}} in told["account_data"]["events"]
    for_room = {e["type"]: e["content"] for e in told["rooms"]["join"][room]["account_data"]["events"]}
    assert for_room["jp.example.note"] == {"b": 2}
    assert for_room["m.tag"] == {"tags": {"m.favourite": {"order": 0.5}}}
    told = await ken.catches_up()
    assert not told.get("account_data", {}).get("events")
    assert not told.get("rooms", {}).get("join")
    await refused(ken.get(f"{V3}/user/{me}/account_data/jp.example.note"), 403, "M_FORBIDDEN")


async def test_to_device_messages_arrive_once_and_survive_until_confirmed(mio: Person, ken: Person) -> None:
    await ken.catches_up()
    since = ken.since
    message = {"messages": {ken.user_id: {ken.device_id: {"word": "一"}}}}
    for _ in range(2):  # the same transaction twice
        await mio.put(f"{V3}/sendToDevice/jp.example.word/t1", message)
    told = await ken.sync(since=since, timeout_ms=3000)
    expected = [{"sender": mio.user_id, "type": "jp.example.word", "content": {"word": "一"}}]
    assert told["to_device"]["events"] == expected
    again = await ken.sync(since=since)  # the answer was lost on the way
    assert again["to_device"]["events"] == expected
    after = await ken.sync(since=again["next_batch"])
    assert not after.get("to_device", {}).get("events")
    fresh = await ken.sync()
    assert not fresh.get("to_device", {}).get("events")


async def test_to_device_for_all_devices_and_in_order(mio: Person, ken: Person) -> None:
    second = await ken.logs_in_again()
    await ken.catches_up()
    await second.catches_up()
    for n in range(130):  # more than one answer holds
        await mio.put(f"{V3}/sendToDevice/jp.example.n/t{n}", {"messages": {ken.user_id: {"*": {"n": n}}}})
    for device in (ken, second):
        seen: list[int] = []
        for _ in range(5):
            told = await device.catches_up()
            seen += [event["content"]["n"] for event in told.get("to_device", {}).get("events", [])]
        assert seen == list(range(130))


async def test_a_filter_leaves_out_what_is_not_wanted(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    other = await mio.opens_a_room(with_=[ken])
    await mio.says(room, "a")
    await mio.sends(room, "jp.example.other", {})
    only = {"room": {"rooms": [room], "timeline": {"types": ["m.room.message"]}, "state": {"types": ["m.room.name"]}}}
    filter_id = (await ken.post(f"{V3}/user/{segment(ken.user_id)}/filter", only))["filter_id"]
    assert (await ken.get(f"{V3}/user/{segment(ken.user_id)}/filter/{filter_id}"))["room"]["rooms"] == [room]
    for chosen in (filter_id, only):
        told = await ken.sync(filter=chosen)
        assert other not in told["rooms"]["join"]
        assert {event["type"] for event in timeline(told, room)["events"]} == {"m.room.message"}
        assert not told["rooms"]["join"][room].get("state", {}).get("events")
    await refused(ken.sync(filter="no-such-filter"))
    await refused(ken.sync(filter='{"room": '), 400)


async def test_device_lists_name_those_whose_keys_changed(mio: Person, ken: Person, aoi: Person) -> None:
    await mio.opens_a_room(with_=[ken], encrypted=True)
    since = (await mio.catches_up())["next_batch"]
    await ken.logs_in_again()
    await aoi.logs_in_again()
    new = await ken.logs_in_again()
    await new.post(f"{V3}/keys/upload", {"device_keys": device_keys(new)})
    told = await mio.sync(since=since, timeout_ms=3000)
    assert ken.user_id in told["device_lists"]["changed"]
    assert aoi.user_id not in told["device_lists"]["changed"]


def device_keys(person: Person) -> Json:
    """Keys of the right shape; the server does not check device signatures."""
    return {
        "user_id": person.user_id,
        "device_id": person.device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": {
            f"curve25519:{person.device_id}": "3C5BFWi2Y8MaVvjM8M22DBmh24PmgR0nPvJOIArzgyI",
            f"ed25519:{person.device_id}": "lEuiRJBit0IG6nUf5pUzWTUEsRVVe/HJkoKuEww9ULI",
        },
        "signatures": {person.user_id: {f"ed25519:{person.device_id}": "dSO80A01XiigH3uBiDVx" + "A" * 66}},
    }
