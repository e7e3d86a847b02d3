"""The `rooms` of a sync answer: joined, invited, knocked and left ones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi.core.chat import relations
from madoguchi.core.chat.events import render
from madoguchi.core.chat.inbox import Inbox
from madoguchi.core.chat.room_cache import Room, content_of
from madoguchi.core.chat.sync import unread
from madoguchi.core.chat.sync.asked import Asked, News, Reader
from madoguchi.core.chat.sync.left import is_gone, left_room
from madoguchi.core.chat.sync.members import Came, came_in, has_member, lazy, own_at, stripped_state, summary_of
from madoguchi.core.chat.sync.timeline import Timeline, changed_state, passes, rendered, state_before, timeline_of
from madoguchi.core.chat.tokens import token
from madoguchi.ids import EventID, RoomID, UserID
from madoguchi.storage import receipts as stored_receipts
from madoguchi.storage.account_data import AccountData
from madoguchi.storage.events import Event
from madoguchi.storage.receipts import Receipt

if TYPE_CHECKING:
    from madoguchi.context import Context

_encode = msgspec.json.Encoder().encode


class Rooms(msgspec.Struct):
    """came, went: users whose devices are worth a look because they or the caller joined, or left, a room.
    timelines: of the joined rooms, to be written out when it is known what relates to their events; whether that is to
    be told."""

    join: dict[RoomID, Any] = msgspec.field(default_factory=dict)
    invite: dict[RoomID, Any] = msgspec.field(default_factory=dict)
    knock: dict[RoomID, Any] = msgspec.field(default_factory=dict)
    leave: dict[RoomID, Any] = msgspec.field(default_factory=dict)
    came: set[UserID] = msgspec.field(default_factory=set)
    went: set[UserID] = msgspec.field(default_factory=set)
    timelines: dict[RoomID, tuple[Timeline, bool]] = msgspec.field(default_factory=dict)

    @property
    def any(self) -> bool:
        return bool(self.join or self.invite or self.knock or self.leave)


async def build(
    ctx: "Context",
    reader: Reader,
    asked: Asked,
    inbox: Inbox,
    news: News,
    upto: int,
    rooms: dict[RoomID, Room],
    data: Sequence[AccountData],
) -> Rooms:
    """Everything about rooms in (since, upto]."""
    into = Rooms()
    receipts = await _receipts(reader, asked, news, upto, rooms)
    by_room: dict[RoomID, list[AccountData]] = {}
    for item in data:
        if item.room_id is not None:
            by_room.setdefault(item.room_id, []).append(item)
    counted: list[Room] = []
    for room in rooms.values():
        if not asked.filter.room.wants_room(room.room_id):
            continue
        own = await own_at(reader, asked, room, upto)
        if own is None:
            continue
        membership = content_of(own).get("membership")
        fresh = asked.since is None or asked.full_state or own.pos > asked.since
        if membership == "join":
            came = await came_in(reader, asked, room, own)
            section = await _joined(reader, asked, inbox, news, upto, room, into, came)
            marks = receipts.get(room.room_id, [])
            if came.newly:
                news.typing.add(room.room_id)
                marks = (await _list_receipts(reader, asked, [room.room_id], 0, upto)).get(room.room_id, [])
            _ephemeral(ctx, asked, news, room, marks, section)
            section["account_data"]["events"] = _account_data(asked, room.room_id, by_room)
            if _speaks(asked, section) or room.room_id in news.receipts:
                into.join[room.room_id] = section
                counted.append(room)
        elif membership == "invite" and own.sender in asked.ignored:
            continue
        elif membership in ("invite", "knock") and fresh:
            key = "invite" if membership == "invite" else "knock"
            getattr(into, key)[room.room_id] = {f"{key}_state": {"events": stripped_state(room, own)}}
        elif membership in ("leave", "ban") and fresh and not await is_gone(reader, asked, room.room_id):
            section, went = await left_room(reader, asked, room, own)
            section["account_data"]["events"] = _account_data(asked, room.room_id, by_room)
            into.leave[room.room_id] = section
            into.went |= went
    if counted:
        counts = await unread.count(reader, inbox, asked, counted, upto)
        for room in counted:
            count, section = counts[room.room_id], into.join[room.room_id]
            if asked.filter.room.timeline.unread_thread_notifications:
                section["unread_notifications"] = count.main.shown()
                section["unread_thread_notifications"] = {root: each.shown() for root, each in count.threads.items()}
            else:
                section["unread_notifications"] = count.all.shown()
    _drop_silent(into, news, asked)
    await _write_out(reader, asked, into)
    return into


def _account_data(asked: Asked, room_id: RoomID, by_room: dict[RoomID, list[AccountData]]) -> list[msgspec.Raw]:
    wants = asked.filter.room.account_data
    return [
        msgspec.Raw(b'{"type":' + _encode(data.type) + b',"content":' + data.content + b"}")
        for data in by_room.get(room_id, ())
        if wants.wants(data.type, asked.user_id) and wants.wants_room(room_id)
    ]


def _speaks(asked: Asked, section: dict[str, Any]) -> bool:
    return bool(
        section["timeline"]["events"]
        or section["timeline"]["limited"]
        or section[asked.state]["events"]
        or section["ephemeral"]["events"]
        or section["account_data"]["events"]
        or section["summary"]
    )


def _drop_silent(into: Rooms, news: News, asked: Asked) -> None:
    # A room is only worth telling of without events if its counts may have changed by what the user read.
    if asked.since is None:
        return
    for room_id in list(into.join):
        if room_id not in news.receipts and not _speaks(asked, into.join[room_id]):
            del into.join[room_id]


async def _joined(
    reader: Reader,
    asked: Asked,
    inbox: Inbox,
    news: News,
    upto: int,
    room: Room,
    into: Rooms,
    came: Came,
) -> dict[str, Any]:
    since = asked.since
    whole = since is None or asked.full_state or came.newly
    if since is not None and not whole and room.room_id not in news.rooms:
        return _section([], [], token(since), False, {}, asked)
    after = None if since is None or (whole and not asked.full_state) else since
    timeline = await timeline_of(reader, asked, room, after, upto)
    # What the client has of the room's past does not join up with this.
    timeline.limited = timeline.limited or (came.again and after is None)
    if came.newly or came.was_away:
        into.came.update(room.joined())
        unread.forget(inbox, [room.room_id])
    if whole:
        state = await state_before(reader, room, upto if asked.state_after else timeline.start, timeline)
        if since is not None and not came.newly:
            _come_and_gone(await changed_state(reader, room, since, upto + 1), asked.user_id, into)
    else:
        assert since is not None
        end = upto + 1 if asked.state_after else timeline.start + 1
        state = await changed_state(reader, room, since, end) if timeline.limited or asked.state_after else []
        delta = state if timeline.limited else []
        _come_and_gone([*delta, *timeline.all], asked.user_id, into)
    summary = summary_of(room, asked.user_id) if whole or has_member([*state, *timeline.all]) else {}
    if asked.filter.lazy_load_members:
        state = lazy(asked, inbox, room, timeline.events, state, summary.get("m.heroes", ()), whole, upto)
    state = [event for event in state if passes(asked.filter.room.state, event)]
    into.timelines[room.room_id] = (timeline, whole or timeline.limited)
    shown = [msgspec.Raw(render(event, room_id=False)) for event in state]
    return _section(timeline.events, shown, token(timeline.start), timeline.limited, summary, asked)


async def _write_out(reader: Reader, asked: Asked, into: Rooms) -> None:
    """Puts the events into the timelines, as JSON, with what relates to them: found for all rooms by one question."""
    parts = {room_id: part for room_id, part in into.timelines.items() if room_id in into.join}
    bundled = [event for timeline, related in parts.values() if related for event in timeline.events]
    bundles: dict[str, bytes] = {}
    if bundled:
        sights = {room_id: timeline.seen for room_id, (timeline, _) in parts.items()}
        bundles = await relations.bundle(await reader(), bundled, asked.user_id, sights)
    device = (asked.user_id, asked.device_id)
    for room_id, (timeline, _) in parts.items():
        into.join[room_id]["timeline"]["events"] = rendered(timeline, device, bundles)


def _section(
    events: list[Event],
    state: list[msgspec.Raw],
    prev_batch: str,
    limited: bool,
    summary: dict[str, Any],
    asked: Asked,
) -> dict[str, Any]:
    return {
        "timeline": {"events": events, "limited": limited, "prev_batch": prev_batch},
        asked.state: {"events": state},
        "ephemeral": {"events": []},
        "account_data": {"events": []},
        "summary": summary,
        "unread_notifications": {"notification_count": 0, "highlight_count": 0},
    }


def _come_and_gone(events: Sequence[Event], user_id: UserID, into: Rooms) -> None:
    for event in events:
        if event.type == "m.room.member" and event.state_key is not None and event.state_key != user_id:
            (into.came if content_of(event).get("membership") == "join" else into.went).add(event.state_key)


async def _receipts(
    reader: Reader, asked: Asked, news: News, upto: int, rooms: dict[RoomID, Room]
) -> dict[RoomID, list[Receipt]]:
    wanted = list(rooms) if asked.since is None or news.has("account_data") else sorted(news.receipts)
    return await _list_receipts(reader, asked, wanted, asked.since or 0, upto) if wanted else {}


async def _list_receipts(
    reader: Reader, asked: Asked, wanted: list[RoomID], after: int, upto: int
) -> dict[RoomID, list[Receipt]]:
    found: dict[RoomID, list[Receipt]] = {}
    for receipt in await stored_receipts.list_receipts(await reader(), wanted, after, upto):
        if receipt.receipt_type != "m.read.private" or receipt.user_id == asked.user_id:
            found.setdefault(receipt.room_id, []).append(receipt)
    return found


def _ephemeral(
    ctx: "Context", asked: Asked, news: News, room: Room, receipts: Sequence[Receipt], section: dict[str, Any]
) -> None:
    wants = asked.filter.room.ephemeral
    events = section["ephemeral"]["events"]
    if not wants.wants_room(room.room_id):
        return
    if room.room_id in news.typing or asked.since is None:
        users = ctx.typing.users(room.room_id)
        if wants.wants("m.typing", "") and (users or (room.room_id in news.typing and asked.since is not None)):
            events.append({"type": "m.typing", "content": {"user_ids": users}})
    if wants.wants("m.receipt", ""):
        events += [{"type": "m.receipt", "content": content} for content in receipt_contents(receipts)]


def receipt_contents(receipts: Sequence[Receipt]) -> list[dict[str, Any]]:
    """The contents of `m.receipt` events, one if it can be: receipts of one person for two threads at the same event do
    not fit into one. A receipt for all threads is enough where one for a thread stands at the same event (MSC4102)."""
    for_all = {(each.event_id, each.receipt_type, each.user_id) for each in receipts if each.thread_id is None}
    contents: list[dict[tuple[EventID, str, UserID], dict[str, Any]]] = []
    # The main timeline first: who takes only one content has what counts for most.
    for receipt in sorted(receipts, key=lambda each: each.thread_id not in (None, "main")):
        if receipt.thread_id is not None and (receipt.event_id, receipt.receipt_type, receipt.user_id) in for_all:
            continue
        mark: dict[str, Any] = {"ts": receipt.ts}
        if receipt.thread_id is not None:
            mark["thread_id"] = receipt.thread_id
        key = receipt.event_id, receipt.receipt_type, receipt.user_id
        content = next((each for each in contents if key not in each), None)
        if content is None:
            contents.append(content := {})
        content[key] = mark
    return [_nested(content) for content in contents]


def _nested(marks: dict[tuple[EventID, str, UserID], dict[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for (event_id, receipt_type, user_id), mark in marks.items():
        content.setdefault(event_id, {}).setdefault(receipt_type, {})[user_id] = mark
    return content
