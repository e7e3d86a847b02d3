"""What the keeper asks for: whom to bring into the rooms of open cases, and whom to take out."""

from time import monotonic

import msgspec

from madoguchi.core.desk import roster
from madoguchi.desk.arrival import WaitQuery
from madoguchi.storage import cases as stored
from madoguchi.storage import health, side_rooms, stream
from madoguchi.storage.cases import Seat
from madoguchi.web.endpoint import Call

# A colleague's coming into a room is not news of the desk, but lets the one who handed over go.
LOOK_AGAIN_S = 3.0


class Invitations(msgspec.Struct, frozen=True):
    """invitations: staff of open cases who are neither invited nor in, and whoever has moved to another account;
    removals: staff who no longer look after one, and as whom somebody came before.

    Side rooms are among the rooms of both.
    """

    pos: int
    invitations: list[Seat]
    removals: list[Seat]


async def list_invitations(call: Call, query: WaitQuery) -> Invitations:
    """What is to be done in the rooms; with `after` as soon as something changes at the desk, if nothing is to be done.

    The answer follows from how things stand, not from what was announced: asked again after a crash, it says the same.
    """
    until = monotonic() + (query.seconds if query.after is not None else 0)
    while True:
        found = await _read(call)
        left = until - monotonic()
        if found.invitations or found.removals or left <= 0:
            return found
        await call.ctx.hub.wait_for_desk(found.pos, min(left, LOOK_AGAIN_S))


async def _read(call: Call) -> Invitations:
    async with call.ctx.db.transaction() as tx:
        await health.update_heartbeat(tx, "keeper", call.ctx.clock.now())
        pos = await stream.position(tx)
        invitations = [*await stored.list_invitations(tx), *await side_rooms.list_invitations(tx)]
        # Who came into a case while they stood on the roster, or before there was one, waits until they do.
        # A ghost is given nothing that it could read, a young person stands on no roster: nobody vouches for them.
        staff = [seat.user_id for seat in invitations if not seat.person]
        strangers = await roster.unvouched(call.ctx.settings, tx, staff)
        invitations = [seat for seat in invitations if seat.user_id not in strangers]
        removals = [*await stored.list_removals(tx), *await side_rooms.list_removals(tx)]
        return Invitations(pos, invitations, removals)
