"""What of a room's past somebody may see ("Room History Visibility"), and reading it in pages."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from madoguchi import errors
from madoguchi.core.access import Seat
from madoguchi.core.chat.room_cache import Room, content_of
from madoguchi.ids import EventID, UserID
from madoguchi.storage import events as stored_events
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Event

FOREVER = 2**62
# How many events one page may look at: a filter that hardly anything passes gets short pages, not long waits.
MOST_LOOKED_AT = 10_000
_BATCH = 500


class Span(msgspec.Struct, frozen=True):
    """Positions that may be seen: first <= pos <= last."""

    first: int
    last: int


class Sight(msgspec.Struct, frozen=True):
    """What one user may see of one room's events. until: the position at which they left it for the last time, up to
    which they know its state; 0 for somebody who has never been in. course: what they were in the room, from which
    position on, oldest first."""

    spans: tuple[Span, ...]
    until: int = FOREVER
    course: tuple[tuple[int, str], ...] = ()

    def has(self, pos: int) -> bool:
        return any(span.first <= pos <= span.last for span in self.spans)

    def membership(self, pos: int) -> str:
        """What the user was in the room at a position, an event of that position included."""
        return next((membership for since, membership in reversed(self.course) if since <= pos), "leave")

    @property
    def last(self) -> int:
        """The newest position that may be seen; 0 for none."""
        return max((span.last for span in self.spans), default=0)

    @property
    def first(self) -> int:
        """The oldest position that may be seen."""
        return min((span.first for span in self.spans), default=FOREVER)


ALL = Sight((Span(0, FOREVER),))


def quick_sight(room: Room, user_id: str) -> Sight | None:
    """ALL for a member of a room whose history has always been open to members; None where that takes a closer look."""
    event = room.state.get(("m.room.history_visibility", ""))
    if event is None or event.replaces is not None or room.members.get(user_id) != "join":
        return None
    visibility = (room.content("m.room.history_visibility") or {}).get("history_visibility")
    # Set once, in the first moments of the room.
    return ALL if visibility in ("shared", "world_readable") and event.pos - _first(room) < 64 else None


def course_of(events: Iterable[Event], user_id: UserID, now: str) -> tuple[tuple[int, str], ...]:
    """What a user was in a room while these events of it happened. Among them must be all of the user's comings and
    goings from the first event on; now: what the user is, for who has neither come nor gone."""
    own = [event for event in events if event.type == "m.room.member" and event.state_key == user_id]
    if not own:
        return ((0, now),)
    before = msgspec.json.decode(own[0].unsigned or b"{}").get("prev_content")
    began = before.get("membership") if isinstance(before, dict) else None
    return ((0, str(began or "leave")), *((event.pos, _membership(event)) for event in own))


def _first(room: Room) -> int:
    create = room.state.get(("m.room.create", ""))
    return create.pos if create is not None else FOREVER


async def sight(tx: Tx, seat: Seat) -> Sight:
    """What the holder of a seat may see.

    Each event under the visibility that held when it was sent: world_readable, or the user was joined, or `shared` and
    the user was joined at that time or later, or `invited` and the user was invited then.
    """
    visibilities = await stored_events.list_history_of(tx, seat.room_id, "m.room.history_visibility", "")
    own = await stored_events.list_history_of(tx, seat.room_id, "m.room.member", seat.user_id)
    marks = sorted([*visibilities, *own], key=lambda event: event.pos)
    last_joined = max((e.pos for e in own if _membership(e) == "join"), default=0)
    ends = [e.pos for e in own if e.pos > last_joined]
    # `shared` reaches until one leaves for the last time.
    last_shared = (min(ends) if ends else FOREVER) if last_joined else 0
    visibility, membership, began = "shared", "leave", 0
    spans: list[Span] = []
    for mark in [*marks, None]:
        # A change of the visibility is seen under what held before it, too.
        end = FOREVER if mark is None else mark.pos if mark.type != "m.room.member" else mark.pos - 1
        if visibility == "world_readable" or membership == "join":
            spans.append(Span(began, end))
        elif visibility == "shared" and began <= last_shared:
            spans.append(Span(began, min(end, last_shared)))
        elif visibility == "invited" and membership == "invite":
            spans.append(Span(began, end))
        if mark is None:
            break
        began = mark.pos
        if mark.type == "m.room.member":
            membership = _membership(mark)
            # One sees one's own coming and going.
            spans.append(Span(mark.pos, mark.pos))
        else:
            visibility = str(content_of(mark).get("history_visibility", "shared"))
    course = tuple((event.pos, _membership(event)) for event in own)
    return Sight(tuple(span for span in spans if span.first <= span.last), last_shared, course)


def _membership(event: Event) -> str:
    return str(content_of(event).get("membership", "leave"))


class Page(msgspec.Struct, frozen=True):
    """Events in the order asked for; `end`: the position to go on from, None where there is nothing more."""

    events: list[Event]
    end: int | None


async def read_page(
    tx: Tx,
    seat: Seat,
    seen: Sight,
    start: int | None,
    stop: int | None,
    backwards: bool,
    limit: int,
    wants: Callable[[Event], bool],
) -> Page:
    """The next page of a room's events.

    start: a position between events: going backwards, events at or before it; forwards, events after it. None: the end
    (or the beginning) of what may be seen. stop: where to end. wants: the filter. At most `limit` events; fewer, with
    an `end`, where the filter lets too few pass.
    """
    found: list[Event] = []
    at = start if start is not None else (seen.last if backwards else 0)
    if backwards:
        at, stop = min(at, seen.last), max(stop or 0, seen.first - 1)
    else:
        at, stop = max(at, seen.first - 1), min(FOREVER if stop is None else stop, seen.last)
    size, left = limit + 1, MOST_LOOKED_AT
    while True:
        if backwards:
            rows = await stored_events.list_events_before(tx, seat.room_id, at + 1, stop, size)
        else:
            rows = await stored_events.list_events_after(tx, seat.room_id, at, stop, size)
        for event in rows:
            if len(found) == limit:
                return Page(found, at)
            at = event.pos - 1 if backwards else event.pos
            if seen.has(event.pos) and wants(event):
                found.append(event)
        if len(rows) < size:
            return Page(found, None)
        left -= size
        if left <= 0:
            return Page(found, at)
        size = max(size, min(2 * size, _BATCH))


async def get_visible(tx: Tx, seat: Seat, event_id: EventID) -> Event:
    """One event of the room. Raises NotFound if there is none that the holder of the seat may see."""
    event = await stored_events.get_event(tx, seat.room_id, event_id)
    if event is None or not (await sight(tx, seat)).has(event.pos):
        raise errors.NotFound("There is no such event that you can see.")
    return event


def members_of(senders: Sequence[Event], state: Sequence[Event]) -> list[Event]:
    """Of a room's state, the membership events of those who sent something (lazy loading)."""
    wanted = {event.sender for event in senders}
    return [event for event in state if event.type == "m.room.member" and event.state_key in wanted]
