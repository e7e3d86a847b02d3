"""The shift as whoever leads it sees it, and what they may do for all of it at once."""

from datetime import datetime

import msgspec

from madoguchi.context import Context
from madoguchi.core.desk import care, case_room, hours, presence
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.teams import Reach
from madoguchi.storage import shift as stored
from madoguchi.storage import staff as stored_staff
from madoguchi.storage import stream
from madoguchi.storage.db import Tx
from madoguchi.storage.shift import Holder, Hour, ShiftCase
from madoguchi.storage.staff import Staff
from madoguchi.storage.stream import Note

# MHLW asks for two or more members of staff on every shift.
FEWEST_PRESENT = 2


class Shift(msgspec.Struct, frozen=True):
    """How the shift stands at a moment. hours: today in Japan, from midnight on; exposure: how many cases of
    high risk came into whose hands of late (care.py)."""

    at: datetime
    cases: list[ShiftCase]
    holders: dict[str, list[Holder]]
    staff: list[Staff]
    reach: Reach
    intake: str
    open: bool
    unanswered_minutes: int
    hours: list[Hour]
    exposure: dict[str, int]

    def load(self, user_id: str) -> int:
        """How many cases somebody looks after that take a place of their capacity."""
        resting = {case.case_id for case in self.cases if case.state == "resting"}
        return sum(
            each.user_id == user_id and each.part == "counsellor"
            for case_id, held in self.holders.items()
            if case_id not in resting
            for each in held
        )

    @property
    def present(self) -> list[Staff]:
        """Who may take cases and is there."""
        return [each for each in self.staff if presence.is_present(each, self.at)]


async def look(ctx: Context, tx: Tx) -> Shift:
    """The shift as it is now."""
    at = ctx.clock.now()
    settings = await desk_settings.get(tx)
    people = await stored_staff.list_staff(tx)
    holders: dict[str, list[Holder]] = {}
    for holder in await stored.list_holders(tx):
        holders.setdefault(holder.case_id, []).append(holder)
    return Shift(
        at=at,
        cases=await stored.list_cases(tx, case_room.keeper_id(ctx)),
        holders=holders,
        staff=[each for each in people if presence.may_counsel(each)],
        reach=Reach(settings, people, at),
        intake=settings.intake,
        open=settings.hours.open_at(at),
        unanswered_minutes=settings.unanswered_minutes,
        hours=await stored.list_hours(tx, hours.midnight(at), at),
        exposure=await care.exposure(tx, at),
    )


async def set_intake(ctx: Context, tx: Tx, intake: str, by: str) -> None:
    """Pauses the taking in of new cases, or goes on with it. Who waits already goes on waiting."""
    await desk_settings.change(tx, "intake", intake, by, ctx.clock.now())
    await stream.publish(tx, Note("desk", "settings"))
