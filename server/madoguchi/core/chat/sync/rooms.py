"""The `rooms` of a sync answer: joined, invited, knocked and left ones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi.core.access import Seat
from madoguchi.core.chat import history, relations
from madoguchi.core.chat.events import render, stripped
from madoguchi.core.chat.inbox import Inbox
from madoguchi.core.chat.room_cache import Room, content_of
from madoguchi.core.chat.sync import unread
from madoguchi.core.chat.sync.asked import Asked, News, Reader
from madoguchi.core.chat.sync.timeline import changed_state, passes, state_before, timeline_of
from madoguchi.core.chat.tokens import token
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import events as stored_events
from madoguchi.storage import receipts as stored_receipts
from madoguchi.storage.account_data import AccountData
from madoguchi.storage.events import Event
from madoguchi.storage.receipts import Receipt

if TYPE_CHECKING:
    from madoguchi.context import Context

# State that an invitation or a knock shows ("Stripped state").
_STRIPPED = (
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
)
_encode = msgspec.json.Encoder().encode


class Rooms(msgspec.Struct):
    """came, went: users whose devices are worth a look because they or the caller joined, or left, a room."""

    join: dict[RoomID, Any] = msgspec.field(default_factory=dict)
    invite: dict[RoomID, Any] = msgspec.field(default_factory=dict)
    knock: dict[RoomID, Any] = msgspec.field(default_factory=dict)
    leave: dict[RoomID, Any] = msgspec.field(default_factory=dict)
    came: set[UserID] = msgspec.field(default_factory=set)
    went: set[UserID] = msgspec.field(default_factory=set)

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
        own = room.state.get(("m.room.member", asked.user_id))
        membership = room.members.get(asked.user_id)
        fresh = own is not None and (asked.since is None or asked.full_state or own.pos > asked.since)
        if membership == "join":
            section = await _joined(ctx, reader, asked, inbox, news, upto, room, into)
            _ephemeral(ctx, asked, news, room, receipts.get(room.room_id, []), section)
            section["account_data"]["events"] = [
                msgspec.Raw(b'{"type":' + _encode(d.type) + b',"content":' + d.content + b"}")
                for d in by_room.get(room.room_id, ())
                if asked.filter.room.account_data.wants(d.type, asked.user_id)
            ]
            if _speaks(section) or room.room_id in news.receipts:
                into.join[room.room_id] = section
                counted.append(room)
        elif membership == "invite" and own is not None and own.sender in asked.ignored:
            continue
        elif membership in ("invite", "knock") and fresh:
            key = "invite" if membership == "invite" else "knock"
            getattr(into, key)[room.room_id] = {f"{key}_state": {"events": _stripped_state(room, asked.user_id)}}
        elif membership in ("leave", "ban") and fresh and own is not None:
            await _left(reader, asked, upto, room, own, into)
    if counted:
        tx = await reader() if unread.needs_database(inbox, counted) else None
        counts = await unread.count(tx, inbox, asked, counted, upto)  # type: ignore[arg-type]
        for room in counted:
            count, section = counts[room.room_id], into.join[room.room_id]
            if asked.filter.room.timeline.unread_thread_notifications:
                section["unread_notifications"] = count.main.shown()
                section["unread_thread_notifications"] = {root: each.shown() for root, each in count.threads.items()}
            else:
                section["unread_notifications"] = count.all.shown()
    _drop_silent(into, news, asked)
    return into


def _speaks(section: dict[str, Any]) -> bool:
    return bool(
        section["timeline"]["events"]
        or section["timeline"]["limited"]
        or section.get("state", section.get("state_after", {})).get("events")
        or section["ephemeral"]["events"]
        or section["account_data"]["events"]
        or section["summary"]
    )


def _drop_silent(into: Rooms, news: News, asked: Asked) -> None:
    # A room is only worth telling of without events if its counts may have changed by what the user read.
    if asked.since is None:
        return
    for room_id in list(into.join):
        if room_id not in news.receipts and not _speaks(into.join[room_id]):
            del into.join[room_id]


async def _joined(
    ctx: "Context",
    reader: Reader,
    asked: Asked,
    inbox: Inbox,
    news: News,
    upto: int,
    room: Room,
    into: Rooms,
) -> dict[str, Any]:
    since = asked.since
    whole = since is None or asked.full_state or await _newly_joined(reader, asked, room)
    if since is not None and not whole and room.room_id not in news.rooms:
        return _section([], [], token(since), False, {}, asked)
    after = None if since is None or (whole and not asked.full_state) else since
    timeline = await timeline_of(reader, asked, room, after, upto)
    if whole:
        state = await state_before(reader, room, upto if asked.state_after else timeline.start, timeline)
        if since is not None and not asked.full_state:
            into.came.update(user for user, membership in room.members.items() if membership == "join")
    else:
        assert since is not None
        end = upto + 1 if asked.state_after else timeline.start + 1
        state = await changed_state(reader, room, since, end) if timeline.limited or asked.state_after else []
        delta = state if timeline.limited else []
        _come_and_gone([*delta, *timeline.all], asked.user_id, into)
    if asked.filter.lazy_load_members:
        state = _lazy(asked, inbox, room, timeline.events, state, whole)
    state = [event for event in state if passes(asked.filter.room.state, event)]
    summary = _summary(room, asked.user_id) if whole or _has_member([*state, *timeline.all]) else {}
    device = (asked.user_id, asked.device_id)
    bundles: dict[str, bytes] = {}
    if whole or timeline.limited:
        bundles = await relations.bundle(await reader(), timeline.events, asked.user_id)
    events = [
        msgspec.Raw(render(event, device=device, room_id=False, more=bundles.get(event.event_id, b"")))
        for event in timeline.events
    ]
    shown = [msgspec.Raw(render(event, room_id=False)) for event in state]
    return _section(events, shown, token(timeline.start), timeline.limited, summary, asked)


def _section(
    events: list[msgspec.Raw],
    state: list[msgspec.Raw],
    prev_batch: str,
    limited: bool,
    summary: dict[str, Any],
    asked: Asked,
) -> dict[str, Any]:
    return {
        "timeline": {"events": events, "limited": limited, "prev_batch": prev_batch},
        "state_after" if asked.state_after else "state": {"events": state},
        "ephemeral": {"events": []},
        "account_data": {"events": []},
        "summary": summary,
        "unread_notifications": {"notification_count": 0, "highlight_count": 0},
    }


async def _newly_joined(reader: Reader, asked: Asked, room: Room) -> bool:
    """Whether the user was not joined at the last sync and is now."""
    own = room.state.get(("m.room.member", asked.user_id))
    if own is None or asked.since is None or own.pos <= asked.since:
        return False
    before = await stored_events.list_state_at(
        await reader(), room.room_id, asked.since, "m.room.member", asked.user_id
    )
    return not before or content_of(before[0]).get("membership") != "join"


def _lazy(
    asked: Asked, inbox: Inbox, room: Room, shown: Sequence[Event], state: list[Event], whole: bool
) -> list[Event]:
    """Leaves out members who say nothing, and adds those who do and have not been sent to this device before."""
    sent: dict[RoomID, set[str]] = inbox.memo.setdefault(("lazy", asked.device_id), {})
    if asked.since is None:
        sent.clear()
    known = sent.setdefault(room.room_id, set())
    if whole:
        known.clear()
    speakers = {event.sender for event in shown}
    wanted = speakers | {asked.user_id} if whole else speakers
    in_timeline = {event.state_key for event in shown if event.type == "m.room.member"}
    kept = [e for e in state if e.type != "m.room.member" or e.state_key in wanted or not whole]
    have = {event.event_id for event in kept}
    for user in speakers - in_timeline:
        member = room.state.get(("m.room.member", user))
        if member is None or member.event_id in have or (not shown or member.pos >= shown[0].pos):
            continue
        if asked.filter.room.state.include_redundant_members or member.event_id not in known:
            kept.append(member)
    known.update(event.event_id for event in [*kept, *shown] if event.type == "m.room.member")
    return kept


def _come_and_gone(events: Sequence[Event], user_id: UserID, into: Rooms) -> None:
    for event in events:
        if event.type == "m.room.member" and event.state_key is not None and event.state_key != user_id:
            (into.came if content_of(event).get("membership") == "join" else into.went).add(event.state_key)


def _has_member(events: Sequence[Event]) -> bool:
    return any(event.type == "m.room.member" for event in events)


def _summary(room: Room, user_id: UserID) -> dict[str, Any]:
    """Counts, and who to name an unnamed room after: up to five others, the first to come first."""
    joined = [user for user, membership in room.members.items() if membership == "join"]
    invited = [user for user, membership in room.members.items() if membership == "invite"]
    summary: dict[str, Any] = {"m.joined_member_count": len(joined), "m.invited_member_count": len(invited)}
    if not (room.content("m.room.name") or {}).get("name"):
        others = [user for user in [*joined, *invited] if user != user_id] or [
            user for user in room.members if user != user_id
        ]
        others.sort(key=lambda user: room.state["m.room.member", user].pos)
        summary["m.heroes"] = others[:5]
    return summary


def _stripped_state(room: Room, user_id: UserID) -> list[dict[str, Any]]:
    shown = [room.state[type_, ""] for type_ in _STRIPPED if (type_, "") in room.state]
    own = room.state["m.room.member", user_id]
    inviter = room.state.get(("m.room.member", own.sender))
    if inviter is not None and inviter is not own:
        shown.append(inviter)
    return [stripped(event) for event in [*shown, own]]


async def _left(reader: Reader, asked: Asked, upto: int, room: Room, own: Event, into: Rooms) -> None:
    """A room that the user has left, or been removed from: up to that moment and no further."""
    tx = await reader()
    seat = Seat(room.room_id, asked.user_id, "leave", own.pos)
    seen = await history.sight(tx, seat)
    wants = asked.filter.room.timeline
    page = await history.read_page(
        tx,
        seat,
        seen,
        min(own.pos, upto),
        asked.since,
        True,
        max(1, wants.most),
        lambda e: passes(wants, e, asked.ignored),
    )
    shown = list(reversed(page.events))
    start = shown[0].pos - 1 if shown else own.pos
    limited = page.end is not None
    if asked.since is None or asked.full_state:
        state = await stored_events.list_state_at(tx, room.room_id, start)
    else:
        before = await stored_events.list_state_at(tx, room.room_id, asked.since, "m.room.member", asked.user_id)
        was_in = bool(before) and content_of(before[0]).get("membership") == "join"
        state = []
        if limited and was_in:
            state = await stored_events.list_state_between(tx, room.room_id, asked.since, start + 1)
        into.went.update(user for user, m in room.members.items() if m == "join" and user != asked.user_id)
    state = [event for event in state if seen.has(event.pos) and passes(asked.filter.room.state, event)]
    into.leave[room.room_id] = {
        "timeline": {
            "events": [msgspec.Raw(render(e, device=(asked.user_id, asked.device_id), room_id=False)) for e in shown],
            "limited": limited,
            "prev_batch": token(start),
        },
        "state_after" if asked.state_after else "state": {
            "events": [msgspec.Raw(render(e, room_id=False)) for e in state]
        },
        "account_data": {"events": []},
    }


async def _receipts(
    reader: Reader, asked: Asked, news: News, upto: int, rooms: dict[RoomID, Room]
) -> dict[RoomID, list[Receipt]]:
    wanted = list(rooms) if asked.since is None or news.has("account_data") else sorted(news.receipts)
    if not wanted:
        return {}
    found: dict[RoomID, list[Receipt]] = {}
    for receipt in await stored_receipts.list_receipts(await reader(), wanted, asked.since or 0, upto):
        if receipt.receipt_type != "m.read.private" or receipt.user_id == asked.user_id:
            found.setdefault(receipt.room_id, []).append(receipt)
    return found


def _ephemeral(
    ctx: "Context", asked: Asked, news: News, room: Room, receipts: Sequence[Receipt], section: dict[str, Any]
) -> None:
    wants = asked.filter.room.ephemeral
    events = section["ephemeral"]["events"]
    if room.room_id in news.typing or asked.since is None:
        users = ctx.typing.users(room.room_id)
        if wants.wants("m.typing", "") and (users or (room.room_id in news.typing and asked.since is not None)):
            events.append({"type": "m.typing", "content": {"user_ids": users}})
    if receipts and wants.wants("m.receipt", ""):
        content: dict[str, Any] = {}
        for receipt in receipts:
            mark: dict[str, Any] = {"ts": receipt.ts}
            if receipt.thread_id is not None:
                mark["thread_id"] = receipt.thread_id
            content.setdefault(receipt.event_id, {}).setdefault(receipt.receipt_type, {})[receipt.user_id] = mark
        events.append({"type": "m.receipt", "content": content})
