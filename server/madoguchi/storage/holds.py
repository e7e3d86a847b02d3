"""Legal holds 保存命令: what keeps a case from being purged, and until when."""

from datetime import datetime
from typing import Literal

import msgspec

from madoguchi.ids import CaseID
from madoguchi.storage.db import Tx

Code = Literal["court", "prosecution", "board", "own_wish"]


class Hold(msgspec.Struct, frozen=True):
    """reference: the number of a file elsewhere; ends_at: from when on it holds no longer by itself, if ever."""

    id: int
    case_id: str
    code: Code
    reference: str
    held_at: datetime
    held_by: str
    ends_at: datetime | None


_COLUMNS = "id, case_id, code, reference, held_at, held_by, ends_at"
_STANDING = "released_at IS NULL AND (ends_at IS NULL OR ends_at > $1)"


async def insert(
    tx: Tx, case_id: CaseID, code: Code, reference: str, at: datetime, by: str, ends_at: datetime | None
) -> int:
    """Holds a case. Gives the hold's number."""
    number: int = await tx.fetchval(
        """
        INSERT INTO case_holds (case_id, code, reference, held_at, held_by, ends_at)
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING id
        """,
        case_id,
        code,
        reference,
        at,
        by,
        ends_at,
    )
    return number


async def update_released(tx: Tx, number: int, at: datetime, by: str) -> None:
    """Notes that a hold is over, and who ended it."""
    await tx.execute("UPDATE case_holds SET released_at = $2, released_by = $3 WHERE id = $1", number, at, by)


async def list_standing(tx: Tx, at: datetime, case_id: CaseID | None = None) -> list[Hold]:
    """The holds that stand at a moment, the oldest first; of one case, or of all."""
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM case_holds WHERE {_STANDING} AND ($2::text IS NULL OR case_id = $2) ORDER BY id",
        at,
        case_id,
    )
    return [Hold(**row) for row in rows]
