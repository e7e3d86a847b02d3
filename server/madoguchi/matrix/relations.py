"""Chapter "Relationships": what relates to an event, and a room's threads."""

from typing import Any, Literal

import msgspec

from madoguchi.core import access
from madoguchi.core.chat import history
from madoguchi.core.chat.tokens import maybe, token
from madoguchi.matrix.rooms import MOST_EVENTS, shown
from madoguchi.storage import events as stored_events
from madoguchi.web.endpoint import Call


class RelatingQuery(msgspec.Struct, kw_only=True):
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    limit: int = 50
    dir: Literal["b", "f"] = "b"
    recurse: bool = False


async def get_relating_events(
    call: Call,
    room_id: str,
    event_id: str,
    query: RelatingQuery,
    rel_type: str | None = None,
    event_type: str | None = None,
) -> dict[str, Any]:
    seat = await access.seat(call.tx, call.ctx, room_id, call.session.user_id, "ever")
    await history.get_visible(call.tx, seat, event_id)
    seen = await history.sight(call.tx, seat)
    backwards = query.dir == "b"
    start, stop = maybe(query.from_), maybe(query.to)
    limit = max(1, min(query.limit, MOST_EVENTS))
    after, before = ((stop or 0), (history.FOREVER if start is None else start + 1))
    if not backwards:
        after, before = (start or 0), (history.FOREVER if stop is None else stop + 1)
    rows = await stored_events.list_related(
        call.tx, room_id, event_id, rel_type, event_type, after, before, limit + 1, backwards
    )
    found = [event for event in rows[:limit] if seen.has(event.pos)]
    answer: dict[str, Any] = {"chunk": await shown(call, found, seen)}
    if len(rows) > limit:
        last = rows[limit - 1].pos
        answer["next_batch"] = token(last - 1 if backwards else last)
    if query.from_:
        answer["prev_batch"] = query.from_
    if query.recurse:
        answer["recursion_depth"] = 1
    return answer


class ThreadsQuery(msgspec.Struct, kw_only=True):
    include: Literal["all", "participated"] = "all"
    limit: int = 50
    from_: str | None = msgspec.field(default=None, name="from")


async def get_thread_roots(call: Call, room_id: str, query: ThreadsQuery) -> dict[str, Any]:
    seat = await access.seat(call.tx, call.ctx, room_id, call.session.user_id, "ever")
    seen = await history.sight(call.tx, seat)
    start = maybe(query.from_)
    limit = max(1, min(query.limit, MOST_EVENTS))
    roots = await stored_events.list_thread_roots(
        call.tx, room_id, history.FOREVER if start is None else start, limit + 1,
        call.session.user_id if query.include == "participated" else None,
    )  # fmt: skip
    answer: dict[str, Any] = {"chunk": await shown(call, [e for _, e in roots[:limit] if seen.has(e.pos)], seen)}
    if len(roots) > limit:
        answer["next_batch"] = token(roots[limit - 1][0])
    return answer
