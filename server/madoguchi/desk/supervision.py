"""Supervision: how the shift stands, and what people have reported."""

import re
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from madoguchi import errors
from madoguchi.core.desk import care, presence, reports, shift
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.cases import Part, Risk, State
from madoguchi.storage.rooms import Report, ReportKind
from madoguchi.web.endpoint import Call


class ReportsQuery(msgspec.Struct):
    """before: the id of a report, to go on from an earlier answer; unseen: only what nobody has looked into."""

    before: Annotated[int, Meta(ge=1)] = 2**53 - 1
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    unseen: bool = False


class Reports(msgspec.Struct, frozen=True):
    reports: list[Report]


class ReportMine(msgspec.Struct, forbid_unknown_fields=True):
    """event_id: of a message that it is about."""

    kind: ReportKind
    event_id: Annotated[str, Meta(max_length=255)] | None = None


class Reported(msgspec.Struct, frozen=True):
    kind: ReportKind


class Seen(msgspec.Struct, frozen=True):
    id: int


class Member(msgspec.Struct, frozen=True):
    """Who looks after a case, or helps in it."""

    user_id: str
    name: str
    part: Part


class BoardCase(msgspec.Struct, frozen=True):
    """Moments are milliseconds. unanswered_since: of the young person's first message that nobody has answered; team:
    the name of the one that it waits for, if it was handed to one."""

    case_id: str
    channel: str
    mode: str
    state: State
    risk: Risk
    repeat: bool
    waiting_since: int
    accepted_at: int | None
    unanswered_since: int | None
    team: str | None
    staff: list[Member]


class BoardStaff(msgspec.Struct, frozen=True):
    """load: running cases that they look after; away: on a break; dangerous: cases of high risk that came into their
    hands within the last seven days; debrief_asked_at: since when they would like to talk about one (milliseconds)."""

    user_id: str
    name: str
    role: str
    present: bool
    away: bool
    load: int
    capacity: int
    dangerous: int
    debrief_asked_at: int | None


class BoardHour(msgspec.Struct, frozen=True):
    """left: before anybody came; closed: ended by either side."""

    begins: int
    arrived: int
    accepted: int
    left: int
    closed: int


class Board(msgspec.Struct, frozen=True):
    """cases: the most dangerous first; hours: today, in Japan; fewest_present: fewer staff than that is a warning;
    unanswered_minutes: whoever waits longer for an answer is shown."""

    at: int
    open: bool
    intake: Literal["open", "paused"]
    cases: list[BoardCase]
    staff: list[BoardStaff]
    hours: list[BoardHour]
    staff_present: int
    fewest_present: int
    unanswered_minutes: int


class Debriefed(msgspec.Struct, frozen=True):
    user_id: str


class Intake(msgspec.Struct):
    """paused: no new cases are taken; people are shown the guidance."""

    intake: Literal["open", "paused"]


async def get_board(call: Call) -> Board:
    """Who waits and for how long, who talks with whom, who is unanswered, what is dangerous, and how today has gone."""
    now = await shift.look(call.ctx, call.tx)
    return Board(
        at=_ms(now.at),
        open=now.open,
        intake="paused" if now.intake == "paused" else "open",
        cases=[
            BoardCase(
                case_id=case.case_id,
                channel=case.channel,
                mode=case.mode,
                state=case.state,
                risk=case.risk,
                repeat=case.repeat,
                waiting_since=_ms(case.waiting_since),
                accepted_at=None if case.accepted_at is None else _ms(case.accepted_at),
                unanswered_since=case.unanswered_at,
                team=now.reach.name(case.team),
                staff=[Member(each.user_id, each.name, each.part) for each in now.holders.get(case.case_id, [])],
            )
            for case in now.cases
        ],
        staff=[
            BoardStaff(
                user_id=each.user_id,
                name=each.name,
                role=each.role,
                present=presence.is_present(each, now.at),
                away=each.away_since is not None,
                load=now.load(each.user_id),
                capacity=each.capacity,
                dangerous=now.exposure.get(each.user_id, 0),
                debrief_asked_at=None if each.debrief_asked_at is None else _ms(each.debrief_asked_at),
            )
            for each in now.staff
        ],
        hours=[BoardHour(_ms(each.begins), each.arrived, each.accepted, each.left, each.closed) for each in now.hours],
        staff_present=len(now.present),
        fewest_present=shift.FEWEST_PRESENT,
        unanswered_minutes=now.unanswered_minutes,
    )


async def debriefed(call: Call, user_id: str) -> Debriefed:
    """Says that the caller has talked with a colleague who would like to talk about a hard case."""
    await care.done(call.tx, user_id, call.session.user_id)
    return Debriefed(user_id)


async def put_intake(call: Call, body: Intake) -> Intake:
    """Pauses the taking in of new cases, or goes on with it."""
    await shift.set_intake(call.ctx, call.tx, body.intake, call.session.user_id)
    return body


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


async def list_reports(call: Call, query: ReportsQuery) -> Reports:
    """What was reported, the newest first: by whom, where, about whom; not what is about the caller. Never the words:
    the database holds none."""
    viewer = call.session.user_id
    return Reports(await stored_rooms.list_reports(call.tx, viewer, query.before, query.limit, unseen=query.unseen))


async def report_mine(call: Call, body: ReportMine) -> Reported:
    """Reports the caller's case to those who lead the desk: which of a few things it is, never words."""
    await reports.report(call.ctx, call.tx, call.session.user_id, body.kind, body.event_id)
    return Reported(body.kind)


async def see_report(call: Call, report_id: str) -> Seen:
    """Says that the caller has looked into a report."""
    if not re.fullmatch("[1-9][0-9]{0,15}", report_id):
        raise errors.NotFound("There is no such report.")
    await reports.see(call.ctx, call.tx, int(report_id), call.session.user_id)
    return Seen(int(report_id))
