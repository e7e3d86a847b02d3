"""What has been destroyed of which case, by kind, as counts: what the figures of the retention are made from."""

from datetime import datetime
from typing import Literal

from madoguchi.ids import CaseID
from madoguchi.storage.db import Tx

Kind = Literal["media", "keys", "content", "record", "metadata"]


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
