"""Who may not begin a new case for a while: by the case that led to it, never by a name or an address."""

from datetime import datetime
from typing import Literal

import msgspec

from madoguchi.ids import CaseID, UserID
from madoguchi.storage.db import Tx

Reason = Literal["abuse", "threats", "sexual", "flooding"]


class Block(msgspec.Struct, frozen=True):
    """channel: the kind by which the person came; by_name, reviewer: what staff are called."""

    case_id: CaseID
    channel: str
    reason: Reason
    blocked_by: UserID
    by_name: str
    blocked_at: datetime
    ends_at: datetime
    reviewer: str | None
    reviewed_at: datetime | None


_BLOCK = """
    SELECT b.case_id, h.kind AS channel, b.reason, b.blocked_by, coalesce(s.name, b.blocked_by) AS by_name,
           b.blocked_at, b.ends_at, coalesce(r.name, b.reviewed_by) AS reviewer, b.reviewed_at
      FROM blocks b JOIN cases c ON c.id = b.case_id JOIN channels h ON h.id = c.channel_id
      LEFT JOIN staff s ON s.user_id = b.blocked_by LEFT JOIN staff r ON r.user_id = b.reviewed_by
"""


async def insert(tx: Tx, case_id: CaseID, reason: Reason, by: UserID, at: datetime, ends_at: datetime) -> bool:
    """Blocks the person of a case; False where that case has led to a block before."""
    done: str = await tx.execute(
        """
        INSERT INTO blocks (case_id, reason, blocked_by, blocked_at, ends_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING
        """,
        case_id,
        reason,
        by,
        at,
        ends_at,
    )
    return done == "INSERT 0 1"


async def get_end(tx: Tx, user_id: UserID, at: datetime) -> datetime | None:
    """Until when somebody is blocked at a moment; None for whoever is not."""
    ends_at: datetime | None = await tx.fetchval(
        """
        SELECT max(b.ends_at) FROM cases c JOIN blocks b ON b.case_id = c.id WHERE c.user_id = $1 AND b.ends_at > $2
        """,
        user_id,
        at,
    )
    return ends_at


async def lock_block(tx: Tx, case_id: CaseID) -> Block | None:
    """The block that a case has led to, held until the end of the transaction."""
    row = await tx.fetchrow(f"{_BLOCK} WHERE b.case_id = $1 FOR UPDATE OF b", case_id)
    return Block(**row) if row else None


async def list_blocks(tx: Tx, since: datetime) -> list[Block]:
    """Those that end after a moment, the last to end first."""
    rows = await tx.fetch(f"{_BLOCK} WHERE b.ends_at > $1 ORDER BY b.ends_at DESC, b.case_id", since)
    return [Block(**row) for row in rows]


async def update_reviewed(tx: Tx, case_id: CaseID, by: UserID, at: datetime, ends_at: datetime) -> None:
    """Notes who has reviewed a block, and until when it stands now."""
    await tx.execute(
        "UPDATE blocks SET reviewed_by = $2, reviewed_at = $3, ends_at = $4 WHERE case_id = $1",
        case_id,
        by,
        at,
        ends_at,
    )
