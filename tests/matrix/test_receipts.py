"""How far people have read, and who is typing."""

import asyncio
import time
from typing import Any

import pytest

from tests.cast import V3, Person, a_cast, refused, segment
from tests.house import Workers

Json = dict[str, Any]


async def reads_up_to(person: Person, room: str, event: str, type_: str = "m.read", **body: Any) -> None:
    await person.post(f"{V3}/rooms/{segment(room)}/receipt/{type_}/{segment(event)}", body)


def ephemeral(answer: Json, room: str, type_: str) -> Json | None:
    events = answer["rooms"].get("join", {}).get(room, {}).get("ephemeral", {}).get("events", [])
    contents = [event["content"] for event in events if event["type"] == type_]
    assert len(contents) < 2
    return contents[0] if contents else None


def unread(answer: Json, room: str) -> int:
    return int(answer["rooms"]["join"][room]["unread_notifications"]["notification_count"])


@pytest.fixture
async def room(mio: Person, ken: Person) -> str:
    room = await mio.opens_a_room(with_=[ken])
    for person in (mio, ken):
        await person.catches_up()
    return room


# -- receipts ---------------------------------------------------------------------------------------------------------
async def test_a_receipt_is_told_to_everybody_in_the_room(mio: Person, ken: Person, room: str) -> None:
    event = await mio.says(room, "hello")
    await ken.catches_up()
    await mio.catches_up()
    await reads_up_to(ken, room, event)
    for person in (mio, ken):
        told = ephemeral(await person.catches_up(timeout_ms=5000), room, "m.receipt")
        assert told is not None and list(told[event]["m.read"]) == [ken.user_id]
        assert abs(told[event]["m.read"][ken.user_id]["ts"] - time.time() * 1000) < 60_000
    first = ephemeral(await mio.sync(), room, "m.receipt")
    assert first == told


async def test_a_private_receipt_is_told_to_nobody_else(mio: Person, ken: Person, room: str) -> None:
    event = await mio.says(room, "hello")
    assert unread(await ken.catches_up(), room) == 1
    await mio.catches_up()
    await reads_up_to(ken, room, event, "m.read.private")
    own = await ken.catches_up(timeout_ms=5000)
    told = ephemeral(own, room, "m.receipt")
    assert told is not None and list(told[event]) == ["m.read.private"]
    assert unread(own, room) == 0
    began = time.monotonic()
    assert room not in (await mio.catches_up(timeout_ms=600))["rooms"].get("join", {})
    assert time.monotonic() - began > 0.5
    assert ephemeral(await mio.sync(), room, "m.receipt") is None


async def test_a_receipt_never_goes_back(mio: Person, ken: Person, room: str) -> None:
    first, second = [await mio.says(room, text) for text in ("one", "two")]
    await reads_up_to(ken, room, second)
    await reads_up_to(ken, room, first)
    told = ephemeral(await mio.sync(), room, "m.receipt")
    assert told is not None and list(told) == [second]


async def test_unread_messages_are_counted_until_they_are_read(mio: Person, ken: Person, room: str) -> None:
    events = [await mio.says(room, str(n)) for n in range(3)]
    assert unread(await ken.catches_up(), room) == 3
    await reads_up_to(ken, room, events[1])
    assert unread(await ken.catches_up(timeout_ms=5000), room) == 1
    assert unread(await ken.sync(), room) == 1
    # The further of the two receipts counts.
    await reads_up_to(ken, room, events[2], "m.read.private")
    await reads_up_to(ken, room, events[2])
    assert unread(await ken.sync(), room) == 0
    assert unread(await mio.sync(), room) == 0


async def test_who_answers_has_read(mio: Person, ken: Person, room: str) -> None:
    await mio.says(room, "one")
    assert unread(await ken.catches_up(), room) == 1
    await ken.says(room, "an answer")
    assert unread(await ken.catches_up(), room) == 0
    await mio.says(room, "two")
    assert unread(await ken.catches_up(), room) == 1
    assert unread(await ken.sync(), room) == 1


async def test_a_new_name_makes_nothing_read(mio: Person, ken: Person, room: str) -> None:
    await mio.says(room, "one")
    await ken.put(f"{V3}/profile/{segment(ken.user_id)}/displayname", {"displayname": "健"})
    await mio.says(room, "two")
    phone = await ken.logs_in_again()
    assert unread(await phone.sync(), room) == 2


async def test_receipts_of_threads_stand_beside_each_other(mio: Person, ken: Person, room: str) -> None:
    root = await mio.says(room, "root")
    relation = {"rel_type": "m.thread", "event_id": root}
    answer = await mio.sends(room, "m.room.message", {"msgtype": "m.text", "body": "in it", "m.relates_to": relation})
    annotation = {"rel_type": "m.annotation", "event_id": answer, "key": "👍"}
    reaction = await mio.sends(room, "m.reaction", {"m.relates_to": annotation})
    for event, thread in ((root, "main"), (answer, root), (reaction, root)):
        await reads_up_to(ken, room, event, thread_id=thread)
    for event, thread in ((answer, "main"), (root, answer), (root, "")):
        await refused(reads_up_to(ken, room, event, thread_id=thread), 400, "M_INVALID_PARAM")
    await refused(reads_up_to(ken, room, root, "m.fully_read", thread_id="main"), 400, "M_INVALID_PARAM")
    await refused(reads_up_to(ken, room, root, thread_id=7), 400)
    told = ephemeral(await mio.sync(), room, "m.receipt")
    assert told is not None
    assert told[root]["m.read"][ken.user_id]["thread_id"] == "main"
    assert told[reaction]["m.read"][ken.user_id]["thread_id"] == root
    await reads_up_to(ken, room, answer)
    told = ephemeral(await mio.sync(), room, "m.receipt")
    assert told is not None and "thread_id" not in told[answer]["m.read"][ken.user_id]


async def test_threads_are_counted_and_read_by_themselves(mio: Person, ken: Person, room: str) -> None:
    by_threads = {"room": {"timeline": {"unread_thread_notifications": True}}}
    root = await mio.says(room, "root")
    relation = {"rel_type": "m.thread", "event_id": root}
    in_thread = [
        await mio.sends(room, "m.room.message", {"msgtype": "m.text", "body": str(n), "m.relates_to": relation})
        for n in range(3)
    ]
    assert unread(await ken.sync(), room) == 4
    told = await ken.sync(filter=by_threads)
    assert unread(told, room) == 1
    threads = told["rooms"]["join"][room]["unread_thread_notifications"]
    assert threads == {root: {"notification_count": 3, "highlight_count": 0}}
    await ken.catches_up()
    await reads_up_to(ken, room, root, thread_id="main")
    assert unread(await ken.catches_up(timeout_ms=5000), room) == 3
    await reads_up_to(ken, room, in_thread[1], thread_id=root)
    assert unread(await ken.catches_up(timeout_ms=5000), room) == 1
    answer = {"msgtype": "m.text", "body": "an answer", "m.relates_to": relation}
    await ken.sends(room, "m.room.message", answer)
    told = await ken.sync(filter=by_threads)
    assert unread(told, room) == 0 and told["rooms"]["join"][room]["unread_thread_notifications"] == {}
    # A receipt without a thread counts for all of them.
    last = await mio.sends(room, "m.room.message", {"msgtype": "m.text", "body": "x", "m.relates_to": relation})
    assert unread(await ken.sync(), room) == 1
    await reads_up_to(ken, room, last)
    assert unread(await ken.sync(), room) == 0


async def test_read_markers_set_all_at_once(mio: Person, ken: Person, room: str) -> None:
    first, second = [await mio.says(room, text) for text in ("one", "two")]
    await ken.catches_up()
    await ken.post(f"{V3}/rooms/{segment(room)}/read_markers", {"m.fully_read": second, "m.read": first})
    told = await ken.catches_up(timeout_ms=5000)
    marks = told["rooms"]["join"][room]["account_data"]["events"]
    assert {"type": "m.fully_read", "content": {"event_id": second}} in marks
    assert first in (ephemeral(told, room, "m.receipt") or {})
    path = f"{V3}/user/{segment(ken.user_id)}/rooms/{segment(room)}/account_data/m.fully_read"
    assert await ken.get(path) == {"event_id": second}
    # It never goes back either, whichever way it is set.
    await reads_up_to(ken, room, first, "m.fully_read")
    await ken.post(f"{V3}/rooms/{segment(room)}/read_markers", {"m.fully_read": first})
    assert await ken.get(path) == {"event_id": second}
    await refused(ken.put(path, {"event_id": first}), 405, "M_BAD_JSON")


async def test_only_members_leave_receipts_and_only_for_what_is_there(mio: Person, aoi: Person, room: str) -> None:
    event = await mio.says(room, "hello")
    await refused(reads_up_to(aoi, room, event), 403, "M_FORBIDDEN")
    markers = f"{V3}/rooms/{segment(room)}/read_markers"
    await refused(aoi.post(markers, {"m.fully_read": event}), 403, "M_FORBIDDEN")
    await refused(reads_up_to(mio, room, "$nosuch"), 400, "M_INVALID_PARAM")
    elsewhere = await mio.says(await mio.opens_a_room(), "elsewhere")
    await refused(reads_up_to(mio, room, elsewhere), 400, "M_INVALID_PARAM")
    await refused(reads_up_to(mio, room, event, "m.seen"), 400, "M_INVALID_PARAM")
    await refused(mio.post(markers, {"m.fully_read": 1}), 400)


# -- typing -----------------------------------------------------------------------------------------------------------
async def types(person: Person, room: str, typing: bool = True, **body: Any) -> None:
    path = f"{V3}/rooms/{segment(room)}/typing/{segment(person.user_id)}"
    await person.put(path, {"typing": typing} | body)


async def typists(person: Person, room: str, timeout_ms: int = 5000) -> list[str] | None:
    told = ephemeral(await person.catches_up(timeout_ms=timeout_ms), room, "m.typing")
    return None if told is None else told["user_ids"]


async def test_typing_is_seen_and_ends_by_word_or_by_itself(mio: Person, ken: Person, room: str) -> None:
    await types(mio, room, timeout=30_000)
    assert await typists(ken, room) == [mio.user_id]
    await types(mio, room, typing=False)
    assert await typists(ken, room) == []
    began = time.monotonic()
    await types(mio, room, timeout=700)
    assert await typists(ken, room) == [mio.user_id]
    assert await typists(ken, room) == []
    assert 0.5 < time.monotonic() - began < 4


async def test_whoever_stops_at_once_is_seen_to_stop(mio: Person, ken: Person, room: str) -> None:
    """A short word is typed and sent before anybody has heard of the typing."""
    for _ in range(5):
        await types(mio, room, timeout=30_000)
        await types(mio, room, typing=False)
    await asyncio.sleep(0.3)
    assert ephemeral(await ken.sync(), room, "m.typing") is None


async def test_who_goes_on_typing_is_not_cut_short(mio: Person, ken: Person, room: str) -> None:
    await types(mio, room, timeout=600)
    await asyncio.sleep(0.3)
    await types(mio, room, timeout=30_000)
    await asyncio.sleep(0.6)
    told = ephemeral(await ken.sync(), room, "m.typing")
    assert told == {"user_ids": [mio.user_id]}


async def test_typing_is_seen_through_every_process(workers: Workers) -> None:
    async for cast in a_cast(workers.base_urls[0]):
        mio, ken = await cast.person("mio"), await cast.person("ken")
        room = await mio.opens_a_room(with_=[ken])
        elsewhere = ken.through(cast.line_to(workers.base_urls[1]))
        await elsewhere.catches_up()
        await types(mio, room, timeout=800)
        assert await typists(elsewhere, room) == [mio.user_id]
        assert await typists(elsewhere, room) == []


async def test_nobody_types_for_another_or_where_they_are_not(mio: Person, ken: Person, aoi: Person, room: str) -> None:
    path = f"{V3}/rooms/{segment(room)}/typing/{segment(mio.user_id)}"
    await refused(ken.put(path, {"typing": True}), 403, "M_FORBIDDEN")
    await refused(types(aoi, room), 403, "M_FORBIDDEN")
    await refused(mio.put(path, {"typing": "yes"}), 400)
