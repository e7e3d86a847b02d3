"""Chapters "Creation", "Getting events for a room" and "Event context"."""

from typing import Any, Literal

import msgspec

from madoguchi import errors
from madoguchi.core import access
from madoguchi.core.chat import filters, history, relations
from madoguchi.core.chat import rooms as chat_rooms
from madoguchi.core.chat.events import render
from madoguchi.core.chat.ignoring import ignored_by, is_hidden
from madoguchi.core.chat.room_cache import content_of
from madoguchi.core.chat.rooms import CreateRoom
from madoguchi.core.chat.tokens import maybe, token
from madoguchi.ids import UserID
from madoguchi.storage import events as stored_events
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.events import Event
from madoguchi.web.endpoint import Call

MOST_EVENTS = 1000


async def create_room(call: Call, body: CreateRoom) -> dict[str, Any]:
    call.session.must_not_be_suspended()
    if call.session.kind == "youth":
        # One tap makes such an account: it must not be a way to call on anybody, counsellors least of all.
        raise errors.NotAllowed("Your account is for the conversation with the desk.")
    room_id = await chat_rooms.create_room(
        call.ctx, call.tx, call.session.user_id, body, appservice=call.session.appservice
    )
    return {"room_id": room_id}


async def get_joined_rooms(call: Call) -> dict[str, Any]:
    return {"joined_rooms": await stored_rooms.list_joined_rooms(call.tx, call.session.user_id)}


async def shown(call: Call, events: list[Event], seen: history.Sight) -> list[msgspec.Raw]:
    """Events for the caller's client, with what relates to them as far as the caller may see it."""
    bundles = await relations.bundle(call.tx, events, call.session.user_id, seen)
    device = (call.session.user_id, call.session.device_id)
    return [
        msgspec.Raw(
            render(
                event,
                device=device,
                more=bundles.get(event.event_id, b""),
                membership=seen.membership(event.pos),
            )
        )
        for event in events
    ]


async def get_one_room_event(call: Call, room_id: str, event_id: str) -> msgspec.Raw:
    seat = await access.seat(call.tx, call.ctx, room_id, call.session.user_id, "ever")
    event = await history.get_visible(call.tx, seat, event_id)
    return (await shown(call, [event], await history.sight(call.tx, seat)))[0]


async def _state(call: Call, room_id: str, type_: str | None = None, state_key: str | None = None) -> list[Event]:
    """The state as the caller may see it: the present one for members, for others that of when they left."""
    seat = await access.seat(call.tx, call.ctx, room_id, call.session.user_id, "ever")
    if seat.membership == "invite":
        raise errors.NotAllowed("You are not in this room.")
    at = await _known_until(call, seat)
    if at == history.FOREVER and type_ is None:
        return await stored_events.list_current_state(call.tx, [room_id])
    return await stored_events.list_state_at(call.tx, room_id, at, type_, state_key)


async def _known_until(call: Call, seat: access.Seat) -> int:
    """Up to which position the holder of a seat knows a room's state: up to their leaving, whatever came after."""
    if seat.membership in ("join", "world"):
        return history.FOREVER
    return min(seat.pos, (await history.sight(call.tx, seat)).until)


async def get_room_state(call: Call, room_id: str) -> list[msgspec.Raw]:
    return [msgspec.Raw(render(event)) for event in await _state(call, room_id)]


class StateFormat(msgspec.Struct):
    format: Literal["content", "event"] = "content"


async def get_room_state_with_key(
    call: Call, room_id: str, event_type: str, query: StateFormat, state_key: str = ""
) -> Any:
    found = await _state(call, room_id, event_type, state_key)
    if not found:
        raise errors.NotFound("The room has no such state.")
    return msgspec.Raw(render(found[0])) if query.format == "event" else content_of(found[0])


class MembersQuery(msgspec.Struct):
    at: str | None = None
    membership: Literal["join", "invite", "knock", "leave", "ban"] | None = None
    not_membership: Literal["join", "invite", "knock", "leave", "ban"] | None = None


async def get_members_by_room(call: Call, room_id: str, query: MembersQuery) -> dict[str, Any]:
    at = maybe(query.at)
    if at is None:
        events = await _state(call, room_id, "m.room.member")
    else:
        seat = await access.seat(call.tx, call.ctx, room_id, call.session.user_id, "ever")
        if seat.membership == "invite":
            raise errors.NotAllowed("You are not in this room.")
        at = min(at, await _known_until(call, seat))
        if seat.membership == "world":
            # Nobody's comings and goings before the room was opened to the world.
            at = max(at, seat.pos)
        events = await stored_events.list_state_at(call.tx, room_id, at, "m.room.member")

    def wanted(event: Event) -> bool:
        membership = content_of(event).get("membership")
        asked = query.membership is None or membership == query.membership
        return asked and (query.not_membership is None or membership != query.not_membership)

    return {"chunk": [msgspec.Raw(render(event)) for event in events if wanted(event)]}


async def get_joined_members_by_room(call: Call, room_id: str) -> dict[str, Any]:
    await access.seat(call.tx, call.ctx, room_id, call.session.user_id)
    joined: dict[str, Any] = {}
    for event in await stored_events.list_state_at(call.tx, room_id, history.FOREVER, "m.room.member"):
        content = content_of(event)
        if content.get("membership") == "join":
            joined[event.state_key or ""] = {
                "display_name": content.get("displayname"),
                "avatar_url": content.get("avatar_url"),
            }
    return {"joined": {user: {k: v for k, v in profile.items() if v} for user, profile in joined.items()}}


class MessagesQuery(msgspec.Struct, kw_only=True):
    dir: Literal["b", "f"]
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    limit: int = 10
    filter: str | None = None


async def get_room_events(call: Call, room_id: str, query: MessagesQuery) -> dict[str, Any]:
    seat = await access.seat(call.tx, call.ctx, room_id, call.session.user_id, "ever")
    if seat.membership == "invite":
        raise errors.NotAllowed("You are not in this room.")
    wants = filters.parse_room_event_filter(query.filter) if query.filter else filters.RoomEventFilter()
    limit = max(1, min(query.limit, MOST_EVENTS))
    ignored = await ignored_by(call.tx, call.session.user_id)
    seen = await history.sight(call.tx, seat)
    backwards = query.dir == "b"
    start = maybe(query.from_)
    page = await history.read_page(
        call.tx, seat, seen, start, maybe(query.to), backwards, limit, lambda event: passes(wants, event, ignored)
    )
    if start is None:
        first = page.events[0].pos if page.events else 0
        start = first if backwards else max(0, first - 1)
    answer: dict[str, Any] = {"start": token(start), "chunk": await shown(call, page.events, seen)}
    if page.end is not None:
        answer["end"] = token(page.end)
    if wants.lazy_load_members:
        if seat.membership == "join":
            members = await stored_events.list_some_state(call.tx, room_id, [], [e.sender for e in page.events])
        else:
            members = history.members_of(page.events, await _state(call, room_id, "m.room.member"))
        answer["state"] = [msgspec.Raw(render(event)) for event in members]
    return answer


def passes(wants: filters.RoomEventFilter, event: Event, ignored: frozenset[UserID]) -> bool:
    """Whether a filter lets an event pass, and its sender is not ignored."""
    if is_hidden(event, ignored):
        return False
    if wants.is_open:
        return True
    if not wants.wants_room(event.room_id) or not wants.wants(event.type, event.sender):
        return False
    return wants.contains_url is None or wants.wants_content(content_of(event))


class ContextQuery(msgspec.Struct):
    limit: int = 10
    filter: str | None = None


async def get_event_context(call: Call, room_id: str, event_id: str, query: ContextQuery) -> dict[str, Any]:
    seat = await access.seat(call.tx, call.ctx, room_id, call.session.user_id, "ever")
    event = await history.get_visible(call.tx, seat, event_id)
    wants = filters.parse_room_event_filter(query.filter) if query.filter else filters.RoomEventFilter()
    ignored = await ignored_by(call.tx, call.session.user_id)
    seen = await history.sight(call.tx, seat)
    limit = max(0, min(query.limit, MOST_EVENTS))
    before = after = history.Page([], None)
    if limit // 2:
        before = await history.read_page(
            call.tx, seat, seen, event.pos - 1, None, True, limit // 2, lambda e: passes(wants, e, ignored)
        )
    if limit - limit // 2:
        after = await history.read_page(
            call.tx, seat, seen, event.pos, None, False, limit - limit // 2, lambda e: passes(wants, e, ignored)
        )
    last = after.events[-1].pos if after.events else event.pos
    state = await stored_events.list_state_at(call.tx, room_id, last)
    if wants.lazy_load_members:
        senders = [*before.events, event, *after.events]
        state = [e for e in state if e.type != "m.room.member"] + history.members_of(senders, state)
    first = before.events[-1].pos - 1 if before.events else event.pos - 1
    return {
        "start": token(first),
        "end": token(last),
        "event": (await shown(call, [event], seen))[0],
        "events_before": await shown(call, before.events, seen),
        "events_after": await shown(call, after.events, seen),
        "state": [msgspec.Raw(render(e)) for e in state],
    }


class TimestampQuery(msgspec.Struct):
    ts: int
    dir: Literal["b", "f"]


async def get_event_by_timestamp(call: Call, room_id: str, query: TimestampQuery) -> dict[str, Any]:
    seat = await access.seat(call.tx, call.ctx, room_id, call.session.user_id)
    find = stored_events.first_at_or_after if query.dir == "f" else stored_events.last_at_or_before
    event = await find(call.tx, room_id, query.ts)
    if event is None or not (await history.sight(call.tx, seat)).has(event.pos):
        raise errors.NotFound("There is no event near that time.")
    return {"event_id": event.event_id, "origin_server_ts": event.at}
