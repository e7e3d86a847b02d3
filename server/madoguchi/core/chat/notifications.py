"""What a user has been, or would have been, notified of (client-server API, "Listing Notifications"): found anew with
each question, by the user's present rules."""

from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import push
from madoguchi.core.chat.events import render
from madoguchi.core.chat.ignoring import ignored_by
from madoguchi.core.chat.receipts import MAIN
from madoguchi.ids import UserID
from madoguchi.storage import notifications as storage
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Event

if TYPE_CHECKING:
    from madoguchi.context import Context

Json = dict[str, Any]
DEFAULT_LIMIT = 20
MOST = 100
# How many events one request looks at; if fewer notify than were asked for, the next request goes on from there.
_LOOKED_AT = 500
_NEWEST = 2**62
_decoder = msgspec.json.Decoder(dict[str, Any])


async def list_some(
    ctx: "Context", tx: Tx, user_id: UserID, from_: str | None, limit: int | None, only_highlights: bool
) -> tuple[list[Json], str | None]:
    """(notifications, the newest first; the token to go on with, if there may be more)."""
    before = _NEWEST
    if from_:
        if not from_.isascii() or not from_.isdigit() or len(from_) > 18:
            raise errors.Invalid("This is not a token of an earlier answer.")
        before = int(from_)
    wanted = DEFAULT_LIMIT if limit is None else max(1, min(limit, MOST))
    events = await storage.list_events_of_others(tx, user_id, before, _LOOKED_AT)
    room_ids = sorted({event.room_id for event in events})
    rooms = await ctx.rooms.get_many(room_ids)
    facts = {room_id: push.facts_of(room, user_id) for room_id, room in rooms.items()}
    read = await storage.list_read(tx, user_id, room_ids, events[-1].pos if events else 0)
    rules = await push.rules_of(tx, user_id)
    ignored = await ignored_by(tx, user_id)
    found: list[Json] = []
    last = 0
    for event in events:
        if event.room_id not in facts or event.sender in ignored:
            continue
        told = {**_decoder.decode(event.body), "room_id": event.room_id}
        actions = push.actions_of(rules, told, facts[event.room_id], user_id)
        verdict = push.verdict_of(actions)
        if verdict.notify and (verdict.highlight or not only_highlights):
            if len(found) == wanted:
                return found, str(last)
            last = event.pos
            found.append(
                {
                    "actions": actions,
                    "event": msgspec.Raw(render(event)),
                    "read": _is_read(event, read),
                    "room_id": event.room_id,
                    "ts": event.at,
                }
            )
    return found, str(events[-1].pos) if len(events) == _LOOKED_AT else None


def _is_read(event: Event, read: dict[tuple[str, str], int]) -> bool:
    thread = event.relates_to if event.rel_type == "m.thread" and event.relates_to else MAIN
    return event.pos <= max(read.get((event.room_id, ""), 0), read.get((event.room_id, thread), 0))
