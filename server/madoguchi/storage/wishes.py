"""Wishes 削除の希望: that what a person said is destroyed before its time, from when on, and what became of it."""

from datetime import datetime

import msgspec

from madoguchi.ids import CaseID, UserID
from madoguchi.storage.db import Tx
from madoguchi.storage.holds import Code


class Wish(msgspec.Struct, frozen=True):
    """asked_by: `person`, or who of the staff entered it for them, with a reason; receipt: what the person was given;
    due_at: until then it may be taken back."""

    id: int
    user_id: UserID
    asked_at: datetime
    asked_by: str
    reason: str | None
    receipt: str
    due_at: datetime
    taken_back_at: datetime | None
    done_at: datetime | None

    @property
    def stands(self) -> bool:
        return self.taken_back_at is None and self.done_at is None


class Covered(msgspec.Struct, frozen=True):
    """A case of a wish that stands. code: why it is kept, if it is held now."""

    wish_id: int
    case_id: CaseID
    asked_at: datetime
    asked_by: str
    reason: str | None
    receipt: str
    due_at: datetime
    code: Code | None


_COLUMNS = "id, user_id, asked_at, asked_by, reason, receipt, due_at, taken_back_at, done_at"
_STANDS = "taken_back_at IS NULL AND done_at IS NULL"
# The cases that a wish `w` is about and of which there is something left.
_CASES = "c.user_id = w.user_id AND c.arrived_at <= w.asked_at AND c.state <> 'purged'"


async def insert(
    tx: Tx, user_id: UserID, at: datetime, by: str, reason: str | None, receipt: str, due_at: datetime
) -> Wish:
    """Keeps a wish. There must be none of the person's that stands."""
    row = await tx.fetchrow(
        f"""
        INSERT INTO deletion_wishes (user_id, asked_at, asked_by, reason, receipt, due_at)
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_COLUMNS}
        """,
        user_id,
        at,
        by,
        reason,
        receipt,
        due_at,
    )
    assert row is not None
    return Wish(**row)


async def get_last(tx: Tx, user_id: UserID) -> Wish | None:
    """The newest wish of a person, whatever became of it."""
    row = await tx.fetchrow(
        f"SELECT {_COLUMNS} FROM deletion_wishes WHERE user_id = $1 ORDER BY id DESC LIMIT 1", user_id
    )
    return Wish(**row) if row else None


async def lock(tx: Tx, wish_id: int) -> Wish | None:
    """A wish, held until the end of the transaction."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM deletion_wishes WHERE id = $1 FOR UPDATE", wish_id)
    return Wish(**row) if row else None


async def update_taken_back(tx: Tx, wish_id: int, at: datetime, by: str) -> None:
    """Notes that a wish is none any more."""
    await tx.execute("UPDATE deletion_wishes SET taken_back_at = $2, taken_back_by = $3 WHERE id = $1", wish_id, at, by)


async def update_done(tx: Tx, wish_id: int, at: datetime) -> None:
    """Notes that nothing is left of what a wish was about."""
    await tx.execute("UPDATE deletion_wishes SET done_at = $2 WHERE id = $1", wish_id, at)


async def update_forgotten(tx: Tx, user_id: UserID, instead: str) -> None:
    """Forgets whose the wishes were that are done or taken back."""
    await tx.execute(
        f"UPDATE deletion_wishes SET user_id = $2 WHERE user_id = $1 AND NOT ({_STANDS})",
        user_id,
        instead,
    )


async def list_cases_of(tx: Tx, user_id: UserID) -> list[CaseID]:
    """The person's cases of which there is something left, the newest first."""
    rows = await tx.fetch(
        "SELECT id FROM cases WHERE user_id = $1 AND state <> 'purged' ORDER BY arrived_at DESC, id", user_id
    )
    return [row["id"] for row in rows]


async def list_covered(tx: Tx, now: datetime, before: datetime | None = None) -> list[Covered]:
    """The cases of all wishes that stand (and are due before a moment), the longest due first."""
    rows = await tx.fetch(
        f"""
        SELECT w.id AS wish_id, c.id AS case_id, w.asked_at, w.asked_by, w.reason, w.receipt, w.due_at,
               (SELECT h.code FROM case_holds h WHERE h.case_id = c.id AND h.released_at IS NULL
                   AND (h.ends_at IS NULL OR h.ends_at > $1) ORDER BY h.id LIMIT 1) AS code
          FROM deletion_wishes w JOIN cases c ON {_CASES}
         WHERE {_STANDS} AND ($2::timestamptz IS NULL OR w.due_at <= $2)
         ORDER BY w.due_at, w.id, c.arrived_at, c.id
        """,
        now,
        before,
    )
    return [Covered(**row) for row in rows]


async def list_fulfilled(tx: Tx) -> list[int]:
    """Wishes that stand though nothing is left of what they are about."""
    rows = await tx.fetch(
        f"SELECT w.id FROM deletion_wishes w WHERE {_STANDS} AND NOT EXISTS (SELECT 1 FROM cases c WHERE {_CASES})"
    )
    return [row["id"] for row in rows]
