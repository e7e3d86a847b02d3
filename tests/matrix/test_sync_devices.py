"""/sync, encryption's part: whose devices to look at, whose no more; messages from device to device exactly once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.cast import V3, Person, refused


async def lists(person: Person) -> tuple[set[str], set[str]]:
    """(changed, left) since this person's last sync."""
    told = (await person.catches_up())["device_lists"]
    return set(told.get("changed", ())), set(told.get("left", ()))


GOING: dict[str, Callable[[Person, Person, str], Awaitable[None]]] = {
    "the other leaves": lambda mio, ken, room: ken.leaves(room),
    "the other is removed": lambda mio, ken, room: mio.kicks(room, ken),
    "the other is banned": lambda mio, ken, room: mio.bans(room, ken),
    "one leaves oneself": lambda mio, ken, room: mio.leaves(room),
}


@pytest.mark.parametrize("how", sorted(GOING))
async def test_who_shares_no_room_any_more_is_left(mio: Person, ken: Person, how: str) -> None:
    room = await mio.opens_a_room(encrypted=True)
    await mio.catches_up()
    await mio.invites(room, ken)
    await ken.joins(room)
    assert ken.user_id in (await lists(mio))[0]
    assert mio.user_id in (await ken.sync(since="s1"))["device_lists"]["changed"]
    await GOING[how](mio, ken, room)
    changed, left = await lists(mio)
    assert ken.user_id in left
    assert ken.user_id not in changed


async def test_who_is_removed_oneself_has_left_all(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(with_=[ken, sato], encrypted=True)
    await ken.catches_up()
    await mio.kicks(room, ken)
    await sato.leaves(room)  # afterwards: she was there when he went
    assert (await lists(ken))[1] == {mio.user_id, sato.user_id}


async def test_who_still_shares_another_room_stays(mio: Person, ken: Person) -> None:
    one = await mio.opens_a_room(with_=[ken], encrypted=True)
    await mio.opens_a_room(with_=[ken], encrypted=True)
    await mio.catches_up()
    await ken.leaves(one)
    assert ken.user_id not in (await lists(mio))[1]


async def test_away_and_back_between_two_syncs_looks_at_all_again(mio: Person, ken: Person) -> None:
    """What they changed while nobody shared a room with them was told to nobody."""
    room = await mio.opens_a_room(with_=[ken], preset="public_chat", encrypted=True)
    await ken.catches_up()
    await mio.catches_up()
    await ken.leaves(room)
    await ken.joins(room)
    assert mio.user_id in (await lists(ken))[0]
    changed, left = await lists(mio)
    assert ken.user_id in changed
    assert ken.user_id not in left


async def test_a_long_queue_of_messages_arrives_once_in_order_beside_the_rooms(mio: Person, ken: Person) -> None:
    await ken.catches_up()
    count = 430
    async with asyncio.TaskGroup() as group:
        for first in range(0, count, 43):
            group.create_task(send_some(mio, ken, first, 43))
    room = await mio.opens_a_room(with_=[ken], name="相談")  # all of it lies behind the messages
    await mio.says(room, "はじめ")
    got: list[int] = []
    timeline: list[str] = []
    joined = 0
    for turn in range(8):
        if turn % 2:
            await ken.sync(since=ken.since)  # an answer that gets lost
        told = await ken.catches_up()
        got += [event["content"]["n"] for event in told["to_device"]["events"]]
        part = told["rooms"]["join"].get(room)
        joined += part is not None
        timeline += [event["event_id"] for event in part["timeline"]["events"]] if part else []
        assert room not in told["rooms"]["invite"]
    assert sorted(got) == list(range(count))
    assert joined == 1
    assert len(set(timeline)) == len(timeline)
    for first in range(0, count, 43):
        assert [n for n in got if first <= n < first + 43] == list(range(first, first + 43))


async def send_some(mio: Person, ken: Person, first: int, count: int) -> None:
    for n in range(first, first + count):
        messages = {"messages": {ken.user_id: {ken.device_id: {"n": n}}}}
        await mio.put(f"{V3}/sendToDevice/jp.example.n/t{n}", messages)


async def test_who_is_logged_out_while_waiting_hears_no_more(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    lost = await ken.logs_in_again()
    await lost.catches_up()
    waiting = asyncio.create_task(lost.catches_up(timeout_ms=30_000))
    await asyncio.sleep(0.3)
    await lost.post(f"{V3}/logout")
    await mio.says(room, "もう聞こえない")
    async with asyncio.timeout(10):
        await refused(waiting, 401, "M_UNKNOWN_TOKEN")
