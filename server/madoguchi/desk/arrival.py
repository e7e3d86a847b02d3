"""The way in: what anybody may know of the desk, and a young person's own case."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi import errors
from madoguchi.core.desk import case_room, cases, channels, guidance, moves, proof, queue, readers, resting, texts
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.estimate import Estimate
from madoguchi.core.desk.guidance import Guidance, Holidays
from madoguchi.core.desk.hours import Hours
from madoguchi.core.desk.proof import Challenge, Proof
from madoguchi.core.desk.queue import Counsellor, MyPlace
from madoguchi.core.desk.readers import Reader
from madoguchi.storage import blocks
from madoguchi.storage import cases as stored
from madoguchi.storage.answers import Answers
from madoguchi.storage.replies import Language
from madoguchi.web.endpoint import Call

# A long poll ends before proxies lose patience.
LONGEST_WAIT_MS = 55_000
USUAL_WAIT_MS = 30_000
MOST_POSITION = 2**63 - 1


ArrivalKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{22,100}$")]


class Desk(msgspec.Struct, frozen=True):
    """reason: `hours`, `channel`, `paused` or `full` when the web page takes no new cases; next_opening: milliseconds,
    or None.

    app_name: what the page calls itself where others may see it; empty = as it likes. hours: when new cases are taken.
    push_key: by which a browser subscribes to notices (VAPID, base64url); None where there are none.
    voice_seconds: how long a voice message may be; 0 where none are wanted. questions: whether the page asks those who
    wait what it is about and which school they go to; previous_cases: whether it asks those who came before whether the
    counsellor may see that. texts: language, key, text: what the page says in the desk's own words.
    """

    name: str
    server_name: str
    open: bool
    reason: str | None
    next_opening: int | None
    hours: Hours
    waiting: int
    staff_present: int
    estimate_minutes: Estimate | None
    guidance: list[Guidance]
    holidays: Holidays
    app_name: str
    quick_exit_url: str
    keeper_user_id: str
    push_key: str | None
    voice_seconds: int
    questions: bool
    previous_cases: bool
    readers: list[Reader]
    texts: dict[Language, dict[str, str]]


class OpenCase(msgspec.Struct):
    """channel: the kind of channel the person comes by; channel_id: which one, where there are several of the kind.

    arrival_key: 128 random bits or more, for somebody without an account: with the same key a request whose answer was
    lost can be repeated, and opens no second case. proof: a challenge, solved, from somebody without an account.
    """

    channel: Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,40}$")] = "web"
    channel_id: Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,40}$")] | None = None
    language: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,35}$")] | None = None
    with_password: bool = False
    arrival_key: ArrivalKey | None = None
    proof: Proof | None = None


class OpenedCase(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where to go on. device_id, access_token, password: of an account that was just made for somebody without one.
    before: as whom somebody came until they moved here, the latest last."""

    case_id: str
    room_id: str
    user_id: str
    device_id: str | None = None
    access_token: str | None = None
    password: str | None = None
    before: list[str] = []


class WaitQuery(msgspec.Struct):
    """after: the `pos` of an earlier answer: wait for something newer; timeout: for so many milliseconds at most."""

    after: Annotated[int, Meta(ge=0, le=MOST_POSITION)] | None = None
    timeout: Annotated[int, Meta(ge=0)] = USUAL_WAIT_MS

    @property
    def seconds(self) -> float:
        return min(self.timeout, LONGEST_WAIT_MS) / 1000


class Left(msgspec.Struct, frozen=True):
    case_id: str
    state: str


class MyCase(msgspec.Struct, frozen=True):
    """place: 1 = next, ahead: how many wait in front; both None once somebody has come, or the case has ended.

    answers: what the person said while they waited; None while the questions have been neither answered nor put away;
    may_answer: nobody has accepted the case yet. repeat: they have had a case before; previous_shown: whether they let
    the counsellor see that, None while they have not been asked; blocked_until: they can't begin another case before.
    """

    case_id: str
    room_id: str
    state: str
    place: int | None
    ahead: int | None
    staff_present: int
    estimate_minutes: Estimate | None
    counsellor: Counsellor | None
    answers: Answers | None
    may_answer: bool
    repeat: bool
    previous_shown: bool | None
    blocked_until: int | None
    pos: int


async def get_desk(call: Call) -> Desk:
    """Whether the desk is open, how many wait, how long it may take, who can read what, and where else to turn."""
    ctx, tx = call.ctx, call.tx
    at = ctx.clock.now()
    settings = await desk_settings.get(tx)
    board = await queue.board(ctx, tx)
    closed = cases.closed_for(settings, await channels.of_arrival(tx, "web", None), at, len(board.waiting))
    return Desk(
        name=settings.name,
        server_name=ctx.settings.server_name,
        open=closed is None,
        reason=closed.reason if closed else None,
        next_opening=closed.next_opening if closed else None,
        hours=settings.hours,
        waiting=len(board.waiting),
        staff_present=board.staff_present,
        estimate_minutes=board.estimate(len(board.waiting) + 1) if closed is None else None,
        guidance=await guidance.list_guidance(tx, at),
        holidays=guidance.holidays(at),
        app_name=ctx.settings.app_name,
        quick_exit_url=ctx.settings.quick_exit_url,
        keeper_user_id=case_room.keeper_id(ctx),
        push_key=ctx.web_push.public_key if ctx.web_push is not None else None,
        voice_seconds=settings.voice_seconds,
        questions=settings.questions,
        previous_cases=settings.shows_previous,
        readers=await readers.list_readers(ctx, tx),
        texts=await texts.own(tx),
    )


async def get_challenge(call: Call) -> Challenge:
    """What somebody without an account solves before they arrive. Good once, for twenty minutes."""
    return await proof.get_challenge(call.ctx, call.tx)


async def open_case(call: Call, body: OpenCase) -> OpenedCase:
    """Opens a case. Without a session an account without a name is made; with one, the running case is given again."""
    session = call.caller
    if session is not None:
        session.must_not_be_suspended()
    bridged = body.channel not in channels.OWN
    if bridged and (session is None or session.appservice is None):
        raise errors.NotAllowed("Only the desk's bridges bring people from an app.")
    if session is not None and session.appservice is not None and "user_id" not in call.query:
        raise errors.MissingParam("A bridge says for whom, by user_id.")
    if body.channel == "matrix" and session is None:
        raise errors.MissingToken("Who comes by Matrix has an account.")
    if bridged and session is not None:
        await moves.check_not_moved(call.tx, session.user_id)
    arrived = await cases.arrive(
        call.ctx,
        call.tx,
        session.user_id if session else None,
        channel=body.channel,
        channel_id=body.channel_id,
        language=body.language,
        with_password=body.with_password,
        arrival_key=body.arrival_key,
        solved=body.proof,
    )
    case, started = arrived.case, arrived.session
    if started is None:
        return OpenedCase(case.id, case.room_id, case.user_id)
    return OpenedCase(case.id, case.room_id, case.user_id, started.device_id, started.access_token, arrived.password)


async def get_my_case(call: Call, query: WaitQuery) -> MyCase:
    """The caller's newest case; with `after` as soon as it stands differently from what they were told then."""
    ctx, user_id = call.ctx, call.session.user_id
    if query.after is not None:
        pos, found = await queue.next_place(ctx, user_id, query.after, query.seconds)
        if found is not None:
            return _mine(pos, found, None)
    async with ctx.db.transaction() as tx:
        board = await queue.board(ctx, tx)
        found = board.place_of(user_id)
        blocked = None
        if found is None:
            ended = await stored.get_latest_case(tx, user_id)
            if ended is None:
                await moves.check_not_moved(tx, user_id)
                raise errors.NotFound("You have no case here.")
            blocked = await blocks.get_end(tx, user_id, ctx.clock.now())
            found = MyPlace(
                case_id=ended.id,
                room_id=ended.room_id,
                state=ended.state,
                place=None,
                staff_present=board.staff_present,
                estimate=None,
                counsellor=None,
                accepted=True,
                answers=None,
                repeat=False,
                previous_shown=None,
            )
    queue.boards(ctx).tell(user_id, board.pos, found)
    return _mine(board.pos, found, blocked)


def _mine(pos: int, found: MyPlace, blocked: datetime | None) -> MyCase:
    return MyCase(
        case_id=found.case_id,
        room_id=found.room_id,
        state=found.state,
        place=found.place,
        ahead=None if found.place is None else found.place - 1,
        staff_present=found.staff_present,
        estimate_minutes=found.estimate,
        counsellor=found.counsellor,
        answers=found.answers,
        may_answer=not found.accepted,
        repeat=found.repeat,
        previous_shown=found.previous_shown,
        blocked_until=None if blocked is None else int(blocked.timestamp() * 1000),
        pos=pos,
    )


async def leave_for_now(call: Call) -> Left:
    """The young person goes and may return: their case rests until they write or come back. Who waits, waits on."""
    case = await resting.leave_for_now(call.ctx, call.tx, call.session.user_id)
    return Left(case.id, case.state)


async def leave_my_case(call: Call) -> Left:
    """The young person ends their case."""
    case = await cases.leave(call.ctx, call.tx, call.session.user_id)
    return Left(case.id, case.state)
