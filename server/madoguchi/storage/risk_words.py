"""Risk words: what the staff's browsers look for in what a young person writes. What they find never comes here."""

from typing import Literal

import msgspec

from madoguchi.storage.db import Tx

Level = Literal["watch", "high", "urgent"]
Language = Literal["ja", "en"]


class RiskWord(msgspec.Struct, frozen=True):
    """level: what the word suggests where it stands."""

    level: Level
    language: Language
    text: str


async def list_risk_words(tx: Tx) -> list[RiskWord]:
    """The whole list, in the administrator's order."""
    rows = await tx.fetch("SELECT level, language, text FROM risk_words ORDER BY sort, language, text")
    return [RiskWord(**row) for row in rows]


async def lock_all(tx: Tx) -> None:
    """Nobody else changes the list before the end of the transaction."""
    await tx.execute("LOCK TABLE risk_words IN SHARE ROW EXCLUSIVE MODE")


async def replace_all(tx: Tx, words: list[RiskWord]) -> None:
    """Puts this list in the place of the one that is there."""
    await tx.execute("DELETE FROM risk_words")
    await tx.execute(
        """
        INSERT INTO risk_words (level, language, text, sort)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY
        """,
        [word.level for word in words],
        [word.language for word in words],
        [word.text for word in words],
    )
