"""Events that relate to others ("Forming relationships between events"): what is bundled with an event, and listing.

Of an encrypted event the server sees only which event it relates to and how: enough to bundle edits, threads and
references.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from madoguchi.core.chat.events import render
from madoguchi.core.chat.history import Sight
from madoguchi.ids import EventID, RoomID, UserID
from madoguchi.storage import relations as stored_relations
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Event

_encode = msgspec.json.Encoder().encode


async def bundle(
    tx: Tx, events: Sequence[Event], user_id: UserID, seen: Sight | Mapping[RoomID, Sight]
) -> dict[EventID, bytes]:
    """The `m.relations` member of `unsigned` for those of the events that something relates to, as far as the user may
    see it. seen: what they may see of the room, or of each room.

    m.replace: the latest edit by the same sender; m.thread: latest reply, count, whether the user took part;
    m.reference: the event ids.
    """
    asked = [event for event in events if event.state_key is None and event.type != "m.room.redaction"]
    if not asked:
        return {}
    by_id = {event.event_id: event for event in asked}
    related = await stored_relations.list_bundled(tx, list(by_id))
    bundles: dict[EventID, dict[str, Any]] = {}
    for relation in related:
        target = by_id[relation.relates_to]
        sight = seen if isinstance(seen, Sight) else seen[target.room_id]
        # Anybody may name an event of a room they are not in.
        if relation.event.room_id != target.room_id or not sight.has(relation.event.pos):
            continue
        into = bundles.setdefault(relation.relates_to, {})
        event = relation.event
        if relation.rel_type == "m.replace":
            if event.sender == target.sender and event.type == target.type and target.rel_type != "m.replace":
                into["m.replace"] = msgspec.Raw(render(event))
        elif relation.rel_type == "m.thread":
            thread = into.setdefault("m.thread", {"count": 0, "current_user_participated": target.sender == user_id})
            thread["count"] += 1
            thread["latest_event"] = msgspec.Raw(render(event))
            thread["current_user_participated"] |= event.sender == user_id
        elif relation.rel_type == "m.reference":
            into.setdefault("m.reference", {"chunk": []})["chunk"].append({"event_id": event.event_id})
    return {event_id: b'"m.relations":' + _encode(parts) for event_id, parts in bundles.items() if parts}
