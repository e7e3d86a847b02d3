"""The queue: who waits, at which place, whether somebody is there, and how long it may take."""

import asyncio
from datetime import datetime, timedelta

import msgspec

from madoguchi.context import Context
from madoguchi.core.desk import estimate as estimates
from madoguchi.core.desk import staff
from madoguchi.core.desk.estimate import Estimate, Wait
from madoguchi.storage import cases as stored
from madoguchi.storage import stream
from madoguchi.storage.cases import Ticket
from madoguchi.storage.db import Tx

# Presence ends without announcement, so a board grows old even while nothing happens.
_BOARD_LASTS = timedelta(seconds=5)


class Board(msgspec.Struct, frozen=True):
    """The desk at a position of the stream. places: case id to place, 1 = next."""

    pos: int
    at: datetime
    tickets: list[Ticket]
    places: dict[str, int]
    staff_present: int
    waits: list[Wait]

    def estimate(self, place: int) -> Estimate | None:
        """Minutes until a counsellor comes to a place; None while nobody is there, or too little is known."""
        return estimates.estimate(self.waits, place) if self.staff_present else None


async def board(ctx: Context, tx: Tx) -> Board:
    """The board as it is now."""
    # The position before the rest: what happens between the two is then seen again, never missed.
    pos = await stream.position(tx)
    at = ctx.clock.now()
    tickets = await stored.list_waiting(tx)
    waits = await stored.list_recent_waits(
        tx, at - timedelta(minutes=estimates.RECENT_MINUTES), estimates.MOST_WAITS
    )
    return Board(
        pos=pos,
        at=at,
        tickets=tickets,
        places={ticket.case_id: ticket.place for ticket in tickets},
        staff_present=await staff.count_present(ctx, tx),
        waits=[
            Wait(((wait.until or at) - wait.since).total_seconds() / 60, wait.place, wait.until is not None)
            for wait in waits
        ],
    )


class Boards:
    """The newest board of a process. All who are woken by the same change share one reading of it."""

    def __init__(self) -> None:
        self._known: Board | None = None
        self._reading = asyncio.Lock()

    async def at_least(self, ctx: Context, pos: int) -> Board:
        """A board read at a position or later, and not long ago."""
        async with self._reading:
            if self._known is None or self._known.pos < pos or ctx.clock.now() - self._known.at > _BOARD_LASTS:
                async with ctx.db.transaction() as tx:
                    self._known = await board(ctx, tx)
            return self._known


async def next_board(ctx: Context, after: int, timeout_s: float) -> Board:
    """A board newer than a position; or, after `timeout_s` seconds without any change, as it then is."""
    heard = await ctx.hub.wait_for_desk(after, timeout_s)
    if ctx.boards is None:
        ctx.boards = Boards()
    return await ctx.boards.at_least(ctx, max(heard, after))
