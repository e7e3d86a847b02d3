"""Guidance 案内: hotlines and other ways out, as the administrator keeps them."""

from datetime import date

import msgspec

from madoguchi.storage.db import Tx


class Hotline(msgspec.Struct, frozen=True):
    """One way out.

    name_easy, name_en: in easy Japanese, and in English; empty = as `name`
    hours: JSON of `core.desk.hours.Hours`, or None where the opening hours can't be known here
    checked_on: the day on which somebody of the desk last confirmed number and hours; None = never
    """

    id: str
    name: str
    name_easy: str
    name_en: str
    phone: str
    url: str | None
    hours: str | None
    hours_text: str
    checked_on: date | None


async def list_guidance(tx: Tx) -> list[Hotline]:
    """All of it, in the administrator's order."""
    rows = await tx.fetch(
        """
        SELECT id, name, name_easy, name_en, phone, url, hours::text AS hours, hours_text, checked_on
        FROM guidance ORDER BY sort, id
        """
    )
    return [Hotline(**row) for row in rows]


async def upsert(tx: Tx, hotline: Hotline) -> None:
    """Sets an entry, whole; a new one goes to the end of the list."""
    await tx.execute(
        """
        INSERT INTO guidance (id, sort, name, name_easy, name_en, phone, url, hours, hours_text, checked_on)
        VALUES ($1, (SELECT coalesce(max(sort), 0) + 10 FROM guidance), $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9)
        ON CONFLICT (id) DO UPDATE SET name = $2, name_easy = $3, name_en = $4, phone = $5, url = $6,
            hours = $7::text::jsonb, hours_text = $8, checked_on = $9
        """,
        hotline.id, hotline.name, hotline.name_easy, hotline.name_en, hotline.phone, hotline.url, hotline.hours,
        hotline.hours_text, hotline.checked_on,
    )  # fmt: skip


async def lock_all(tx: Tx) -> list[str]:
    """The ids of all entries in their order; nobody else changes the list before the end of the transaction."""
    await tx.execute("LOCK TABLE guidance IN SHARE ROW EXCLUSIVE MODE")
    return [row["id"] for row in await tx.fetch("SELECT id FROM guidance ORDER BY sort, id")]


async def delete(tx: Tx, guidance_id: str) -> None:
    """Takes an entry away."""
    await tx.execute("DELETE FROM guidance WHERE id = $1", guidance_id)


async def update_order(tx: Tx, ids: list[str]) -> None:
    """Puts the entries into this order."""
    await tx.execute(
        """
        UPDATE guidance SET sort = wanted.place * 10
          FROM unnest($1::text[]) WITH ORDINALITY AS wanted (id, place) WHERE guidance.id = wanted.id
        """,
        ids,
    )


async def update_checked(tx: Tx, guidance_id: str, on: date) -> bool:
    """Notes the day on which an entry was confirmed; False if there is none."""
    done = await tx.execute("UPDATE guidance SET checked_on = $2 WHERE id = $1", guidance_id, on)
    return bool(done == "UPDATE 1")
