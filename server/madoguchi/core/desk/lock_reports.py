"""A page that will not send says so to the desk: whoever is in the room is not who the roster says they are. So does
one that gives a device of theirs no key, which they have not signed.

A server that lies will not pass this on, either; but a mistake, or somebody who got hold of less than all of it, is
seen by those who lead the shift, and stands in the audit log.
"""

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core import access
from madoguchi.core.desk import case_room
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import accounts, audit, side_rooms
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import lock_reports as stored
from madoguchi.storage import staff as stored_staff
from madoguchi.storage.db import Tx
from madoguchi.storage.lock_reports import Kind

MOST_OF_ONE = 20
SHOWN = 100


async def report(ctx: Context, tx: Tx, by: UserID, room_id: RoomID, kind: Kind, about: str | None) -> bool:
    """Keeps that a page refuses to send into a case's room or its side room; False for what is known already.

    Of whom it is about, only an account is kept: a free field would be a place for words. Raises NotFound for a room
    that the caller is not in or that is no case's.
    """
    try:
        await access.seat(tx, ctx, room_id, by, "invite")
    except errors.NotAllowed:
        raise errors.NotFound("You are in no such room.") from None
    case = await stored_cases.get_case_of_room(tx, room_id)
    side = await side_rooms.get_by_room(tx, room_id) if case is None else None
    case_id = case.id if case is not None else side.case_id if side is not None else None
    if case_id is None:
        raise errors.NotFound("You are in no such room.")
    if await stored.count_of(tx, case_id, by) >= MOST_OF_ONE:
        return False
    known = await accounts.get_account(tx, UserID(about)) if about is not None else None
    at, whom = ctx.clock.now(), known.user_id if known is not None else ""
    if not await stored.insert(tx, case_id, by, kind, whom, at):
        return False
    of_the_desk = by == case_room.keeper_id(ctx) or await stored_staff.get_staff(tx, by) is not None
    actor = by if of_the_desk else "young_person"
    await audit.append(tx, at, actor, "lock.reported", case_id, kind=kind, about=whom)
    return True
