"""The queue: who waits, at which place, whether somebody is there, and how long it may take."""

import asyncio
from datetime import datetime, timedelta
from time import monotonic

import msgspec

from madoguchi.context import Context
from madoguchi.core.desk import estimate as estimates
from madoguchi.core.desk import staff
from madoguchi.core.desk.estimate import Estimate, Wait
from madoguchi.ids import UserID
from madoguchi.storage import cases as stored
from madoguchi.storage import stream
from madoguchi.storage.answers import Answers
from madoguchi.storage.cases import Running
from madoguchi.storage.db import Tx

# Presence ends without announcement, so a board grows old even while nothing happens.
_BOARD_LASTS = timedelta(seconds=5)
# News that can wait a little (somebody in front has gone) is told together with what follows within this time.
_GATHER_S = 1.0
_MOST_TOLD = 50_000


class Counsellor(msgspec.Struct, frozen=True):
    """Who looks after a case."""

    user_id: str
    name: str


class MyPlace(msgspec.Struct, frozen=True):
    """What a young person sees of their running case. place: 1 = next; None once somebody has come; accepted: somebody
    has taken it, now or earlier; answers: what they said while they waited; repeat: they have had a case before, and
    previous_shown: let that be seen, None while they have not been asked."""

    case_id: str
    room_id: str
    state: stored.State
    place: int | None
    staff_present: int
    estimate: Estimate | None
    counsellor: Counsellor | None
    accepted: bool
    answers: Answers | None
    repeat: bool
    previous_shown: bool | None

    def differs_at_heart(self, other: "MyPlace") -> bool:
        """Whether more has changed than numbers."""
        return self._at_heart != other._at_heart

    @property
    def _at_heart(self) -> tuple[object, ...]:
        return self.case_id, self.state, self.counsellor, self.accepted, self.answers, self.previous_shown


class Board(msgspec.Struct, frozen=True):
    """The desk at a position of the stream.

    waiting: the queue in its order; places: case id to place in it, 1 = next; running: all open cases by young person
    """

    pos: int
    at: datetime
    waiting: list[Running]
    places: dict[str, int]
    running: dict[UserID, Running]
    staff_present: int
    waits: list[Wait]

    def estimate(self, place: int) -> Estimate | None:
        """Minutes until a counsellor comes to a place; None while nobody is there, or too little is known."""
        return estimates.estimate(self.waits, place) if self.staff_present else None

    def place_of(self, user_id: UserID) -> MyPlace | None:
        """How the running case of a young person stands; None if they have none."""
        case = self.running.get(user_id)
        if case is None:
            return None
        place = self.places.get(case.case_id)
        counsellor = Counsellor(case.counsellor_id, case.counsellor_name or "") if case.counsellor_id else None
        return MyPlace(
            case_id=case.case_id,
            room_id=case.room_id,
            state=case.state,
            place=place,
            staff_present=self.staff_present,
            estimate=None if place is None else self.estimate(place),
            counsellor=counsellor,
            accepted=case.accepted,
            answers=case.answers,
            repeat=case.repeat,
            previous_shown=case.previous_shown,
        )


async def board(ctx: Context, tx: Tx) -> Board:
    """The board as it is now."""
    # The position before the rest: what happens between the two is then seen again, never missed.
    pos = await stream.position(tx)
    at = ctx.clock.now()
    running = await stored.list_running(tx)
    waiting = [case for case in running if case.state == "waiting"]
    waits = await stored.list_recent_waits(tx, at - timedelta(minutes=estimates.RECENT_MINUTES), estimates.MOST_WAITS)
    return Board(
        pos=pos,
        at=at,
        waiting=waiting,
        places={case.case_id: place for place, case in enumerate(waiting, 1)},
        running={case.user_id: case for case in running},
        staff_present=await staff.count_present(ctx, tx),
        waits=[
            Wait(((wait.until or at) - wait.since).total_seconds() / 60, wait.place, wait.until is not None)
            for wait in waits
        ],
    )


class Boards:
    """The newest board of a process, and what each young person was last told of it.

    All who are woken by the same change share one reading.
    """

    def __init__(self) -> None:
        self._known: Board | None = None
        self._reading = asyncio.Lock()
        self._told: dict[UserID, tuple[int, MyPlace]] = {}

    async def at_least(self, ctx: Context, pos: int) -> Board:
        """A board read at a position or later, and not long ago."""
        async with self._reading:
            if self._known is None or self._known.pos < pos or ctx.clock.now() - self._known.at > _BOARD_LASTS:
                async with ctx.db.transaction() as tx:
                    self._known = await board(ctx, tx)
            return self._known

    def told(self, user_id: UserID, pos: int) -> MyPlace | None:
        """What somebody was told with a position; None if that is not known here."""
        known = self._told.get(user_id)
        return known[1] if known is not None and known[0] == pos else None

    def tell(self, user_id: UserID, pos: int, place: MyPlace) -> None:
        """Remembers what somebody is told now."""
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told[user_id] = (pos, place)


def boards(ctx: Context) -> Boards:
    """The boards of this process."""
    if ctx.boards is None:
        ctx.boards = Boards()
    return ctx.boards


async def next_board(ctx: Context, after: int, timeout_s: float) -> Board:
    """A board newer than a position; or, after `timeout_s` seconds without any change, as it then is."""
    heard = await ctx.hub.wait_for_desk(after, timeout_s)
    return await boards(ctx).at_least(ctx, max(heard, after))


async def next_place(ctx: Context, user_id: UserID, after: int, timeout_s: float) -> tuple[int, MyPlace | None]:
    """(position, how a young person's case stands) once that differs from what they were told with a position.

    Where it is not known here what they were told, every change of the desk counts. A change of numbers alone waits a
    moment for more of its kind: with hundreds in the queue, everybody's place changes with every accepted case.
    """
    until = monotonic() + timeout_s
    told = boards(ctx).told(user_id, after)
    while True:
        board = await next_board(ctx, after, max(0.0, until - monotonic()))
        place = board.place_of(user_id)
        now = monotonic()
        if place is None or told is None or now >= until or place.differs_at_heart(told):
            break
        if place != told:
            until = min(until, now + _GATHER_S)
            # Only the first of the numbers that change shortens the wait.
            told = place
        after = max(after, board.pos)
    if place is not None:
        boards(ctx).tell(user_id, board.pos, place)
    return board.pos, place
