"""One room in an answer of sliding sync: what is new in it for this connection (MSC4186, "Room results")."""

from collections.abc import Mapping
from typing import Any

import msgspec

from madoguchi.core.chat import relations
from madoguchi.core.chat.events import render
from madoguchi.core.chat.inbox import Inbox
from madoguchi.core.chat.room_cache import Room, content_of
from madoguchi.core.chat.sliding.asked import MEMBER, MOST_TIMELINE, Config, filter_of
from madoguchi.core.chat.sliding.sent import SentRoom
from madoguchi.core.chat.sync import unread
from madoguchi.core.chat.sync.asked import Asked, Reader
from madoguchi.core.chat.sync.left import known_state, left_timeline
from madoguchi.core.chat.sync.members import Came, came_in, own_at, stripped_state, summary_of
from madoguchi.core.chat.sync.timeline import Timeline, changed_state, rendered, state_before, timeline_of
from madoguchi.core.chat.tokens import token
from madoguchi.ids import EventID, RoomID, UserID
from madoguchi.storage import events as stored_events
from madoguchi.storage.events import Event

# What counts as something happening in a room (`bump_stamp`).
BUMPS = (
    "m.room.create",
    "m.room.message",
    "m.room.encrypted",
    "m.sticker",
    "m.call.invite",
    "m.poll.start",
    "m.beacon_info",
)


class Part(msgspec.Struct, kw_only=True):
    """A room to be built. before: what the client has of it, None for nothing; required: the state it asked for then;
    after: the position up to which it knows the room, None for nothing; since: up to which it knows the others;
    read: whether the user has read on; stable: names as in /v4/sync."""

    room: Room
    config: Config
    before: SentRoom | None
    required: Config
    after: int | None
    since: int | None
    upto: int
    dm: bool
    read: bool
    stable: bool


class Told(msgspec.Struct):
    """What to send of a room, None for nothing; what the client has then; its timeline (`write_out` puts it into the
    result), and whether it begins anew."""

    result: dict[str, Any] | None
    sent: SentRoom
    timeline: Timeline | None = None
    anew: bool = False

    @property
    def shown(self) -> frozenset[EventID] | None:
        """The events of a timeline that begins anew; None for one that only goes on."""
        return frozenset(event.event_id for event in self.timeline.events) if self.anew and self.timeline else None


async def write_out(reader: Reader, asked: Asked, told: Mapping[RoomID, Told]) -> None:
    """Puts the events into the timelines, as JSON, with what relates to them: found for all rooms by one question."""
    parts = [(each.result, each.timeline, each.anew) for each in told.values() if each.result and each.timeline]
    bundled = [event for _, timeline, anew in parts if anew or timeline.limited for event in timeline.events]
    bundles: dict[EventID, bytes] = {}
    if bundled:
        sights = {room_id: each.timeline.seen for room_id, each in told.items() if each.timeline}
        bundles = await relations.bundle(await reader(), bundled, asked.user_id, sights)
    for result, timeline, _ in parts:
        result["timeline"] = rendered(timeline, (asked.user_id, asked.device_id), bundles)


async def build(reader: Reader, asked: Asked, inbox: Inbox, part: Part) -> Told:
    """What is new in a room."""
    own = await own_at(reader, asked, part.room, part.upto)
    if own is None:
        return Told(None, part.before or SentRoom())
    membership = str(content_of(own).get("membership"))
    if membership == "join":
        return await _joined(reader, asked, inbox, part, own)
    if membership in ("leave", "ban"):
        return await _left(reader, asked, part, own, membership)
    if own.sender in asked.ignored:
        return Told(None, part.before or SentRoom())
    return _outside(part, own, membership, stripped_state(part.room, own))


def _outside(part: Part, own: Event, membership: str, stripped: list[dict[str, Any]]) -> Told:
    """A room that the user has not come into."""
    sent = SentRoom(own=own.pos, required=-1)
    if part.before is not None and part.before.own == own.pos:
        return Told(None, sent)
    result: dict[str, Any] = {"initial": True, "bump_stamp": own.pos}
    if part.stable:
        result["membership"] = membership
    result["stripped_state" if part.stable else "invite_state"] = stripped
    return Told(result, sent)


async def _left(reader: Reader, asked: Asked, part: Part, own: Event, membership: str) -> Told:
    """A room that the user has left, or was removed from: up to that moment."""
    room, before, config = part.room, part.before, part.config
    again = before is not None and before.left and before.own != own.pos
    initial = before is None or before.required < 0 or again or part.after is None
    expanded = not initial and before is not None and config.limit > before.limit
    start = None if initial or expanded else part.after
    timeline = await left_timeline(reader, _asked(asked, part, start), room.room_id, own)
    if not timeline.seen.until and part.stable:
        then = await stored_events.list_state_at(await reader(), room.room_id, own.pos)
        return _outside(part, own, membership, stripped_state(room.as_of(then), own))
    known = await known_state(reader, room.room_id, timeline.seen, None, own.pos)
    past = msgspec.structs.replace(part, room=room.as_of(known))
    changed: list[Event] = []
    if not initial:
        changed = await known_state(reader, room.room_id, timeline.seen, part.after, own.pos)
    sent = _sent(part, own, timeline, initial)
    sent.left = True
    state = await _state(reader, asked, past, timeline, initial, changed, sent)
    says = initial or expanded or bool(state) or (before is not None and before.own != own.pos)
    # Clients of today learn from this event, and from nothing else, that the user is gone.
    if not part.stable and own not in state:
        state.append(own)
    result: dict[str, Any] = {"initial": True} if initial else {}
    if timeline.seen.until:
        _describe(result, past, initial, {event.type for event in changed}, asked.user_id)
        _say_direct(result, part, initial)
    result["bump_stamp"] = own.pos
    _events(result, part, timeline, state, expanded)
    if part.stable:
        result["membership"] = membership
    return Told(result if says else None, sent, timeline, initial or expanded)


def _asked(asked: Asked, part: Part, since: int | None) -> Asked:
    return msgspec.structs.replace(asked, since=since, filter=filter_of(part.config.limit))


def _sent(part: Part, own: Event, timeline: Timeline, initial: bool) -> SentRoom:
    """What the client has of the room with this timeline. Who has all there is lacks nothing of a longer one."""
    before, limit = part.before, part.config.limit
    if not timeline.limited:
        limit = MOST_TIMELINE if initial or before is None else max(limit, before.limit)
    members = {} if initial or before is None else dict(before.members)
    return SentRoom(limit=limit, own=own.pos, dm=part.dm, members=members)


async def _joined(reader: Reader, asked: Asked, inbox: Inbox, part: Part, own: Event) -> Told:
    room, before, config, upto = part.room, part.before, part.config, part.upto
    after = part.after
    came = await came_in(reader, _asked(asked, part, after), room, own) if after is not None else Came()
    if came.newly or came.was_away:
        unread.forget(inbox, [room.room_id])
    initial = before is None or before.required < 0 or before.left or came.newly or after is None
    # More of the past is asked for than the client was sent: it gets the newest again, in one piece.
    expanded = not initial and before is not None and config.limit > before.limit
    start = None if initial or expanded else after
    timeline = await timeline_of(reader, _asked(asked, part, start), room, start, upto)
    changed: list[Event] = []
    if not initial:
        assert after is not None
        changed = await changed_state(reader, room, after, upto + 1)
    sent = _sent(part, own, timeline, initial)
    state = await _state(reader, asked, part, timeline, initial, changed, sent)
    result: dict[str, Any] = {"initial": True} if initial else {}
    kinds = {event.type for event in changed}
    if after is not None and not initial:
        kinds |= _taken_back(room, after)
    _describe(result, part, initial, kinds, asked.user_id)
    _say_direct(result, part, initial)
    if not part.stable:
        await _count(reader, asked, inbox, part, result)
    _events(result, part, timeline, state, expanded)
    result["limited"] = timeline.limited or came.again
    result["bump_stamp"] = await _bump(reader, part)
    if part.stable:
        result["membership"] = "join"
    read = part.read and not part.stable
    says = (
        initial or expanded or read or "is_dm" in result or timeline.events or state or result["limited"]
        or not kinds.isdisjoint(("m.room.name", "m.room.avatar", MEMBER))
    )  # fmt: skip
    return Told(result if says else None, sent, timeline, initial or expanded)


def _say_direct(result: dict[str, Any], part: Part, initial: bool) -> None:
    """Whether the room is a direct message, where the client does not know."""
    if part.dm if initial or part.before is None else part.before.dm != part.dm:
        result["is_dm"] = part.dm


def _taken_back(room: Room, after: int) -> set[str]:
    """Name and picture, where a redaction after a position may have taken them away."""
    news = room.since(after)
    if news is not None and not any(event.type == "m.room.redaction" for event in news):
        return set()
    current = [room.state[type_, ""] for type_ in ("m.room.name", "m.room.avatar") if (type_, "") in room.state]
    return {event.type for event in current if b'"redacted_because"' in event.unsigned}


def _events(result: dict[str, Any], part: Part, timeline: Timeline, state: list[Event], expanded: bool) -> None:
    """Writes the state into the result, and what there is to say of the timeline."""
    if expanded:
        result["expanded_timeline" if part.stable else "unstable_expanded_timeline"] = True
    result["required_state"] = [msgspec.Raw(render(event, room_id=False)) for event in state]
    result["prev_batch"] = token(timeline.start)
    result["limited"] = timeline.limited
    result["num_live"] = sum(event.pos > part.since for event in timeline.events) if part.since is not None else 0


async def _state(
    reader: Reader, asked: Asked, part: Part, timeline: Timeline, initial: bool, changed: list[Event], sent: SentRoom
) -> list[Event]:
    """The state to send; also writes down in `sent` which members the client then has."""
    room, config, user_id = part.room, part.config, asked.user_id
    if initial:
        found = [e for e in await state_before(reader, room, part.upto, timeline) if _wants(config, e, user_id)]
    else:
        found = [event for event in changed if _wants(config, event, user_id)]
        if part.required.required != config.required:
            current = await state_before(reader, room, part.upto, timeline)
            found += [e for e in current if _wants(config, e, user_id) and not _wants(part.required, e, user_id)]
    if config.lazy:
        for event in changed:
            if event.type == MEMBER and event.state_key is not None:
                if timeline.limited:
                    # After a gap the client trusts no member it had: who speaks is sent again.
                    sent.members.pop(event.state_key, None)
                else:
                    found.append(event)
        speakers = {event.sender for event in timeline.events}
        speakers |= {e.state_key for e in timeline.events if e.type == MEMBER and e.state_key is not None}
        for user in sorted(speakers):
            member = room.state.get((MEMBER, user))
            if member is not None and member.pos <= part.upto and sent.members.get(user) != member.pos:
                found.append(member)
        for event in found:
            if event.type == MEMBER and event.state_key is not None:
                sent.members[event.state_key] = event.pos
        sent.forget_members()
    return list({event.event_id: event for event in found}.values())


def _wants(config: Config, event: Event, user_id: UserID) -> bool:
    return config.wants(event.type, event.state_key or "", user_id)


def _describe(result: dict[str, Any], part: Part, initial: bool, kinds: set[str], user_id: UserID) -> None:
    """Name, picture, whom to name the room after, how many are in it. kinds: the types of state that have changed."""
    room = part.room
    name = (room.content("m.room.name") or {}).get("name")
    name = name if isinstance(name, str) and name else None
    if (initial and name) or "m.room.name" in kinds:
        result["name"] = name
    picture = (room.content("m.room.avatar") or {}).get("url")
    picture = picture if isinstance(picture, str) and picture else None
    if (initial and picture) or "m.room.avatar" in kinds:
        result["avatar"] = picture
    if not initial and kinds.isdisjoint(("m.room.name", MEMBER)):
        return
    summary = summary_of(room, user_id)
    if name is None:
        result["heroes"] = [_hero(room, user) for user in summary.get("m.heroes", ())]
    if initial or MEMBER in kinds:
        result["joined_count"] = summary["m.joined_member_count"]
        result["invited_count"] = summary["m.invited_member_count"]


def _hero(room: Room, user_id: UserID) -> dict[str, str]:
    content = room.member_content(user_id)
    hero = {"user_id": user_id}
    for key in ("displayname", "avatar_url"):
        if isinstance(content.get(key), str):
            hero[key] = content[key]
    return hero


async def _count(reader: Reader, asked: Asked, inbox: Inbox, part: Part, result: dict[str, Any]) -> None:
    room = part.room
    counts = await unread.count(reader, inbox, asked, [room], part.upto)
    count = counts[room.room_id].main if part.stable else counts[room.room_id].all
    result["notification_count"] = count.notify
    result["highlight_count"] = count.highlight


async def _bump(reader: Reader, part: Part) -> int:
    for event in reversed(part.room.ring):
        if event.type in BUMPS and event.pos <= part.upto:
            return event.pos
    pos = await stored_events.last_of_types(await reader(), part.room.room_id, BUMPS, part.upto)
    return pos or 0
