"""The survey after a case, and what came of it."""

from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi.core.desk import survey as rules
from madoguchi.core.desk.survey import Month
from madoguchi.web.endpoint import Call

Answer = Annotated[int, Meta(ge=1, le=3)]


class Answers(msgspec.Struct, forbid_unknown_fields=True):
    """1 good, 2 in between, 3 bad; a question left out was not answered.

    heard: was somebody listening? mood: how is it now? again: would you come again?
    """

    heard: Answer | None = None
    mood: Answer | None = None
    again: Answer | None = None


class Thanks(msgspec.Struct, frozen=True):
    counted: int


class Survey(msgspec.Struct, frozen=True):
    """The newest month first."""

    months: list[Month]


async def post_survey(call: Call, body: Answers) -> Thanks:
    """Counts what the caller says of their case, which has ended; once, and not to be led back to them."""
    call.session.must_not_be_suspended()
    given = {name: value for name in rules.QUESTIONS if (value := getattr(body, name)) is not None}
    await rules.answer(call.ctx, call.tx, call.session.user_id, given)
    return Thanks(len(given))


async def get_survey(call: Call) -> Survey:
    """How often each answer was given, by month; where there are fewer than five, only that there are."""
    return Survey(await rules.by_month(call.ctx, call.tx))
