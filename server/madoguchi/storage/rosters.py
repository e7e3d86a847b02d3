"""The rosters that the desk's operator has signed, the newest of which counts."""

from datetime import datetime

from madoguchi.storage.db import Tx


async def get_newest(tx: Tx) -> str | None:
    """The newest roster as JSON, or None while there is none."""
    found: str | None = await tx.fetchval("SELECT document FROM rosters ORDER BY number DESC LIMIT 1")
    return found


async def insert_roster(tx: Tx, number: int, document: str, at: datetime, by: str) -> bool:
    """Adds a roster; says whether there was none of that number or a later one."""
    await tx.execute("LOCK TABLE rosters IN SHARE ROW EXCLUSIVE MODE")
    done: str = await tx.execute(
        """
        INSERT INTO rosters (number, document, stored_at, stored_by)
        SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT 1 FROM rosters WHERE number >= $1)
        """,
        number,
        document,
        at,
        by,
    )
    return done == "INSERT 0 1"
