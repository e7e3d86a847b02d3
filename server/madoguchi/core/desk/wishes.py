"""Early deletion 削除の希望: a person wishes that what they said is destroyed before its time.

The wish is about all their cases up to now; one that runs is ended first. For some days it may be taken back, by them
or, for somebody who writes by an app, by the staff who entered it: a wish of an hour, or of somebody else at their
phone, need not be final. Then everything goes but figures that lead back to nobody, except what is held.
"""

import secrets
from datetime import timedelta

import msgspec

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.desk import cases, holds, purge
from madoguchi.core.desk import settings as desk_settings
from madoguchi.ids import CaseID, UserID
from madoguchi.storage import audit
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import wishes as stored
from madoguchi.storage.db import Tx
from madoguchi.storage.holds import Code
from madoguchi.storage.staff import Staff
from madoguchi.storage.wishes import Wish

PERSON = "person"
# No letters that are taken for others: somebody may read it out on the telephone.
_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_LENGTH = 10
LONGEST_REASON = 200


class Standing(msgspec.Struct, frozen=True):
    """How it stands for a person. wish: their last one; code: why something of theirs is kept now, if it is; left:
    whether there is anything to destroy; running: whether a case of theirs has not ended; days: how long a wish may be
    taken back."""

    wish: Wish | None
    code: Code | None
    left: bool
    running: bool
    days: int


async def standing(ctx: Context, tx: Tx, user_id: UserID) -> Standing:
    """How it stands for a person."""
    found = await stored.list_cases_of(tx, user_id)
    return Standing(
        wish=await stored.get_last(tx, user_id),
        code=await _code(ctx, tx, found),
        left=bool(found),
        running=await stored_cases.get_running_case(tx, user_id) is not None,
        days=(await desk_settings.get(tx)).wish_days,
    )


async def ask(ctx: Context, tx: Tx, user_id: UserID, *, end: bool) -> Standing:
    """The person wishes it themselves; twice does no more.

    end: a case that runs is ended by it. Raises NotFound where nothing is left, Kept while something is held, Conflict
    for a case that runs and is not to be ended.
    """
    await stored_cases.lock_person(tx, user_id)
    before = await standing(ctx, tx, user_id)
    if _stands(before):
        return before
    _check(before, end)
    if before.running:
        await cases.leave(ctx, tx, user_id)
    return await _keep(ctx, tx, user_id, PERSON, None)


async def ask_for(ctx: Context, tx: Tx, case_id: CaseID, by: Staff, reason: str, *, end: bool) -> Standing:
    """Whoever has a case, or leads the shift, enters the wish of its person, who has said so otherwise.

    reason: how they said so, never what was said. Raises NotAllowed, Invalid, and what `ask` raises.
    """
    if not 0 < len(reason.strip()) <= LONGEST_REASON or not reason.isprintable():
        raise errors.Invalid(f"Say in one line of at most {LONGEST_REASON} characters how the person asked for it.")
    user_id = await _person_of(tx, case_id)
    await stored_cases.lock_person(tx, user_id)
    case, _ = await cases.lock_of(tx, case_id, by)
    before = await standing(ctx, tx, user_id)
    if _stands(before):
        return before
    _check(before, end)
    running = await stored_cases.get_running_case(tx, user_id)
    if running is not None:
        await cases.close(ctx, tx, running.id, by)
    return await _keep(ctx, tx, case.user_id, by.user_id, reason.strip())


async def take_back(ctx: Context, tx: Tx, user_id: UserID, by: str = PERSON) -> Standing:
    """It is wished no more. Raises NotFound where no wish stands."""
    await stored_cases.lock_person(tx, user_id)
    last = await stored.get_last(tx, user_id)
    wish = await stored.lock(tx, last.id) if last is not None else None
    if wish is None or not wish.stands:
        raise errors.NotFound("No such wish stands.")
    at = ctx.clock.now()
    await stored.update_taken_back(tx, wish.id, at, by)
    await audit.append(tx, at, by, "deletion.taken_back", wish.receipt)
    return await standing(ctx, tx, user_id)


async def take_back_for(ctx: Context, tx: Tx, case_id: CaseID, by: Staff) -> Standing:
    """The same, entered by whoever has the case or leads the shift. Raises NotAllowed, NotFound."""
    user_id = await _person_of(tx, case_id)
    await stored_cases.lock_person(tx, user_id)
    await cases.lock_of(tx, case_id, by)
    return await take_back(ctx, tx, user_id, by.user_id)


async def standing_of(ctx: Context, tx: Tx, case_id: CaseID, by: Staff) -> Standing:
    """How it stands for the person of a case. Raises NotAllowed, NotFound."""
    case, _ = await cases.lock_of(tx, case_id, by)
    return await standing(ctx, tx, case.user_id)


async def grant(ctx: Context, tx: Tx, wish_id: int, case_id: CaseID) -> bool:
    """Destroys a case of a wish that is due, all but its figures; False if that was not to be done (any more)."""
    case = await stored_cases.get_case(tx, case_id)
    if case is None:
        return False
    await stored_cases.lock_person(tx, case.user_id)
    wish = await stored.lock(tx, wish_id)
    if wish is None or not wish.stands or wish.due_at > ctx.clock.now() or case.user_id != wish.user_id:
        return False
    case = await stored_cases.lock_case(tx, case_id)
    if case is None or case.state != "closed" or await holds.standing(ctx, tx, case_id):
        return False
    await purge.purge(ctx, tx, case_id, by=purge.BY_WISH, receipt=wish.receipt)
    return True


async def finish(ctx: Context, tx: Tx) -> None:
    """Notes which wishes are fulfilled."""
    for wish_id in await stored.list_fulfilled(tx):
        wish = await stored.lock(tx, wish_id)
        if wish is not None and wish.stands:
            at = ctx.clock.now()
            await stored.update_done(tx, wish_id, at)
            await audit.append(tx, at, purge.BY_WISH, "deletion.done", wish.receipt)


def _stands(found: Standing) -> bool:
    return found.wish is not None and found.wish.stands


def _check(before: Standing, end: bool) -> None:
    if not before.left:
        raise errors.NotFound("There is nothing left to destroy.")
    if before.code is not None:
        raise errors.Kept("This has to be kept for now.", reason=before.code)
    if before.running and not end:
        raise errors.Conflict("This case has not ended. Say that it is to be ended.")


async def _keep(ctx: Context, tx: Tx, user_id: UserID, by: str, reason: str | None) -> Standing:
    at = ctx.clock.now()
    days = (await desk_settings.get(tx)).wish_days
    receipt = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    wish = await stored.insert(tx, user_id, at, by, reason, receipt, at + timedelta(days=days))
    covered = await stored.list_cases_of(tx, user_id)
    # Not by whom: the log outlives the account, and says nothing of whose it was.
    due = wish.due_at.isoformat(timespec="seconds")
    await audit.append(tx, at, by, "deletion.asked", receipt, cases=covered, due=due, reason=reason)
    return await standing(ctx, tx, user_id)


async def _code(ctx: Context, tx: Tx, found: list[CaseID]) -> Code | None:
    for case_id in found:
        for held in await holds.standing(ctx, tx, case_id):
            return held.code
    return None


async def _person_of(tx: Tx, case_id: CaseID) -> UserID:
    case = await stored_cases.get_case(tx, case_id)
    if case is None or case.state == "purged":
        raise errors.NotFound("There is no such case.")
    return case.user_id
