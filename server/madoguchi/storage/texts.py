"""Texts: what the operator says to young people in words of its own, in the place of the page's."""

from datetime import datetime

import msgspec

from madoguchi.storage.db import Tx
from madoguchi.storage.replies import Language


class Text(msgspec.Struct, frozen=True):
    """key: as in the catalogues of the young person's page (client-web/src/i18n/youth)."""

    key: str
    language: Language
    text: str
    changed_by: str
    changed_at: datetime


async def list_texts(tx: Tx) -> list[Text]:
    """All of them."""
    rows = await tx.fetch("SELECT key, language, text, changed_by, changed_at FROM texts ORDER BY key, language")
    return [Text(**row) for row in rows]


async def upsert(tx: Tx, text: Text) -> None:
    """Sets one, whole."""
    await tx.execute(
        """
        INSERT INTO texts (key, language, text, changed_by, changed_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (key, language) DO UPDATE SET text = $3, changed_by = $4, changed_at = $5
        """,
        text.key, text.language, text.text, text.changed_by, text.changed_at,
    )  # fmt: skip


async def delete(tx: Tx, key: str, language: Language) -> bool:
    """Takes one away; says whether it was there."""
    row = await tx.fetchrow("DELETE FROM texts WHERE key = $1 AND language = $2 RETURNING key", key, language)
    return row is not None
