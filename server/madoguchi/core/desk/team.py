"""Who looks after a case together: colleagues are called in, step out, give it back; and how dangerous it stands.

Everybody in a case's room is visible there, and comes in by the keeper's invitation, with the history.
"""

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.desk import case_room, cases, roster, teams
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.presence import may_counsel
from madoguchi.ids import CaseID, UserID
from madoguchi.storage import cases as stored
from madoguchi.storage import side_rooms
from madoguchi.storage import staff as stored_staff
from madoguchi.storage.cases import Case, Risk
from madoguchi.storage.db import Tx
from madoguchi.storage.staff import Staff


async def call_in(ctx: Context, tx: Tx, case_id: CaseID, by: Staff, to: UserID) -> Case:
    """Asks a colleague to help in a case. It takes no place of their capacity. Twice does no more.

    Raises Invalid for somebody who takes no cases, Conflict for a case that is not talked in, NotAllowed for a case
    that is not theirs, NotFound.
    """
    helper = await stored_staff.lock_staff(tx, to)
    if helper is None or not may_counsel(helper):
        raise errors.Invalid("There is no such colleague who takes cases.")
    await roster.vouch(ctx, tx, to, helper.name)
    case, holders = await cases.lock_of(tx, case_id, by)
    return await _add(ctx, tx, case, holders, to, by.user_id, "called_in")


async def hand_over_to_team(ctx: Context, tx: Tx, case_id: CaseID, by: Staff, team_id: str, reason: str) -> Case:
    """Gives a case from the hands of `by` (or, done by a supervisor, of whoever looks after it) to a team: it waits
    again, at its old place, for whoever of the team takes it. Helpers stay, and so does who handed over, until then.

    reason: why, never what was said. Raises Invalid, Conflict for a case that is not being talked in, NotAllowed for a
    case that is not theirs, NotFound.
    """
    cases.check_reason(reason)
    at = ctx.clock.now()
    settings = await desk_settings.get(tx)
    if all(team.id != team_id for team in teams.shown(settings, await stored_staff.list_staff(tx), at)):
        raise errors.Invalid("There is no such team with somebody who takes cases.")
    case, holders = await cases.lock_of(tx, case_id, by)
    if case.state not in ("talking", "resting"):
        raise errors.Conflict("Nobody looks after this case now.")
    leaving = [by.user_id]
    if by.user_id not in holders:
        leaving = [who for who in holders if await stored.get_part(tx, case_id, who) == "counsellor"]
    for user_id in leaving:
        await stored.update_counsellor_ended(tx, case_id, user_id, at, teams.as_heir(team_id))
    await stored.update_handed_to_team(tx, case_id, team_id)
    await stored.insert_step(tx, case_id, at, "handed_over", by.user_id, teams.as_heir(team_id), reason.strip())
    await cases.tell(ctx, tx, case_id)
    return await cases.existing(tx, case_id)


async def join(ctx: Context, tx: Tx, case_id: CaseID, by: Staff) -> Case:
    """Comes into a case openly, as whoever leads the shift may. Twice does no more. Raises Conflict, NotOnRoster,
    NotFound."""
    await stored_staff.lock_staff(tx, by.user_id)
    await roster.vouch(ctx, tx, by.user_id, by.name)
    case, holders = await cases.lock_of(tx, case_id, by)
    return await _add(ctx, tx, case, holders, by.user_id, by.user_id, "joined")


async def give_back(ctx: Context, tx: Tx, case_id: CaseID, by: Staff) -> Case:
    """Takes a case out of one's own hands: back into the queue, unless somebody else is in it. Raises Conflict for a
    case that is not in one's hands, NotFound."""
    await stored_staff.lock_staff(tx, by.user_id)
    case, holders = await cases.lock_of(tx, case_id, by)
    if not case.running or by.user_id not in holders:
        raise errors.Conflict("This case is not in your hands.")
    await cases.release(ctx, tx, by.user_id, [case], by=by.user_id)
    return await cases.existing(tx, case_id)


async def set_risk(ctx: Context, tx: Tx, case_id: CaseID, by: Staff, risk: Risk) -> Case:
    """Says how dangerous a running case stands. Raises Conflict for one that has ended, NotAllowed, NotFound."""
    case, _ = await cases.lock_of(tx, case_id, by)
    if not case.running:
        raise errors.Conflict("This case has ended.")
    if case.risk == risk:
        return case
    at = ctx.clock.now()
    await stored.update_risk(tx, case_id, risk)
    await stored.insert_step(tx, case_id, at, "risk", by.user_id, reason=risk)
    await cases.tell(ctx, tx, case_id)
    return await cases.existing(tx, case_id)


async def _add(
    ctx: Context, tx: Tx, case: Case, holders: list[UserID], who: UserID, by: UserID, step: stored.Step
) -> Case:
    if who in holders:
        return case
    if case.state not in ("talking", "resting"):
        raise errors.Conflict("Nobody looks after this case now.")
    at = ctx.clock.now()
    await stored.insert_counsellor(tx, case.id, who, at, "helper")
    await side_rooms.insert_seat_beside(tx, case.id, who, at)
    await stored.insert_step(tx, case.id, at, step, by, None if who == by else who)
    await case_room.say_powers(ctx, tx, case.room_id, [*holders, who])
    await cases.tell(ctx, tx, case.id)
    return await cases.existing(tx, case.id)
