"""What has been destroyed of which case, by kind, as counts: what the figures of the retention are made from."""

from datetime import datetime
from typing import Literal

from madoguchi.ids import CaseID
from madoguchi.storage.db import Tx

Kind = Literal["media", "keys", "content", "record", "metadata"]


async def count_since(tx: Tx, since: datetime) -> dict[str, tuple[int, int]]:
    """Kind → (how many cases, how many items) since a moment."""
    rows = await tx.fetch(
        "SELECT kind, count(*) AS cases, coalesce(sum(items), 0) AS items FROM case_destructions"
        " WHERE at >= $1 GROUP BY kind",
        since,
    )
    return {row["kind"]: (row["cases"], row["items"]) for row in rows}


async def insert(tx: Tx, case_id: CaseID, kind: Kind, at: datetime, items: int) -> None:
    """Notes that a kind of a case is destroyed; what comes to it later adds to it."""
    await tx.execute(
        """
        INSERT INTO case_destructions (case_id, kind, at, items) VALUES ($1, $2, $3, $4)
        ON CONFLICT (case_id, kind) DO UPDATE SET at = excluded.at, items = case_destructions.items + excluded.items
        """,
        case_id,
        kind,
        at,
        items,
    )
