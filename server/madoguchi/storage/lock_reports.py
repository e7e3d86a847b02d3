"""Pages that refused to send, or gave a device no key, and why: a word of a list and of whom, never what was said."""

from datetime import datetime
from typing import Literal

import msgspec

from madoguchi.ids import CaseID, UserID
from madoguchi.storage.db import Tx

# Faults of the roster; then of who is in the room, and by which keys.
Kind = Literal[
    "roster_missing", "roster_unverified", "roster_back", "roster_key", "stranger", "identity", "own", "device"
]


class LockReport(msgspec.Struct, frozen=True):
    """about: a user id; empty where it is about the roster, or about somebody whom this server does not know.
    by_person: reported by the young person's page, not by the staff's."""

    id: int
    at: datetime
    case_id: CaseID
    kind: Kind
    about: UserID
    by_person: bool


async def insert(tx: Tx, case_id: CaseID, reporter: UserID, kind: Kind, about: str, at: datetime) -> bool:
    """Keeps a report; False for one that is known."""
    done: str = await tx.execute(
        """
        INSERT INTO lock_reports (at, case_id, reporter, kind, about) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING
        """,
        at, case_id, reporter, kind, about,
    )  # fmt: skip
    return done == "INSERT 0 1"


async def count_of(tx: Tx, case_id: CaseID, reporter: UserID) -> int:
    """How many reports somebody has made in a case."""
    found: int = await tx.fetchval(
        "SELECT count(*) FROM lock_reports WHERE case_id = $1 AND reporter = $2", case_id, reporter
    )
    return found


async def list_newest(tx: Tx, most: int) -> list[LockReport]:
    """The newest first."""
    rows = await tx.fetch(
        """
        SELECT r.id, r.at, r.case_id, r.kind, r.about,
               EXISTS (SELECT 1 FROM accounts a WHERE a.user_id = r.reporter AND a.kind NOT IN ('staff', 'keeper'))
               AND NOT EXISTS (SELECT 1 FROM staff s WHERE s.user_id = r.reporter) AS by_person
          FROM lock_reports r ORDER BY r.id DESC LIMIT $1
        """,
        most,
    )
    return [LockReport(**row) for row in rows]
