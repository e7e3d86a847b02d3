"""Events by what they relate to."""

from collections.abc import Sequence

import msgspec

from madoguchi.ids import EventID
from madoguchi.storage.db import Tx
from madoguchi.storage.events import COLUMNS, Event, event_from

BUNDLED = ("m.replace", "m.thread", "m.reference")


class Relation(msgspec.Struct, frozen=True):
    """That `event` relates to another one."""

    relates_to: EventID
    rel_type: str
    event: Event


async def list_bundled(tx: Tx, event_ids: Sequence[EventID]) -> list[Relation]:
    """What relates to any of these events in a way that is bundled with them, oldest first."""
    rows = await tx.fetch(
        f"""
        SELECT relates_to, rel_type, {COLUMNS} FROM events
         WHERE relates_to = ANY($1) AND rel_type = ANY($2) ORDER BY pos
        """,
        event_ids, BUNDLED,
    )  # fmt: skip
    return [Relation(row[0], row[1], event_from(tuple(row)[2:])) for row in rows]
