"""Guidance 案内: hotlines and other ways out, as the administrator keeps them."""

from datetime import date

import msgspec

from madoguchi.storage.db import Tx


class Hotline(msgspec.Struct, frozen=True):
    """One way out.

    hours: JSON of `core.desk.hours.Hours`, or None where the opening hours can't be known here
    checked_on: the day on which somebody of the desk last confirmed number and hours; None = never
    """

    id: str
    name: str
    name_easy: str
    phone: str
    url: str | None
    hours: str | None
    hours_text: str
    checked_on: date | None


async def list_guidance(tx: Tx) -> list[Hotline]:
    """All of it, in the administrator's order."""
    rows = await tx.fetch(
        """
        SELECT id, name, name_easy, phone, url, hours::text AS hours, hours_text, checked_on
        FROM guidance ORDER BY sort, id
        """
    )
    return [Hotline(**row) for row in rows]


async def update_checked(tx: Tx, guidance_id: str, on: date) -> bool:
    """Notes the day on which an entry was confirmed; False if there is none."""
    done = await tx.execute("UPDATE guidance SET checked_on = $2 WHERE id = $1", guidance_id, on)
    return bool(done == "UPDATE 1")
