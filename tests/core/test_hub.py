"""The reading end of the stream, one step at a time: what may lie between two of its steps must harm nobody."""

import asyncio
from typing import Any, cast

import msgspec
import pytest

from madoguchi.core.chat.hub import Hub
from madoguchi.core.chat.room_cache import Room, Rooms
from madoguchi.core.chat.sync.answer import sync
from madoguchi.core.chat.sync.asked import Asked
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.events import Event
from madoguchi.storage.stream import Announcement

ROOM = "!room:test"
MIO, KEN = "@mio:test", "@ken:test"


def event(pos: int, type_: str = "m.room.message", state_key: str | None = None, **content: Any) -> Event:
    body = msgspec.json.encode({"type": type_, "content": content})
    return Event(
        pos=pos, room_id=ROOM, event_id=f"${pos}", type=type_, sender=MIO, at=0, body=body, state_key=state_key
    )


def room_at(*events: Event) -> Room:
    room = Room(stored_rooms.Room(ROOM, "11", "plain", MIO, 0, 0))
    for each in events:
        room.add(each)
    return room


def member(pos: int, user_id: str, membership: str) -> Event:
    return event(pos, "m.room.member", user_id, membership=membership)


class SlowRooms(Rooms):
    """Rooms that are read when `read` is set; what is read is what `stored` holds at the beginning."""

    def __init__(self, stored: list[Event]) -> None:
        super().__init__(cast(Any, None))
        self.stored = stored
        self.began = asyncio.Event()
        self.read = asyncio.Event()
        self.times = 0

    async def _load(self, room_ids: Any) -> dict[str, Room]:
        self.times += 1
        snapshot = list(self.stored)
        self.began.set()
        await self.read.wait()
        return {ROOM: room_at(*snapshot)} if ROOM in room_ids else {}


class Ctx:
    """As much of a process as a sync without the database needs."""

    def __init__(self, hub: Hub, rooms: Rooms) -> None:
        self.hub = hub
        self.rooms = rooms
        self.db = self
        self.committed = 0


def told(*events: Event, last: bool = True) -> Announcement:
    notes = [(each.pos, "event", each.room_id, "") for each in events]
    return Announcement("x", events[0].pos, events[-1].pos, last, notes)


@pytest.fixture
def rooms() -> SlowRooms:
    return SlowRooms([event(1, "m.room.create", ""), member(2, MIO, "join"), member(3, KEN, "join")])


@pytest.fixture
def hub(rooms: SlowRooms) -> Hub:
    hub = Hub(cast(Any, None), rooms)
    hub.pos = 3
    return hub


def known(hub: Hub, user_id: str) -> None:
    """A user whose sync needs nothing from the database."""
    inbox = hub.inbox(user_id)
    inbox.memo.update({"fresh": hub.pos, "to_device": {"D": 0}, "keys": {"D": ({}, [])}, "ignored": [frozenset()]})


async def taking_in(hub: Hub, *announcements: Announcement) -> "asyncio.Task[None]":
    for announcement in announcements:
        hub._queue.put_nowait(announcement)
        for pos, *_ in announcement.notes:
            hub.pending.setdefault(pos, event(pos))
    task = asyncio.create_task(hub._take_in())
    await asyncio.sleep(0)
    return task


@pytest.mark.timeout(10)
async def test_a_sync_waits_while_its_news_is_half_taken_in(hub: Hub, rooms: SlowRooms) -> None:
    known(hub, KEN)
    # The news stands in the inbox already, the position does not speak of it yet.
    hub.inbox(KEN).add(4, "event", "!elsewhere:test")
    rooms.read.set()
    asked = Asked(user_id=KEN, device_id="D", since=3)
    answer = await asyncio.wait_for(sync(cast(Any, Ctx(hub, rooms)), asked, 0.2), 2)
    assert answer["next_batch"] == "s3"


@pytest.mark.timeout(10)
async def test_who_comes_while_an_announcement_is_taken_in_is_woken_at_its_end(hub: Hub, rooms: SlowRooms) -> None:
    hub.inbox(MIO)
    task = await taking_in(hub, told(event(4)))
    await rooms.began.wait()
    waiter = hub.inbox(KEN).register()
    assert hub.inbox(KEN).since(hub.pos) is None  # it can't know what has passed by
    rooms.read.set()
    await asyncio.wait_for(waiter, 2)
    assert hub.pos == 4
    task.cancel()


@pytest.mark.timeout(10)
async def test_who_has_left_since_still_hears_what_was_said_before(hub: Hub, rooms: SlowRooms) -> None:
    """The room is read when it is ahead of what is being told."""
    hub.inbox(KEN)
    rooms.stored += [event(4), member(5, KEN, "leave")]
    rooms.read.set()
    task = await taking_in(hub, told(event(4)))
    assert await hub.reach(4)
    assert hub.inbox(KEN).since(3) == [(4, "event", ROOM)]
    task.cancel()


@pytest.mark.timeout(10)
async def test_the_position_never_goes_back(hub: Hub, rooms: SlowRooms) -> None:
    hub.inbox(MIO)
    task = await taking_in(hub, told(event(4)))
    await rooms.began.wait()
    hub._reset(9)  # the connection was lost and is there again
    rooms.read.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert hub.pos == 9
    assert hub.inbox(MIO).floor == 9
    task.cancel()


@pytest.mark.timeout(10)
async def test_a_room_read_while_events_arrive_has_them_all(rooms: SlowRooms) -> None:
    getting = asyncio.create_task(rooms.get(ROOM))
    await rooms.began.wait()
    rooms.stored += [event(4), event(5)]
    rooms.tell(ROOM, event(4))
    rooms.tell(ROOM, event(5))
    rooms.read.set()
    room = await getting
    assert room is not None
    assert [each.pos for each in room.ring] == [1, 2, 3, 4, 5]
    rooms.tell(ROOM, event(6))
    assert [each.pos for each in room.since(3) or []] == [4, 5, 6]
    assert rooms.times == 1


@pytest.mark.timeout(10)
async def test_a_room_read_while_something_is_taken_back_is_read_again(rooms: SlowRooms) -> None:
    getting = asyncio.create_task(rooms.get(ROOM))
    await rooms.began.wait()
    rooms.tell(ROOM, event(4, "m.room.redaction"))
    rooms.read.set()
    await getting
    assert rooms.times == 2


@pytest.mark.timeout(10)
async def test_a_room_read_while_the_stream_was_lost_is_read_again(hub: Hub, rooms: SlowRooms) -> None:
    getting = asyncio.create_task(rooms.get(ROOM))
    await rooms.began.wait()
    rooms.stored.append(event(4))  # nobody heard of it
    hub._reset(4)
    rooms.read.set()
    room = await getting
    assert room is not None
    assert room.head == 4


def test_a_ring_of_large_events_is_short_and_knows_where_it_begins() -> None:
    room = room_at(*(event(pos, body="x" * 60_000) for pos in range(1, 31)))
    assert 1 < len(room.ring) < 10
    assert room.floor == room.ring[0].pos - 1
    assert room.since(room.floor - 1) is None
    assert [each.pos for each in room.since(28) or []] == [29, 30]


@pytest.mark.timeout(10)
async def test_a_room_dropped_while_another_is_read_is_not_forgotten(rooms: SlowRooms) -> None:
    rooms.read.set()
    assert await rooms.get(ROOM) is not None
    rooms.began.clear()
    rooms.read.clear()
    getting = asyncio.create_task(rooms.get_many([ROOM, "!other:test"]))
    await rooms.began.wait()
    rooms.tell(ROOM, event(4, "m.room.redaction"))  # drops it
    rooms.read.set()
    assert ROOM in await getting
