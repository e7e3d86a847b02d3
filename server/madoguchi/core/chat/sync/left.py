"""A room that the user has left, or been removed from, in a sync answer: up to that moment and no further."""

from typing import Any

import msgspec

from madoguchi.core.access import Seat
from madoguchi.core.chat import history
from madoguchi.core.chat.events import render
from madoguchi.core.chat.history import Sight
from madoguchi.core.chat.room_cache import Room, content_of
from madoguchi.core.chat.sync.asked import Asked, Reader
from madoguchi.core.chat.sync.timeline import Timeline, passes, rendered
from madoguchi.core.chat.tokens import token
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import events as stored_events
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Event


async def left_timeline(reader: Reader, asked: Asked, room_id: RoomID, own: Event) -> Timeline:
    """The newest events before, and with, the user's leaving `own`, as many as the filter wants."""
    tx = await reader()
    seat = Seat(room_id, asked.user_id, "leave", own.pos)
    seen = await history.sight(tx, seat)
    wants = asked.filter.room.timeline
    page = await history.read_page(
        tx, seat, seen, own.pos, asked.since, True, max(1, wants.most), lambda e: passes(wants, e, asked.ignored)
    )
    shown = list(reversed(page.events)) if wants.most else []
    # Who has never been in has nothing earlier to ask for.
    limited = seen.until > 0 and (page.end is not None or len(shown) < len(page.events))
    return Timeline(shown, [], shown[0].pos - 1 if shown else own.pos, limited, seen)


async def known_state(reader: Reader, room_id: RoomID, seen: Sight, after: int | None, at: int) -> list[Event]:
    """The room's state at a position, or what of it has changed after another one, as somebody knows it who has left.

    Members know the state whatever the visibility of the history, up to their leaving; beyond that what they may see.
    Somebody who was never in knows only their own coming and going.
    """
    tx = await reader()
    end = min(at, seen.until)
    if after is None:
        found = await stored_events.list_state_at(tx, room_id, end)
    else:
        found = await stored_events.list_state_between(tx, room_id, after, end + 1)
    if at > end:
        later = await stored_events.list_state_between(tx, room_id, max(after or 0, end), at + 1)
        found += [event for event in later if seen.has(event.pos)]
    return list({(event.type, event.state_key): event for event in found}.values())


async def is_gone(reader: Reader, asked: Asked, room_id: RoomID) -> bool:
    """Whether the user has forgotten a room that they were out of at the last sync already: whatever happens to their
    membership there, it is told no more until they come back."""
    if asked.since is None:
        return False
    tx = await reader()
    present = await stored_rooms.get_membership(tx, room_id, asked.user_id)
    if present is None or not present.forgotten:
        return False
    return await _membership_at(tx, room_id, asked.user_id, asked.since) not in ("join", "invite", "knock")


async def left_room(reader: Reader, asked: Asked, room: Room, own: Event) -> tuple[dict[str, Any], set[UserID]]:
    """The room's section, and whose devices the user has perhaps no more reason to watch. `own`: the user's leaving."""
    timeline = await left_timeline(reader, asked, room.room_id, own)
    tx = await reader()
    was_in = asked.since is not None and await _membership_at(tx, room.room_id, asked.user_id, asked.since) == "join"
    at = own.pos if asked.state_after else timeline.start
    state: list[Event] = []
    if asked.since is None or asked.full_state:
        state = await known_state(reader, room.room_id, timeline.seen, None, at)
    elif was_in and (timeline.limited or asked.state_after):
        state = await known_state(reader, room.room_id, timeline.seen, asked.since, at)
    state = [event for event in state if passes(asked.filter.room.state, event)]
    went: set[UserID] = set()
    if was_in:
        for event in await stored_events.list_state_at(tx, room.room_id, own.pos, "m.room.member"):
            if event.state_key is not None and content_of(event).get("membership") == "join":
                went.add(event.state_key)
    section = {
        "timeline": {
            "events": rendered(timeline, (asked.user_id, asked.device_id), {}),
            "limited": timeline.limited,
            "prev_batch": token(timeline.start),
        },
        asked.state: {"events": [msgspec.Raw(render(event, room_id=False)) for event in state]},
        "account_data": {"events": []},
    }
    return section, went - {asked.user_id}


async def _membership_at(tx: Tx, room_id: RoomID, user_id: UserID, at: int) -> str:
    found = await stored_events.list_state_at(tx, room_id, at, "m.room.member", user_id)
    return str(content_of(found[0]).get("membership")) if found else "leave"
