"""What young people said of their cases afterwards, as counts by month. Nothing leads back to a case."""

from collections.abc import Mapping
from datetime import date
from typing import Literal

import msgspec

from madoguchi.storage.db import Tx

Question = Literal["heard", "mood", "again"]


class Count(msgspec.Struct, frozen=True):
    """How often an answer was given in a month. answer: 1 good, 2 in between, 3 bad."""

    month: date
    question: Question
    answer: int
    given: int


async def mark_surveyed(tx: Tx, case_id: str) -> bool:
    """Notes that a case has been answered for; False if it had been already."""
    done = await tx.execute("UPDATE cases SET surveyed = true WHERE id = $1 AND NOT surveyed", case_id)
    return bool(done == "UPDATE 1")


async def add(tx: Tx, month: date, answers: Mapping[Question, int]) -> None:
    """Counts answers."""
    await tx.executemany(
        """
        INSERT INTO survey (month, question, answer, given) VALUES ($1, $2, $3, 1)
        ON CONFLICT (month, question, answer) DO UPDATE SET given = survey.given + 1
        """,
        [(month, question, answer) for question, answer in sorted(answers.items())],
    )


async def list_counts(tx: Tx, since: date) -> list[Count]:
    """The counts of every month from `since` on, the newest first."""
    rows = await tx.fetch(
        "SELECT month, question, answer, given FROM survey WHERE month >= $1 ORDER BY month DESC, question, answer",
        since,
    )
    return [Count(**row) for row in rows]
