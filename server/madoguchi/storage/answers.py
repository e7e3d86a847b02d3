"""What young people answer while they wait: codes of closed lists, never words. They go with the case's content."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from madoguchi.ids import CaseID
from madoguchi.storage.db import Tx

Topic = Literal[
    "friends", "bullying", "studies", "teachers", "family", "body", "mental", "suicidal", "sexuality", "online",
    "abuse", "other",
]  # fmt: skip
OwnSchool = Literal["elementary", "junior_high", "high", "special_needs", "college", "working", "neither"]


class Answers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """topics: what it is about; school, grade (1 to 6): None where they did not say."""

    topics: Annotated[list[Topic], Meta(max_length=12)] = []
    school: OwnSchool | None = None
    grade: Annotated[int, Meta(ge=1, le=6)] | None = None

    @property
    def given(self) -> bool:
        """Whether anything was said; without, the questions were put away."""
        return bool(self.topics) or self.school is not None


async def get_answers(tx: Tx, case_id: CaseID) -> Answers | None:
    """What the person of a case answered; None while the questions have been neither answered nor put away."""
    row = await tx.fetchrow("SELECT topics, school, grade FROM case_answers WHERE case_id = $1", case_id)
    return Answers(**row) if row else None


async def put_answers(tx: Tx, case_id: CaseID, answers: Answers) -> None:
    """Keeps the answers of a case in place of what stood there."""
    await tx.execute(
        """
        INSERT INTO case_answers (case_id, topics, school, grade) VALUES ($1, $2, $3, $4)
        ON CONFLICT (case_id) DO UPDATE
            SET topics = excluded.topics, school = excluded.school, grade = excluded.grade
        """,
        case_id,
        answers.topics,
        answers.school,
        answers.grade,
    )
