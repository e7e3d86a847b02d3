"""The `rooms` of a sync answer: joined, invited, knocked and left ones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi.core.chat import history, relations
from madoguchi.core.chat.events import render, stripped
from madoguchi.core.chat.inbox import Inbox
from madoguchi.core.chat.room_cache import Room, content_of
from madoguchi.core.chat.sync import unread
from madoguchi.core.chat.sync.asked import Asked, News, Reader
from madoguchi.core.chat.sync.left import left_room
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
        own = await _own_at(reader, asked, room, upto)
        if own is None:
            continue
        membership = content_of(own).get("membership")
        fresh = asked.since is None or asked.full_state or own.pos > asked.since
        if membership == "join":
            came = await _came(reader, asked, room, own)
            section = await _joined(reader, asked, inbox, news, upto, room, into, came)
            marks = receipts.get(room.room_id, [])
            if came.newly:
                news.typing.add(room.room_id)
                marks = (await _list_receipts(reader, asked, [room.room_id], 0, upto)).get(room.room_id, [])
            _ephemeral(ctx, asked, news, room, marks, section)
            wants = asked.filter.room.account_data
            section["account_data"]["events"] = [
                msgspec.Raw(b'{"type":' + _encode(d.type) + b',"content":' + d.content + b"}")
                for d in by_room.get(room.room_id, ())
                if wants.wants(d.type, asked.user_id) and wants.wants_room(room.room_id)
            ]
            if _speaks(section) or room.room_id in news.receipts:
                into.join[room.room_id] = section
                counted.append(room)
        elif membership == "invite" and own.sender in asked.ignored:
            continue
        elif membership in ("invite", "knock") and fresh:
            key = "invite" if membership == "invite" else "knock"
            getattr(into, key)[room.room_id] = {f"{key}_state": {"events": _stripped_state(room, own)}}
        elif membership in ("leave", "ban") and fresh:
            into.leave[room.room_id], went = await left_room(reader, asked, room, own)
            into.went |= went
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
    reader: Reader,
    asked: Asked,
    inbox: Inbox,
    news: News,
    upto: int,
    room: Room,
    into: Rooms,
    came: "_Came",
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
    if asked.filter.lazy_load_members:
        state = _lazy(asked, inbox, room, timeline.events, state, whole, upto)
    state = [event for event in state if passes(asked.filter.room.state, event)]
    summary = _summary(room, asked.user_id) if whole or _has_member([*state, *timeline.all]) else {}
    device = (asked.user_id, asked.device_id)
    bundles: dict[str, bytes] = {}
    if whole or timeline.limited:
        bundles = await relations.bundle(await reader(), timeline.events, asked.user_id, timeline.seen)
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


async def _own_at(reader: Reader, asked: Asked, room: Room, upto: int) -> Event | None:
    """The user's membership at a position: the room in memory may be ahead of it."""
    own = room.state.get(("m.room.member", asked.user_id))
    if own is None or own.pos <= upto:
        return own
    found = await stored_events.list_state_at(await reader(), room.room_id, upto, "m.room.member", asked.user_id)
    return found[0] if found else None


class _Came(msgspec.Struct, frozen=True):
    """How a member came in. newly: they were not joined at the last sync; again: but had been earlier.
    was_away: they were joined at the last sync, and have left and come back since."""

    newly: bool = False
    again: bool = False
    was_away: bool = False


async def _came(reader: Reader, asked: Asked, room: Room, own: Event) -> _Came:
    if asked.since is None or own.pos <= asked.since:
        return _Came()
    past = await stored_events.list_history_of(await reader(), room.room_id, "m.room.member", asked.user_id)
    was = [content_of(event).get("membership") == "join" for event in past if event.pos <= asked.since]
    if not was or not was[-1]:
        return _Came(newly=True, again=any(was))
    since = [event for event in past if asked.since < event.pos < own.pos]
    return _Came(was_away=any(content_of(event).get("membership") != "join" for event in since))


def _lazy(
    asked: Asked, inbox: Inbox, room: Room, shown: Sequence[Event], state: list[Event], whole: bool, upto: int
) -> list[Event]:
    """Leaves out members who say nothing, and adds those who do and have not been sent to this device before."""
    # By room, the membership events that were sent and with which answer: one that got lost does not count.
    sent: dict[RoomID, dict[str, int]] = inbox.memo.setdefault(("lazy", asked.device_id), {})
    if asked.since is None:
        sent.clear()
    known = sent.setdefault(room.room_id, {})
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
        redundant = asked.filter.room.state.include_redundant_members
        if redundant or known.get(member.event_id, history.FOREVER) > (asked.since or 0):
            kept.append(member)
    for event in [*kept, *shown]:
        if event.type == "m.room.member":
            known.setdefault(event.event_id, upto)
            known[event.event_id] = min(known[event.event_id], upto)
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


def _stripped_state(room: Room, own: Event) -> list[dict[str, Any]]:
    shown = [room.state[type_, ""] for type_ in _STRIPPED if (type_, "") in room.state]
    inviter = room.state.get(("m.room.member", own.sender))
    if inviter is not None and own.sender != own.state_key:
        shown.append(inviter)
    return [stripped(event) for event in [*shown, own]]


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
    if receipts and wants.wants("m.receipt", ""):
        content: dict[str, Any] = {}
        for receipt in receipts:
            mark: dict[str, Any] = {"ts": receipt.ts}
            if receipt.thread_id is not None:
                mark["thread_id"] = receipt.thread_id
            content.setdefault(receipt.event_id, {}).setdefault(receipt.receipt_type, {})[receipt.user_id] = mark
        events.append({"type": "m.receipt", "content": content})
