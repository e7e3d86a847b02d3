"""What a young person reports of their case, and who of those who lead the desk looks at it.

Never words: which of a few things it is, about which message if any. Whom it is about does not see it, and a young
person reads in their lock and in the room who comes in because of it.
"""

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core import access
from madoguchi.core.chat import history
from madoguchi.ids import EventID, UserID
from madoguchi.storage import audit, stream
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import rooms as stored
from madoguchi.storage.db import Tx
from madoguchi.storage.rooms import ReportKind
from madoguchi.storage.stream import Note

MOST_OF_ONE = 20


async def report(ctx: Context, tx: Tx, by: UserID, kind: ReportKind, event_id: EventID | None) -> None:
    """Keeps that the person of a case reports it, or a message in it. What comes after the twentieth is not kept.

    Raises NotFound for somebody who has no case and for a message that they don't see.
    """
    case = await stored_cases.get_latest_case(tx, by)
    if case is None:
        raise errors.NotFound("You have no case here.")
    if event_id is not None:
        seat = await access.seat(tx, ctx, case.room_id, by, "join")
        about: UserID | None = (await history.get_visible(tx, seat, event_id)).sender
    else:
        holders = await stored_cases.list_counsellors(tx, case.id)
        about = holders[0][0] if holders else None
    if await stored.count_reports(tx, case.room_id, by) >= MOST_OF_ONE:
        return
    await stored.insert_report(tx, ctx.clock.ms(), by, case.room_id, event_id, about, False, kind)
    await audit.append(tx, ctx.clock.now(), "young_person", "report.made", case.id, kind=kind)
    await stream.publish(tx, Note("desk", "queue"))


async def see(ctx: Context, tx: Tx, report_id: int, by: UserID) -> None:
    """Notes that somebody has looked into a report; whoever was first stays. Raises NotFound for none that they see."""
    found = await stored.get_report(tx, report_id, by)
    if found is None:
        raise errors.NotFound("There is no such report.")
    if found.seen_at is None:
        await stored.update_report_seen(tx, report_id, by, ctx.clock.ms())
        await audit.append(tx, ctx.clock.now(), by, "report.seen", found.case_id or str(report_id))
