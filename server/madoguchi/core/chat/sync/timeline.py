"""A room's timeline in a sync answer, and the state that goes before it."""

from collections.abc import Mapping

import msgspec

from madoguchi.core.access import Seat
from madoguchi.core.chat import history
from madoguchi.core.chat.events import render
from madoguchi.core.chat.filters import RoomEventFilter
from madoguchi.core.chat.history import Sight
from madoguchi.core.chat.ignoring import NOBODY, is_hidden
from madoguchi.core.chat.room_cache import Room, content_of
from madoguchi.core.chat.sync.asked import Asked, Reader
from madoguchi.ids import DeviceID, EventID, UserID
from madoguchi.storage import events as stored_events
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Event


class Timeline(msgspec.Struct):
    """events: those shown; all: those between `start` and the answer's position whatever the filter, state events at
    least; start: the position after which the timeline begins; limited: whether something lies between the last sync
    and `start`; seen: what of the room the user may see."""

    events: list[Event]
    all: list[Event]
    start: int
    limited: bool
    seen: Sight = history.ALL


def rendered(
    timeline: Timeline, device: tuple[UserID, DeviceID], bundles: Mapping[EventID, bytes]
) -> list[msgspec.Raw]:
    """The timeline's events as JSON for a device, with what relates to them."""
    seen = timeline.seen
    return [
        msgspec.Raw(
            render(
                event,
                device=device,
                room_id=False,
                more=bundles.get(event.event_id, b""),
                membership=seen.membership(event.pos),
            )
        )
        for event in timeline.events
    ]


async def timeline_of(reader: Reader, asked: Asked, room: Room, after: int | None, upto: int) -> Timeline:
    """The newest events in (after, upto], as many as the filter wants."""
    wants = asked.filter.room.timeline
    most = wants.most
    seen = history.quick_sight(room, asked.user_id)
    if after is not None:
        news = room.since(after)
    else:
        news = list(room.ring) if len(room.ring) > most or not room.floor else None
    if news is None or seen is None:
        return await _from_database(await reader(), asked, room, after, upto, seen)
    news = [event for event in news if event.pos <= upto]
    # Mostly the user has neither come nor gone while this was said.
    since_then = room.ring if news and room.member_pos(asked.user_id) >= news[0].pos else ()
    now = room.members.get(asked.user_id, "leave")
    seen = msgspec.structs.replace(seen, course=history.course_of(since_then, asked.user_id, now))
    shown = [event for event in news if passes(wants, event, asked.ignored)]
    limited = len(shown) > most if after is not None else (len(shown) > most or room.floor > 0)
    shown = shown[-most:] if most else []
    if limited or after is None:
        start = shown[0].pos - 1 if shown else upto
        return Timeline(shown, [event for event in news if event.pos > start], start, limited, seen)
    return Timeline(shown, news, after, False, seen)


async def _from_database(
    tx: Tx, asked: Asked, room: Room, after: int | None, upto: int, seen: Sight | None
) -> Timeline:
    wants = asked.filter.room.timeline
    seat = Seat(room.room_id, asked.user_id, room.members.get(asked.user_id, "leave"), upto)
    open_ = seen is not None
    seen = seen or await history.sight(tx, seat)
    page = await history.read_page(
        tx, seat, seen, upto, after, True, max(1, wants.most), lambda event: passes(wants, event, asked.ignored)
    )
    limited = page.end is not None
    shown = list(reversed(page.events))
    if not wants.most:
        limited, shown = limited or bool(shown), []
    if after is not None and not limited:
        start = after
    elif shown:
        start = shown[0].pos - 1
    else:
        start = page.end if page.end is not None and wants.most else upto
    changes: list[Event] = []
    if room.state_pos > start:
        changes = await stored_events.list_state_changes(tx, room.room_id, start, upto)
    unseen = [event.pos for event in changes if not seen.has(event.pos)]
    if unseen:
        # What changed while the user was away has no place in the timeline: it is state that goes before it.
        limited, start = True, unseen[-1]
        shown = [event for event in shown if event.pos > start]
        changes = [event for event in changes if event.pos > start]
    if open_:
        # The room in memory may be ahead.
        own = [event for event in (room.state.get(("m.room.member", asked.user_id)),) if event and event.pos > upto]
        course = history.course_of([*changes, *own], asked.user_id, seat.membership)
        seen = msgspec.structs.replace(seen, course=course)
    return Timeline(shown, changes, start, limited, seen)


async def state_before(reader: Reader, room: Room, at: int, timeline: Timeline) -> list[Event]:
    """The room's state at a position that lies in or before the timeline."""
    current = list(room.state.values())
    changed = [event for event in current if event.pos > at]
    kept = [event for event in current if event.pos <= at]
    if not changed:
        return kept
    first: dict[tuple[str, str], Event] = {}
    for event in timeline.all:
        if event.state_key is not None and event.pos > at:
            first.setdefault((event.type, event.state_key), event)
    if any((event.type, event.state_key or "") not in first for event in changed):
        return await stored_events.list_state_at(await reader(), room.room_id, at)
    earlier = [event.replaces for event in first.values() if event.replaces is not None]
    if earlier:
        kept += await stored_events.list_events_by_id(await reader(), earlier)
    return kept


async def changed_state(reader: Reader, room: Room, since: int, before: int) -> list[Event]:
    """The state events in (since, before), the last of each kind."""
    if room.state_pos <= since:
        return []
    news = room.since(since)
    if news is None:
        return await stored_events.list_state_between(await reader(), room.room_id, since, before)
    last: dict[tuple[str, str], Event] = {}
    for event in news:
        if event.state_key is not None and event.pos < before:
            last[event.type, event.state_key] = event
    return list(last.values())


def passes(wants: RoomEventFilter, event: Event, ignored: frozenset[UserID] = NOBODY) -> bool:
    if is_hidden(event, ignored):
        return False
    if wants.is_open:
        return True
    if not wants.wants_room(event.room_id) or not wants.wants(event.type, event.sender):
        return False
    return wants.contains_url is None or wants.wants_content(content_of(event))
