"""The side room of a case: the staff's own encrypted room, where nothing can reach the young person by accident.

It is made when somebody first needs it, for all who have the case then; who comes into the case later comes into it
too, and who leaves the case leaves it. The keeper is in it and brings in whom the desk sends, with what was written
there before, so it works from any client and any device. Whoever leads the shift may come in as well, to advise.
"""

from datetime import timedelta

from madoguchi.context import Context
from madoguchi.core.desk import case_room, cases, roster
from madoguchi.ids import CaseID, RoomID, UserID
from madoguchi.storage import audit, stream
from madoguchi.storage import side_rooms as stored
from madoguchi.storage.db import Tx
from madoguchi.storage.staff import Staff
from madoguchi.storage.stream import Note

# Whoever forgot to leave the side room of an ended case is taken out after so long, and comes in again when they ask.
SEAT_LASTS = timedelta(hours=12)


async def enter(ctx: Context, tx: Tx, case_id: CaseID, by: Staff) -> RoomID:
    """Lets somebody into the side room of a case, running or ended; the keeper then invites them. Twice does no more.

    Whoever does not have the case stands in the audit log. Raises NotAllowed for somebody else's case, NotOnRoster,
    NotFound.
    """
    await roster.vouch(ctx, tx, by.user_id, by.name)
    case, holders = await cases.lock_of(tx, case_id, by)
    at = ctx.clock.now()
    room_id = await stored.get_room_of(tx, case.id)
    if room_id is None:
        room_id = await case_room.open_side_room(ctx, tx, case.id)
        await stored.update_room_of(tx, case.id, room_id)
        for holder in holders:
            if holder != by.user_id:
                await stored.insert_seat(tx, case.id, holder, at)
    if await stored.insert_seat(tx, case.id, by.user_id, at):
        await stream.publish(tx, Note("desk", "side"))
        if by.user_id not in holders:
            await audit.append(tx, at, by.user_id, "side_room.entered", case.id)
    return room_id


async def left(ctx: Context, tx: Tx, room_id: RoomID, user_id: UserID) -> None:
    """What leaving a side room with any client means: they have gone, and may come in again. Does nothing for other
    rooms."""
    found = await stored.get_by_room(tx, room_id)
    if found is not None:
        await stored.update_seat_ended(tx, found.case_id, user_id, ctx.clock.now())


async def tidy(ctx: Context, tx: Tx) -> int:
    """Ends what was forgotten: seats in the side rooms of ended cases that are older than `SEAT_LASTS`."""
    at = ctx.clock.now()
    ended = await stored.update_old_seats_ended(tx, at, at - SEAT_LASTS)
    await stored.delete_left_seats(tx)
    if ended:
        await stream.publish(tx, Note("desk", "side"))
    return ended
