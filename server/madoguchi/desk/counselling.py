"""Counselling: the queue, and what a counsellor does with a case."""

from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi import errors
from madoguchi.core.desk import care, cases, channels, presence, queue, resting, side_room, staff, team, teams
from madoguchi.core.desk import settings as desk_settings
from madoguchi.desk.arrival import WaitQuery
from madoguchi.desk.permissions import caller
from madoguchi.storage import cases as stored
from madoguchi.storage import staff as stored_staff
from madoguchi.storage.answers import Answers
from madoguchi.storage.cases import Risk
from madoguchi.web.endpoint import Call


class WaitingCase(msgspec.Struct, frozen=True):
    """locked: no app stands in between; waiting_since: milliseconds; team: name of the one that it was handed to;
    answers: what the person said on the page while they waited, None for nothing."""

    case_id: str
    channel: str
    mode: str
    waiting_since: int
    place: int
    repeat: bool
    locked: bool
    risk: Risk
    team: str | None
    answers: Answers | None


class OwnCase(msgspec.Struct, frozen=True):
    """user_id: of the young person, or of the ghost that stands for them; ghost: the young person is on an app.

    move: where the person stands on the way from their app to the page: `asked`, `notified`, `opened`, `moved`,
    `declined`, `unreachable`, or None; came_by: the app that they moved from. handing_over: given to a colleague who
    has not come in yet, or to a team of this name; helping: called in, or joined; a colleague looks after it;
    side_room_id: where its staff talk among themselves, once somebody has needed that; language: of the page on
    which the person arrived, if known; answers: what they said on it while they waited, None for nothing;
    previous: earlier cases of theirs may be looked at.
    """

    case_id: str
    room_id: str
    user_id: str
    channel: str
    mode: str
    state: str
    accepted_at: int
    ghost: bool
    handing_over: bool
    risk: Risk
    helping: bool
    move: str | None
    came_by: str | None
    side_room_id: str | None
    team: str | None
    language: str | None
    answers: Answers | None
    previous: bool


class Queue(msgspec.Struct, frozen=True):
    """waiting: in their order; those that were handed to a team, for its members, for whoever leads the shift, and for
    everybody while nobody of it is there."""

    pos: int
    waiting: list[WaitingCase]
    mine: list[OwnCase]
    staff_present: int


class Me(msgspec.Struct, frozen=True):
    """away: on a break; debrief: would like to talk about a hard case with whoever leads the shift."""

    user_id: str
    name: str
    role: str
    capacity: int
    away: bool
    debrief: bool


class Away(msgspec.Struct):
    """away: whether the caller is on a break."""

    away: bool


class Debrief(msgspec.Struct):
    """wanted: whether the caller would like to talk about a hard case."""

    wanted: bool


class CallIn(msgspec.Struct):
    to: Annotated[str, Meta(max_length=255)]


class SetRisk(msgspec.Struct):
    """Set by a human; why is said among staff, never here."""

    risk: Risk


class Colleague(msgspec.Struct, frozen=True):
    """Somebody to whom a case can be handed. free: how many more cases they may take."""

    user_id: str
    name: str
    role: str
    present: bool
    free: int


class Colleagues(msgspec.Struct, frozen=True):
    """teams: to which a case can be handed instead."""

    colleagues: list[Colleague]
    teams: list[teams.Shown]


class Taken(msgspec.Struct, frozen=True):
    """A case that was accepted; its room opens as soon as the keeper has invited the counsellor."""

    case_id: str
    room_id: str


class SideRoom(msgspec.Struct, frozen=True):
    """room_id: of the staff's own room, which opens as soon as the keeper has invited the caller."""

    case_id: str
    room_id: str


class Changed(msgspec.Struct, frozen=True):
    """How a case stands now."""

    case_id: str
    room_id: str
    state: str


class HandOver(msgspec.Struct):
    """Either `to` a colleague or to a `team`. reason: why, in a few words; never what was said, for it is kept
    unencrypted: what the next one has to know is said in the side room."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    to: Annotated[str, Meta(max_length=255)] | None = None
    team: Annotated[str, Meta(max_length=40)] | None = None


async def get_me(call: Call) -> Me:
    """Who the caller is at the desk."""
    me = await caller(call, call.tx)
    return Me(me.user_id, me.name, me.role, me.capacity, me.away_since is not None, me.debrief_asked_at is not None)


async def put_away(call: Call, body: Away) -> Me:
    """Takes a break, or comes back. While away the caller gets no new cases; theirs stay in their hands."""
    await staff.set_away(call.ctx, call.tx, call.session.user_id, body.away)
    return await get_me(call)


async def put_debrief(call: Call, body: Debrief) -> Me:
    """Says to whoever leads the shift that the caller would like to talk about a hard case, or would not any more."""
    await care.ask(call.ctx, call.tx, call.session.user_id, body.wanted)
    return await get_me(call)


async def get_queue(call: Call, query: WaitQuery) -> Queue:
    """Who waits, and the caller's own cases; with `after` as soon as something changes. Asking says: I am here."""
    ctx = call.ctx
    async with ctx.db.transaction() as tx:
        await staff.seen(ctx, tx, await caller(call, tx))
    board = await queue.next_board(ctx, query.after, query.seconds) if query.after is not None else None
    async with ctx.db.transaction() as tx:
        # Somebody may have been disabled while they waited.
        me = await caller(call, tx)
        if board is None:
            board = await queue.board(ctx, tx)
        charges = await stored.list_charges(tx, call.session.user_id)
        settings = await desk_settings.get(tx)
        reach = await teams.reach(tx, settings, ctx.clock.now())
    return Queue(
        pos=board.pos,
        waiting=[
            _waiting(case, place, reach.name(case.team))
            for place, case in enumerate(board.waiting, 1)
            if reach.includes(me, case.team)
        ],
        mine=[_own(charge, reach.name(charge.team), settings.shows_previous) for charge in charges],
        staff_present=board.staff_present,
    )


async def list_colleagues(call: Call) -> Colleagues:
    """To whom a case can be handed, those who are there first."""
    now = call.ctx.clock.now()
    people = await stored_staff.list_staff(call.tx)
    found = [
        Colleague(
            user_id=person.user_id,
            name=person.name,
            role=person.role,
            present=presence.is_present(person, now),
            free=max(0, person.capacity - await stored.count_charges(call.tx, person.user_id)),
        )
        for person in people
        if presence.may_counsel(person) and person.user_id != call.session.user_id
    ]
    return Colleagues(
        colleagues=sorted(found, key=lambda colleague: (not colleague.present, colleague.free == 0)),
        teams=teams.shown(await desk_settings.get(call.tx), people, now),
    )


async def accept_case(call: Call, case_id: str) -> Taken:
    """Takes a case out of the queue; of two who do so together exactly one gets it."""
    case = await cases.accept(call.ctx, call.tx, case_id, call.session.user_id)
    return Taken(case.id, case.room_id)


async def hand_over_case(call: Call, case_id: str, body: HandOver) -> Changed:
    """Gives a case to a colleague, or to whoever of a team takes it; they get the history from the keeper."""
    me = await caller(call, call.tx)
    if (body.to is None) == (body.team is None):
        raise errors.Invalid("A case is handed to a colleague or to a team.")
    if body.team is not None:
        case = await team.hand_over_to_team(call.ctx, call.tx, case_id, me, body.team, body.reason)
    else:
        case = await cases.hand_over(call.ctx, call.tx, case_id, me, body.to or "", body.reason)
    return _changed(case)


async def call_in(call: Call, case_id: str, body: CallIn) -> Changed:
    """Asks a colleague to help in a case; they come in beside whoever looks after it."""
    return _changed(await team.call_in(call.ctx, call.tx, case_id, await caller(call, call.tx), body.to))


async def join_case(call: Call, case_id: str) -> Changed:
    """Comes into a case openly, as whoever leads the shift may."""
    return _changed(await team.join(call.ctx, call.tx, case_id, await caller(call, call.tx)))


async def give_case_back(call: Call, case_id: str) -> Changed:
    """Takes a case out of the caller's hands: back into the queue, unless somebody else is in it."""
    return _changed(await team.give_back(call.ctx, call.tx, case_id, await caller(call, call.tx)))


async def rest_case(call: Call, case_id: str) -> Changed:
    """Lays a case to rest: the person has left and may return. It takes no place of the caller's capacity meanwhile."""
    return _changed(await resting.rest(call.ctx, call.tx, case_id, await caller(call, call.tx)))


async def enter_side_room(call: Call, case_id: str) -> SideRoom:
    """Comes into the staff's own room of a case, running or ended. One leaves it as any Matrix room."""
    room_id = await side_room.enter(call.ctx, call.tx, case_id, await caller(call, call.tx))
    return SideRoom(case_id, room_id)


async def put_risk(call: Call, case_id: str, body: SetRisk) -> Changed:
    """Says how dangerous a case stands."""
    return _changed(await team.set_risk(call.ctx, call.tx, case_id, await caller(call, call.tx), body.risk))


async def close_case(call: Call, case_id: str) -> Changed:
    """Ends a case; its room stays readable."""
    return _changed(await cases.close(call.ctx, call.tx, case_id, await caller(call, call.tx)))


def _changed(case: stored.Case) -> Changed:
    return Changed(case.id, case.room_id, case.state)


def _waiting(case: stored.Running, place: int, team_name: str | None) -> WaitingCase:
    return WaitingCase(
        case_id=case.case_id,
        channel=case.channel,
        mode=case.mode,
        waiting_since=round(case.waiting_since.timestamp() * 1000),
        place=place,
        repeat=case.repeat,
        locked=case.channel in channels.OWN,
        risk=case.risk,
        team=team_name,
        answers=_said(case.answers),
    )


def _own(charge: stored.Charge, team_name: str | None, shows_previous: bool) -> OwnCase:
    theirs = charge.part == "counsellor" and charge.until is None
    return OwnCase(
        case_id=charge.case_id,
        room_id=charge.room_id,
        user_id=charge.user_id,
        channel=charge.channel,
        mode=charge.mode,
        state=charge.state,
        accepted_at=round(charge.accepted_at.timestamp() * 1000),
        ghost=charge.channel not in channels.OWN,
        handing_over=charge.until is not None,
        risk=charge.risk,
        helping=charge.part == "helper",
        move=charge.move,
        came_by=charge.came_by,
        side_room_id=charge.side_room_id,
        team=team_name,
        language=charge.language,
        answers=_said(charge.answers),
        previous=shows_previous and theirs and charge.repeat and charge.previous_shown is True,
    )


def _said(answers: Answers | None) -> Answers | None:
    return answers if answers is not None and answers.given else None
