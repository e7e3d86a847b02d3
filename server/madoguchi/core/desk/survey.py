"""Three taps after a case: asked of the young person, kept as counts, shown where they are enough to hide in."""

from datetime import date, timedelta

import msgspec

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.desk import hours, small_cells
from madoguchi.core.desk.small_cells import Count
from madoguchi.ids import UserID
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import survey as stored
from madoguchi.storage.db import Tx
from madoguchi.storage.survey import Question

QUESTIONS: tuple[Question, ...] = ("heard", "mood", "again")
_MONTHS = 12


class Month(msgspec.Struct, frozen=True):
    """month: `YYYY-MM`. given: for each question how often 1 (good), 2, 3 (bad) was answered; None for too few, and
    among them for those of which few would be told."""

    month: str
    given: dict[str, list[Count] | None]


async def answer(ctx: Context, tx: Tx, user_id: UserID, answers: dict[Question, int]) -> None:
    """Counts what a young person says of their newest case, once. Raises NotFound, Conflict for one that has not ended
    or has been answered for, Invalid for no answer at all."""
    if not answers:
        raise errors.Invalid("There is no answer.")
    found = await stored_cases.get_latest_case(tx, user_id)
    if found is None:
        raise errors.NotFound("You have no case here.")
    if found.state != "closed":
        raise errors.Conflict("This case has not ended.")
    if not await stored.mark_surveyed(tx, found.id):
        raise errors.Conflict("You have answered already. Thank you!")
    await stored.add(tx, ctx.clock.now().astimezone(hours.TOKYO).date().replace(day=1), answers)


async def by_month(ctx: Context, tx: Tx) -> list[Month]:
    """The last twelve months that have answers, the newest first."""
    today = ctx.clock.now().astimezone(hours.TOKYO).date()
    return await within(tx, (today.replace(day=1) - timedelta(days=_MONTHS * 31)).replace(day=1), today.replace(day=1))


async def within(tx: Tx, first: date, last: date) -> list[Month]:
    """The months that begin in a span of days and have answers, the newest first."""
    found: dict[date, dict[str, list[int]]] = {}
    for count in await stored.list_counts(tx, first):
        if count.month <= last:
            given = found.setdefault(count.month, {question: [0, 0, 0] for question in QUESTIONS})
            given[count.question][count.answer - 1] = count.given
    return [
        Month(f"{month:%Y-%m}", {name: _told(each) for name, each in given.items()}) for month, given in found.items()
    ]


def _told(answers: list[int]) -> list[Count] | None:
    told = small_cells.partition(answers)
    return None if sum(answers) < small_cells.FEWEST or told == [None] * len(told) else told
