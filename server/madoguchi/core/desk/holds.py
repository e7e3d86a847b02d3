"""Legal hold 保存命令: a case that a court, a prosecutor, a board or the person asks for is not purged meanwhile."""

from datetime import datetime

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.ids import CaseID
from madoguchi.storage import audit, cases
from madoguchi.storage import holds as stored
from madoguchi.storage.db import Tx
from madoguchi.storage.holds import Code, Hold

LONGEST_REFERENCE = 60


async def hold(
    ctx: Context, tx: Tx, case_id: CaseID, code: Code, reference: str, ends_at: datetime | None, by: str
) -> None:
    """Holds a case, running or closed, until it is released or the moment has come.

    reference: the number of a file elsewhere, never what the case is about; the audit log does not repeat it.
    Raises NotFound, Conflict for a case that is purged or held under this reference, Invalid.
    """
    case = await cases.lock_case(tx, case_id)
    if case is None:
        raise errors.NotFound("There is no such case.")
    if case.state == "purged":
        raise errors.Conflict("This case is purged already. There is nothing left to hold.")
    if not 0 < len(reference) <= LONGEST_REFERENCE or not reference.isprintable():
        raise errors.Invalid(f"A reference is a file number: one line of at most {LONGEST_REFERENCE} characters.")
    now = ctx.clock.now()
    if ends_at is not None and ends_at <= now:
        raise errors.Invalid("That day is over already.")
    if any(held.reference == reference for held in await stored.list_standing(tx, now, case_id)):
        raise errors.Conflict("This case is held under this reference already.")
    number = await stored.insert(tx, case_id, code, reference, now, by, ends_at)
    ends = ends_at.isoformat() if ends_at else None
    await audit.append(tx, now, by, "case.held", case_id, hold=number, code=code, ends=ends)


async def release(ctx: Context, tx: Tx, case_id: CaseID, reference: str | None, by: str) -> int:
    """Ends the hold of a case; `reference` says which if there are several. Gives how many stand still.

    Raises NotFound, Conflict if several stand and none is named.
    """
    await cases.lock_case(tx, case_id)
    now = ctx.clock.now()
    standing = await stored.list_standing(tx, now, case_id)
    meant = [held for held in standing if reference in (None, held.reference)]
    if not meant:
        raise errors.NotFound("No such hold stands on this case.")
    if len(meant) > 1:
        named = ", ".join(held.reference for held in meant)
        raise errors.Conflict(f"Several holds stand on this case. Say which by its reference: {named}.")
    await stored.update_released(tx, meant[0].id, now, by)
    await audit.append(tx, now, by, "case.released", case_id, hold=meant[0].id, code=meant[0].code)
    return len(standing) - 1


async def standing(ctx: Context, tx: Tx, case_id: CaseID | None = None) -> list[Hold]:
    """The holds that stand now, the oldest first; of one case, or of all."""
    return await stored.list_standing(tx, ctx.clock.now(), case_id)
