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
    """Keeps what an examination found, in the place of what it found before. What is mended counts as not told of: it
    is told again if it comes back."""
    await tx.execute(
        """
        INSERT INTO checks (name, at, found) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO UPDATE SET at = excluded.at, found = excluded.found,
                                         told = least(checks.told, excluded.found)
        """,
        check.name,
        check.at,
        check.found,
    )


async def list_untold(tx: Tx) -> list[Check]:
    """Those that found more than the staff room has been told of."""
    rows = await tx.fetch("SELECT name, at, found FROM checks WHERE found > told ORDER BY name")
    return [Check(**row) for row in rows]


async def update_told(tx: Tx, name: str, found: int) -> None:
    """Notes that the staff room was told that so much was found."""
    await tx.execute("UPDATE checks SET told = $2 WHERE name = $1", name, found)


async def list_checks(tx: Tx) -> list[Check]:
    """The last finding of each."""
    return [Check(**row) for row in await tx.fetch("SELECT name, at, found FROM checks ORDER BY name")]
