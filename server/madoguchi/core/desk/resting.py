"""Rest: somebody has left and may return. The case stays in its counsellor's hands and takes no place of their
capacity; it wakes when the person writes or comes back, and is closed after the longest rest that the desk allows.

Who is there decides where it wakes: with its counsellor, or in the queue, at its old place, with its history and mark.
"""

from datetime import timedelta

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.chat.events import QUIET
from madoguchi.core.desk import case_room, cases
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.presence import is_present, may_counsel
from madoguchi.core.desk.settings import DeskSettings
from madoguchi.ids import CaseID, RoomID, UserID
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import resting as stored
from madoguchi.storage import staff as stored_staff
from madoguchi.storage import stream
from madoguchi.storage.cases import Case
from madoguchi.storage.db import Tx
from madoguchi.storage.staff import Staff

# A Matrix client that is open asks at least so often; a console says more (presence.py).
ONLINE_MS = 5 * 60_000


async def rest(ctx: Context, tx: Tx, case_id: CaseID, by: Staff) -> Case:
    """Lays a case to rest. Twice does no more. Raises Conflict for one that is not talked in, NotAllowed, NotFound."""
    case, _ = await cases.lock_of(tx, case_id, by)
    if case.state == "resting":
        return case
    if case.state != "talking":
        raise errors.Conflict("Nobody looks after this case now.")
    return await _rest(ctx, tx, case, by.user_id)


async def leave_for_now(ctx: Context, tx: Tx, user_id: UserID) -> Case:
    """The young person goes and may return: a case that is talked in rests; whoever waits goes on waiting.

    Raises NotFound if they have no running case.
    """
    found = await stored_cases.get_running_case(tx, user_id)
    if found is None:
        raise errors.NotFound("You have no case here.")
    case = await stored_cases.lock_case(tx, found.id)
    if case is None or case.state != "talking":
        return case or found
    return await _rest(ctx, tx, case, user_id)


async def signed_out(ctx: Context, tx: Tx, user_id: UserID) -> None:
    """What it means that somebody's last device has signed out, as with the quick exit: they have left for now."""
    if await stored_cases.get_running_case(tx, user_id) is not None:
        await leave_for_now(ctx, tx, user_id)


async def wake(ctx: Context, tx: Tx, case_id: CaseID, by: str) -> None:
    """The person is back. Does nothing for a case that does not rest."""
    # Staff are locked before the case, everywhere.
    locked = {}
    for user_id in sorted(who for who, _ in await stored_cases.list_counsellors(tx, case_id)):
        locked[user_id] = await stored_staff.lock_staff(tx, user_id)
    case = await stored_cases.lock_case(tx, case_id)
    if case is None or case.state != "resting":
        return
    at = ctx.clock.now()
    parts = {
        user_id: await stored_cases.get_part(tx, case_id, user_id)
        for user_id, _ in await stored_cases.list_counsellors(tx, case_id)
    }
    ready = {who for who in parts if await _is_ready(ctx, tx, locked.get(who), helps=parts[who] == "helper")}
    await stored_cases.insert_step(tx, case_id, at, "woke", by)
    if not any(parts[who] == "counsellor" for who in ready):
        # Nobody who looks after it is there: those who are not ready go; a helper who is goes on.
        for who in parts.keys() - ready:
            await stored_cases.update_counsellor_ended(tx, case_id, who, at, None)
            await stored_cases.insert_step(
                tx, case_id, at, "stepped_out" if ready else "returned", cases.BY_THE_CLOCK, who
            )
        await stored_cases.update_promoted(tx, case_id)
        await case_room.say_powers(ctx, tx, case.room_id, sorted(ready))
    if ready:
        await stored.update_woken(tx, case_id)
    else:
        await stored.update_waiting_again(tx, case_id, at)
    await cases.tell(ctx, tx, case_id)


async def has_written(ctx: Context, room_id: RoomID, sender: UserID, content: dict[str, object]) -> None:
    """What a message means for a case that rests: its person wrote, so it wakes. To be called once it is stored.

    Looks into memory alone, except where it wakes. Where that copy is old, `list_due` finds it within a minute.
    """
    room = ctx.rooms.peek(room_id)
    if room is None or room.kind != "case" or QUIET in content:
        return
    told = room.content(case_room.CASE_STATE)
    if told is None or told.get("state") != "resting":
        return
    async with ctx.db.transaction() as tx:
        case = await stored_cases.get_case_of_room(tx, room_id)
        if case is not None and case.user_id == sender:
            await wake(ctx, tx, case.id, sender)


async def has_come_back(ctx: Context, tx: Tx, user_id: UserID) -> None:
    """The person is there again on a new device."""
    case = await stored_cases.get_running_case(tx, user_id)
    if case is not None:
        await wake(ctx, tx, case.id, user_id)


async def list_due(ctx: Context, tx: Tx) -> list[CaseID]:
    """Where something may be due by the clock: the person has been silent for so long, has rested for too long, or has
    written and a crash let the case sleep."""
    settings = await desk_settings.get(tx)
    due = await stored.list_spoken(tx)
    due += await stored.list_rested_out(tx, ctx.clock.now() - timedelta(days=settings.rest_days))
    if settings.rest_after_minutes:
        due += await stored.list_silent(tx, case_room.keeper_id(ctx), _silent_before(ctx, settings))
    return due


async def look_after(ctx: Context, tx: Tx, case_id: CaseID) -> None:
    """Does for one case what is due by the clock, in a transaction of its own."""
    settings = await desk_settings.get(tx)
    if case_id in await stored.list_spoken(tx):
        await wake(ctx, tx, case_id, cases.BY_THE_CLOCK)
    elif case_id in await stored.list_rested_out(tx, ctx.clock.now() - timedelta(days=settings.rest_days)):
        await cases.close_rested(ctx, tx, case_id, cases.BY_THE_CLOCK)
    elif settings.rest_after_minutes:
        case = await stored_cases.lock_case(tx, case_id)
        # Whoever writes waits for the stream: what is seen from here on is all that there is.
        await stream.lock(tx)
        silent = await stored.list_silent(tx, case_room.keeper_id(ctx), _silent_before(ctx, settings))
        if case is not None and case_id in silent:
            await _rest(ctx, tx, case, cases.BY_THE_CLOCK)


def _silent_before(ctx: Context, settings: DeskSettings) -> int:
    return ctx.clock.ms() - settings.rest_after_minutes * 60_000


async def _rest(ctx: Context, tx: Tx, case: Case, by: str) -> Case:
    at = ctx.clock.now()
    await stored.update_rested(tx, case.id, at)
    await stored_cases.insert_step(tx, case.id, at, "rested", by)
    await cases.tell(ctx, tx, case.id)
    return await cases.existing(tx, case.id)


async def _is_ready(ctx: Context, tx: Tx, staff: Staff | None, *, helps: bool) -> bool:
    """Whether somebody can go on with a case of theirs that wakes. A helper's place costs nothing."""
    if staff is None or not may_counsel(staff) or staff.away_since is not None:
        return False
    if not is_present(staff, ctx.clock.now()) and not await stored_staff.is_online(
        tx, staff.user_id, ctx.clock.ms() - ONLINE_MS
    ):
        return False
    return helps or await stored_cases.count_charges(tx, staff.user_id) < staff.capacity
