"""Blocks: who has abused the desk begins no new case for a while, and still sees whom they can call.

A block always ends by itself: after a day at most, until somebody else has reviewed it. It is of an account, never of a
network address, behind which there may be a whole school: who comes to the page as nobody that was here before is
somebody new. Nobody in danger is blocked.
"""

from datetime import timedelta

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.desk import cases
from madoguchi.ids import CaseID
from madoguchi.storage import audit
from madoguchi.storage import blocks as stored
from madoguchi.storage.blocks import Block, Reason
from madoguchi.storage.cases import Case
from madoguchi.storage.db import Tx
from madoguchi.storage.staff import Staff

MOST_HOURS = 24
MOST_DAYS = 90
SHOWN_DAYS = 30


async def block(ctx: Context, tx: Tx, case_id: CaseID, by: Staff, reason: Reason, hours: int) -> Case:
    """Ends a case and keeps its person from beginning another one for so many hours.

    Raises Conflict for somebody in danger and for a case that has led to a block before, NotAllowed for a case that is
    not theirs, NotFound.
    """
    case, _ = await cases.lock_of(tx, case_id, by)
    if case.risk in ("high", "urgent"):
        raise errors.Conflict("Nobody in danger is blocked. If there is none any more, set the risk first.")
    at = ctx.clock.now()
    ends_at = at + timedelta(hours=hours)
    if not await stored.insert(tx, case_id, reason, by.user_id, at, ends_at):
        raise errors.Conflict("This case has led to a block already.")
    closed = await cases.close(ctx, tx, case_id, by)
    await audit.append(tx, at, by.user_id, "case.blocked", case_id, reason=reason, ends=ends_at.isoformat())
    return closed


async def review(ctx: Context, tx: Tx, case_id: CaseID, by: Staff, days: int) -> Block:
    """Lets a block stand for so many days from now, or lifts it (0). Gives it as it stands then.

    Raises NotFound for one that there is not or that is over, NotAllowed for whoever has made it.
    """
    found = await stored.lock_block(tx, case_id)
    at = ctx.clock.now()
    if found is None or found.ends_at <= at:
        raise errors.NotFound("There is no such block, or it is over.")
    if found.blocked_by == by.user_id:
        raise errors.NotAllowed("Somebody else reviews it.")
    ends_at = at + timedelta(days=days)
    await stored.update_reviewed(tx, case_id, by.user_id, at, ends_at)
    await audit.append(tx, at, by.user_id, "block.reviewed", case_id, days=days)
    reviewed = await stored.lock_block(tx, case_id)
    assert reviewed is not None
    return reviewed


async def list_blocks(ctx: Context, tx: Tx) -> list[Block]:
    """Those that stand, and those that ended within the last month."""
    return await stored.list_blocks(tx, ctx.clock.now() - timedelta(days=SHOWN_DAYS))
