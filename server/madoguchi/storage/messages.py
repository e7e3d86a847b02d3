"""The batch insert behind group commit: the database function `append_messages`, and what it refuses."""

from collections.abc import Sequence

import asyncpg

from madoguchi.ids import EventID
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Event

# What of the table `events e` is a message: neither taken back nor a reaction or a correction (core/chat/events.py,
# QUIET). What is looked for can only be the name of a field: inside a string, JSON puts a backslash before a quotation
# mark.
A_MESSAGE = """e.type = 'm.room.encrypted' AND e.body LIKE '%"ciphertext":%'
                   AND e.body NOT LIKE '%"jp.madoguchi.quiet":true%'"""


class StateMovedOn(Exception):
    """The state of some rooms has changed since the batch was judged. Nothing was stored."""


class SentBefore(Exception):
    """The events with these places in the batch have been sent before, or twice in it. Nothing was stored."""

    def __init__(self, ordinals: list[int]) -> None:
        super().__init__("sent before")
        self.ordinals = ordinals


async def append_messages(tx: Tx, origin: str, events: Sequence[Event], state_positions: Sequence[int]) -> int:
    """Stores a batch of message events in one statement that commits by itself. Gives the position before the first.

    `state_positions`: of each event's room, the state that the event was judged by. Raises StateMovedOn, SentBefore.
    """
    try:
        base: int = await tx.fetchval(
            "SELECT append_messages($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            origin,
            [e.room_id for e in events],
            state_positions,
            [e.event_id for e in events],
            [e.type for e in events],
            [e.sender for e in events],
            [e.at for e in events],
            [e.body.decode() for e in events],
            [e.device_id for e in events],
            [e.txn_id for e in events],
            [e.relates_to for e in events],
            [e.rel_type for e in events],
            [e.nonce for e in events],
        )
    except asyncpg.PostgresError as error:
        if error.sqlstate == "MD001":
            raise StateMovedOn from None
        if error.sqlstate == "MD002":
            raise SentBefore([int(number) for number in str(error.detail).split()]) from None
        raise
    return base


async def list_sent(tx: Tx, events: Sequence[Event]) -> dict[int, EventID]:
    """Of events with transaction ids, those sent before: place in `events` → the event id they were given then."""
    rows = await tx.fetch(
        """
        SELECT asked.n - 1 AS place, t.event_id
          FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
                AS asked(user_id, device_id, scope, txn_id, n)
          JOIN transactions t USING (user_id, device_id, scope, txn_id)
        """,
        [e.sender for e in events],
        [e.device_id for e in events],
        [f"{e.room_id} {e.type}" for e in events],
        [e.txn_id for e in events],
    )
    return {row["place"]: row["event_id"] for row in rows}
