"""What the daily examinations found last: a name, when, and how much is wrong (0: nothing)."""

from datetime import datetime

import msgspec

from madoguchi.storage.db import Tx


class Check(msgspec.Struct, frozen=True):
    """found: how many things are wrong."""

    name: str
    at: datetime
    found: int


async def put(tx: Tx, check: Check) -> None:
    """Keeps what an examination found, in the place of what it found before."""
    await tx.execute(
        """
        INSERT INTO checks (name, at, found) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO UPDATE SET at = excluded.at, found = excluded.found
        """,
        check.name,
        check.at,
        check.found,
    )


async def list_checks(tx: Tx) -> list[Check]:
    """The last finding of each."""
    return [Check(**row) for row in await tx.fetch("SELECT name, at, found FROM checks ORDER BY name")]
