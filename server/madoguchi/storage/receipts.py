"""How far each member of a room has read."""

from collections.abc import Sequence

import msgspec

from madoguchi.storage.db import Tx


class Receipt(msgspec.Struct, frozen=True):
    """receipt_type: m.read or m.read.private. thread_id: None counts for all threads. ts: ms. pos: of the receipt."""

    room_id: str
    user_id: str
    receipt_type: str
    event_id: str
    thread_id: str | None
    ts: int
    pos: int


class Target(msgspec.Struct, frozen=True):
    """An event that somebody says to have read. relates_to, rel_type: its own relation, if it has one."""

    event_id: str
    pos: int
    relates_to: str | None
    rel_type: str | None


async def get_target(tx: Tx, room_id: str, event_id: str) -> Target | None:
    row = await tx.fetchrow(
        "SELECT event_id, pos, relates_to, rel_type FROM events WHERE room_id = $1 AND event_id = $2", room_id, event_id
    )
    return Target(**row) if row else None


async def get_position(tx: Tx, room_id: str, user_id: str, receipt_type: str, thread_id: str | None) -> int:
    """The position of the event that a receipt points at; 0 if there is none."""
    pos: int | None = await tx.fetchval(
        """SELECT event_pos FROM receipts
            WHERE room_id = $1 AND user_id = $2 AND receipt_type = $3 AND thread_id = $4""",
        room_id,
        user_id,
        receipt_type,
        thread_id or "",
    )
    return pos or 0


async def get_fully_read(tx: Tx, room_id: str, user_id: str) -> int:
    """The position of the event that the user's fully read marker points at; 0 if there is none."""
    pos: int | None = await tx.fetchval(
        """SELECT events.pos FROM account_data
             JOIN events ON events.event_id = convert_from(account_data.content, 'UTF8')::json ->> 'event_id'
            WHERE account_data.user_id = $1 AND account_data.room_id = $2 AND account_data.type = 'm.fully_read'""",
        user_id,
        room_id,
    )
    return pos or 0


async def set_receipt(tx: Tx, receipt: Receipt, event_pos: int) -> None:
    """Moves a receipt forward; one that points at the same or a later event stays."""
    await tx.execute(
        """INSERT INTO receipts (room_id, user_id, receipt_type, thread_id, event_id, event_pos, ts, pos)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
           ON CONFLICT (room_id, user_id, receipt_type, thread_id) DO UPDATE
              SET event_id = excluded.event_id, event_pos = excluded.event_pos, ts = excluded.ts, pos = excluded.pos
            WHERE receipts.event_pos < excluded.event_pos""",
        receipt.room_id,
        receipt.user_id,
        receipt.receipt_type,
        receipt.thread_id or "",
        receipt.event_id,
        event_pos,
        receipt.ts,
        receipt.pos,
    )


async def list_receipts(tx: Tx, room_ids: Sequence[str], after: int, upto: int) -> list[Receipt]:
    """The receipts of these rooms that moved in (after, upto].

    Everybody's private ones among them: the caller filters.
    """
    rows = await tx.fetch(
        """SELECT room_id, user_id, receipt_type, event_id, nullif(thread_id, '') AS thread_id, ts, pos
             FROM receipts WHERE room_id = ANY($1::text[]) AND pos > $2 AND pos <= $3 ORDER BY pos""",
        room_ids,
        after,
        upto,
    )
    return [Receipt(**row) for row in rows]


async def list_receipts_at(
    tx: Tx, room_ids: Sequence[str], user_id: str, event_ids: Sequence[str], upto: int
) -> list[Receipt]:
    """Of the receipts of these rooms: the user's own, and those at these events. Private ones among them."""
    rows = await tx.fetch(
        """SELECT room_id, user_id, receipt_type, event_id, nullif(thread_id, '') AS thread_id, ts, pos
             FROM receipts WHERE room_id = ANY($1::text[]) AND pos <= $4
              AND (user_id = $2 OR event_id = ANY($3::text[])) ORDER BY pos""",
        room_ids,
        user_id,
        event_ids,
        upto,
    )
    return [Receipt(**row) for row in rows]


async def list_read(tx: Tx, user_id: str, room_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """How far the user has read: by room and thread ('' for all threads, 'main' outside threads), the position of the
    newest event that a receipt, public or private, points at."""
    rows = await tx.fetch(
        """SELECT room_id, thread_id, max(event_pos) AS pos FROM receipts
            WHERE room_id = ANY($2::text[]) AND user_id = $1 GROUP BY room_id, thread_id""",
        user_id,
        room_ids,
    )
    read: dict[str, dict[str, int]] = {}
    for row in rows:
        read.setdefault(row["room_id"], {})[row["thread_id"]] = row["pos"]
    return read
