"""One room in an answer of sliding sync: what is new in it for this connection (MSC4186, "Room results")."""

from typing import Any

import msgspec

from madoguchi.core.chat import relations
from madoguchi.core.chat.events import render
from madoguchi.core.chat.inbox import Inbox
from madoguchi.core.chat.room_cache import Room, content_of
from madoguchi.core.chat.sliding.asked import Config, filter_of
from madoguchi.core.chat.sliding.sent import SentRoom
from madoguchi.core.chat.sync import unread
from madoguchi.core.chat.sync.asked import Asked, Reader
from madoguchi.core.chat.sync.left import left_room
from madoguchi.core.chat.sync.members import Came, came_in, own_at, stripped_state, summary_of
from madoguchi.core.chat.sync.timeline import Timeline, changed_state, state_before, timeline_of
from madoguchi.core.chat.tokens import token
from madoguchi.ids import UserID
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


async def build(reader: Reader, asked: Asked, inbox: Inbox, part: Part) -> tuple[dict[str, Any] | None, SentRoom]:
    """(what to send of the room, None for nothing; what the client has then)."""
    own = await own_at(reader, asked, part.room, part.upto)
    if own is None:
        return None, part.before or SentRoom()
    membership = str(content_of(own).get("membership"))
    if membership == "join":
        return await _joined(reader, asked, inbox, part, own)
    sent = SentRoom(own=own.pos, required=-1)
    if part.before is not None and part.before.own == own.pos:
        return None, sent
    result: dict[str, Any] = {"initial": True, "bump_stamp": own.pos}
    if part.stable:
        result["membership"] = membership
    if membership in ("invite", "knock"):
        if own.sender in asked.ignored:
            return None, part.before or SentRoom()
        result["stripped_state" if part.stable else "invite_state"] = stripped_state(part.room, own)
        return result, sent
    was_shown = part.before is not None and part.before.required >= 0
    section, _ = await left_room(reader, _asked(asked, part, part.after if was_shown else None), part.room, own)
    if was_shown:
        del result["initial"]
    result["required_state"] = [msgspec.Raw(render(own, room_id=False))]
    result["timeline_events" if part.stable else "timeline"] = section["timeline"]["events"]
    result["prev_batch"] = section["timeline"]["prev_batch"]
    result["limited"] = section["timeline"]["limited"]
    result["num_live"] = 0
    return result, sent


def _asked(asked: Asked, part: Part, since: int | None) -> Asked:
    return msgspec.structs.replace(asked, since=since, filter=filter_of(part.config.limit))


async def _joined(
    reader: Reader, asked: Asked, inbox: Inbox, part: Part, own: Event
) -> tuple[dict[str, Any] | None, SentRoom]:
    room, before, config, upto = part.room, part.before, part.config, part.upto
    after = part.after
    came = await came_in(reader, _asked(asked, part, after), room, own) if after is not None else Came()
    if came.newly or came.was_away:
        unread.forget(inbox, [room.room_id])
    initial = before is None or before.required < 0 or came.newly or after is None
    # More of the past is asked for than the client was sent: it gets the newest again, in one piece.
    expanded = not initial and before is not None and config.limit > before.limit
    start = None if initial or expanded else after
    timeline = await timeline_of(reader, _asked(asked, part, start), room, start, upto)
    changed: list[Event] = []
    if not initial:
        assert after is not None
        changed = await changed_state(reader, room, after, upto + 1)
    sent = SentRoom(
        limit=config.limit if initial or timeline.limited or before is None else max(config.limit, before.limit),
        own=own.pos,
        dm=part.dm,
        members={} if initial or before is None else dict(before.members),
    )
    state = await _state(reader, asked, part, timeline, initial, changed, sent)
    result: dict[str, Any] = {"initial": True} if initial else {}
    if expanded:
        result["expanded_timeline" if part.stable else "unstable_expanded_timeline"] = True
    _describe(result, part, initial, changed, asked.user_id)
    if initial and part.dm:
        result["is_dm"] = True
    elif not initial and before is not None and before.dm != part.dm:
        result["is_dm"] = part.dm
    await _count(reader, asked, inbox, part, result)
    bundles: dict[str, bytes] = {}
    if initial or timeline.limited or expanded:
        bundles = await relations.bundle(await reader(), timeline.events, asked.user_id, timeline.seen)
    device = (asked.user_id, asked.device_id)
    result["timeline_events" if part.stable else "timeline"] = [
        msgspec.Raw(render(event, device=device, room_id=False, more=bundles.get(event.event_id, b"")))
        for event in timeline.events
    ]
    result["required_state"] = [msgspec.Raw(render(event, room_id=False)) for event in state]
    result["prev_batch"] = token(timeline.start)
    result["limited"] = timeline.limited or came.again
    result["num_live"] = sum(event.pos > part.since for event in timeline.events) if part.since is not None else 0
    result["bump_stamp"] = await _bump(reader, part)
    if part.stable:
        result["membership"] = "join"
    says = initial or expanded or part.read or "is_dm" in result or timeline.events or state or result["limited"]
    return result if says else None, sent


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
            if event.type == "m.room.member" and event.state_key is not None:
                if timeline.limited:
                    # After a gap the client trusts no member it had: who speaks is sent again.
                    sent.members.pop(event.state_key, None)
                else:
                    found.append(event)
        speakers = {event.sender for event in timeline.events}
        speakers |= {e.state_key for e in timeline.events if e.type == "m.room.member" and e.state_key is not None}
        for user in sorted(speakers):
            member = room.state.get(("m.room.member", user))
            if member is not None and member.pos <= part.upto and sent.members.get(user) != member.pos:
                found.append(member)
        for event in found:
            if event.type == "m.room.member" and event.state_key is not None:
                sent.members[event.state_key] = event.pos
    return list({event.event_id: event for event in found}.values())


def _wants(config: Config, event: Event, user_id: UserID) -> bool:
    return config.wants(event.type, event.state_key or "", user_id)


def _describe(result: dict[str, Any], part: Part, initial: bool, changed: list[Event], user_id: UserID) -> None:
    """Name, picture, whom to name the room after, how many are in it."""
    room = part.room
    kinds = {event.type for event in changed}
    name = (room.content("m.room.name") or {}).get("name")
    name = name if isinstance(name, str) and name else None
    if (initial and name) or "m.room.name" in kinds:
        result["name"] = name
    picture = (room.content("m.room.avatar") or {}).get("url")
    picture = picture if isinstance(picture, str) and picture else None
    if (initial and picture) or "m.room.avatar" in kinds:
        result["avatar"] = picture
    summary = summary_of(room, user_id)
    if name is None and (initial or kinds & {"m.room.name", "m.room.member"}):
        result["heroes"] = [_hero(room, user) for user in summary.get("m.heroes", ())]
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
    tx = await reader() if unread.needs_database(inbox, [room]) else None
    counts = await unread.count(tx, inbox, asked, [room], part.upto)  # type: ignore[arg-type]
    count = counts[room.room_id].main if part.stable else counts[room.room_id].all
    result["notification_count"] = count.notify
    result["highlight_count"] = count.highlight


async def _bump(reader: Reader, part: Part) -> int:
    for event in reversed(part.room.ring):
        if event.type in BUMPS and event.pos <= part.upto:
            return event.pos
    pos = await stored_events.last_of_types(await reader(), part.room.room_id, BUMPS, part.upto)
    return pos or 0
