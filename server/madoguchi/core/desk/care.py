"""Care for counsellors: who has had hard cases of late, and who would like to talk about one (振り返り).

That somebody asks is known while they wait for it, and to nobody afterwards: it is neither counted nor in the audit
log.
"""

from datetime import datetime, timedelta

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.ids import UserID
from madoguchi.storage import shift as stored_shift
from madoguchi.storage import staff as stored
from madoguchi.storage import stream
from madoguchi.storage.db import Tx
from madoguchi.storage.stream import Note

RECENT = timedelta(days=7)


async def ask(ctx: Context, tx: Tx, user_id: UserID, wanted: bool) -> None:
    """Says that somebody would like to talk about a hard case, or would not any more. The first asking counts."""
    staff = await stored.lock_staff(tx, user_id)
    if staff is None or wanted == (staff.debrief_asked_at is not None):
        return
    await stored.update_debrief(tx, user_id, ctx.clock.now() if wanted else None)
    await stream.publish(tx, Note("desk", "staff"))


async def done(tx: Tx, user_id: UserID, by: UserID) -> None:
    """Says that somebody has talked with them. Raises NotFound, and NotAllowed for oneself."""
    staff = await stored.lock_staff(tx, user_id)
    if staff is None or staff.debrief_asked_at is None:
        raise errors.NotFound("They have not asked for a debriefing.")
    if user_id == by:
        raise errors.NotAllowed("Somebody else talks with you.")
    await stored.update_debrief(tx, user_id, None)
    await stream.publish(tx, Note("desk", "staff"))


async def exposure(tx: Tx, at: datetime) -> dict[UserID, int]:
    """How many cases of high risk came into whose hands within the last seven days; nobody who had none."""
    return await stored_shift.count_dangerous(tx, at - RECENT, at)
