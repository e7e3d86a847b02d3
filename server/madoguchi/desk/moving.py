"""Moving 引っ越し: the offer of a counsellor, the person's own word, and what the bridges bring."""

from time import monotonic
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from madoguchi import errors
from madoguchi.core.chat.sessions import Started
from madoguchi.core.desk import app_moves, cases, moves, moves_matrix
from madoguchi.core.desk.moves import Moving, Ticket
from madoguchi.core.desk.moves_matrix import Invite
from madoguchi.desk.app_moving import ChannelID
from madoguchi.desk.arrival import ArrivalKey, OpenedCase, WaitQuery
from madoguchi.desk.counselling import Changed
from madoguchi.desk.permissions import caller
from madoguchi.storage import moves as stored
from madoguchi.storage import stream
from madoguchi.storage.cases import Case
from madoguchi.storage.moves import Errand
from madoguchi.web.endpoint import Call

# News become due by time alone.
LOOK_AGAIN_S = 2.0

Passphrase = Annotated[str, Meta(min_length=1, max_length=100)]


class Offer(msgspec.Struct):
    """passphrase: agreed between person and counsellor, for a phone that others use as well. to: the channel of another
    app (`move/apps`); without it, to the page."""

    passphrase: Passphrase | None = None
    to: ChannelID | None = None


class MoveLink(msgspec.Struct):
    """Either the token of a link, or the short code that was given with it."""

    token: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    code: Annotated[str, Meta(min_length=1, max_length=40)] | None = None


class ConfirmMove(MoveLink):
    """arrival_key: as with a new case; with the same key a request whose answer was lost can be repeated."""

    passphrase: Passphrase | None = None
    with_password: bool = False
    arrival_key: ArrivalKey | None = None


class Declined(msgspec.Struct, frozen=True):
    """declined: the person stays where they are; the link goes on working."""

    declined: bool = True


class News(msgspec.Struct):
    """wanted: whether the app that the caller came from may say that there is news."""

    wanted: bool


class Errands(msgspec.Struct, frozen=True):
    """What is to be brought to people on apps, those in danger first."""

    pos: int
    errands: list[Errand]


class Told(msgspec.Struct):
    """queued: the bridge has the offer and will not forget it; notified: the app has taken it; unreachable: the app
    says that the person can't be reached; news: the app was told that there is news."""

    what: Literal["queued", "notified", "unreachable", "news"]


class Noted(msgspec.Struct, frozen=True):
    case_id: str


async def offer_move(call: Call, case_id: str, body: Offer) -> Changed:
    """Offers the person of a case on an app to go on in the sealed room, or at another app, by a link that the bridge
    brings."""
    by = await caller(call, call.tx)
    if body.to is not None:
        case = await app_moves.offer(call.ctx, call.tx, case_id, by, body.to)
    else:
        case = await moves.offer(call.ctx, call.tx, case_id, by, body.passphrase)
    return Changed(case.id, case.room_id, case.state)


async def bring_move(call: Call, case_id: str, body: Offer) -> Ticket:
    """A link and a code to the page for the person of a case in a Matrix client: the caller's own client brings them,
    encrypted, into the case's room."""
    return await moves_matrix.bring(call.ctx, call.tx, case_id, await caller(call, call.tx), body.passphrase)


async def invite_to_matrix(call: Call) -> Invite:
    """A code by which the caller's case goes on, once, with an account in a Matrix client."""
    call.session.must_not_be_suspended()
    return await moves_matrix.invite(call.ctx, call.tx, call.session.user_id)


async def look_at_move(call: Call, body: MoveLink) -> Moving:
    """What a link leads to, and whether it asks for a passphrase. Looking spends nothing."""
    return await moves.look(call.ctx, call.tx, body.token, body.code)


async def confirm_move(call: Call, body: ConfirmMove) -> OpenedCase:
    """Goes on with the case of a link: as somebody new, or with a session as oneself. The link is spent by it."""
    ctx, session = call.ctx, call.caller
    if session is not None:
        session.must_not_be_suspended()
        if session.appservice is not None:
            raise errors.NotAllowed("Whom a bridge stands for stays on their app.")
    if session is None and body.arrival_key is not None:
        async with ctx.db.transaction() as tx:
            before = await cases.arrived_before(ctx, tx, body.arrival_key, body.with_password)
            came_as = await stored.list_past_persons(tx, before.case.id) if before is not None else []
        if before is not None and before.session is not None:
            return _opened(before.case, before.session, before.password, came_as)
    # A transaction of its own: a wrong passphrase stays counted when the answer is a refusal.
    async with ctx.db.transaction() as tx:
        left = await moves.check_passphrase(ctx, tx, body.token, body.code, body.passphrase)
    if left >= 0:
        raise errors.WrongPassphrase("This link asks for another passphrase.", tries_left=left)
    async with ctx.db.transaction() as tx:
        into = session.user_id if session is not None else None
        moved = await moves.confirm(
            ctx,
            tx,
            body.token,
            body.code,
            into,
            with_password=body.with_password,
            arrival_key=body.arrival_key,
        )
    return _opened(moved.case, moved.session, moved.password, moved.before)


def _opened(case: Case, started: Started | None, password: str | None, before: list[str]) -> OpenedCase:
    if started is None:
        return OpenedCase(case.id, case.room_id, case.user_id, before=before)
    return OpenedCase(case.id, case.room_id, case.user_id, started.device_id, started.access_token, password, before)


async def decline_move(call: Call, body: MoveLink) -> Declined:
    """The person of a link would rather stay on their app."""
    await moves.decline(call.ctx, call.tx, body.token, body.code)
    return Declined()


async def put_news(call: Call, body: News) -> News:
    """Whether the app that the caller came from may still say that there is news."""
    await moves.want_news(call.tx, call.session.user_id, body.wanted)
    return body


async def list_errands(call: Call, query: WaitQuery) -> Errands:
    """What the caller's ghosts are to be brought; with `after` as soon as there is something.

    The answer follows from how things stand: what is not reported as done stands in the next one too.
    """
    appservice = call.session.appservice or ""
    until = monotonic() + (query.seconds if query.after is not None else 0)
    while True:
        ctx = call.ctx
        async with ctx.db.transaction() as tx:
            now = ctx.clock.now()
            pos = await stream.position(tx)
            errands = await stored.list_errands(
                tx, appservice, round((now - moves.NEWS_AFTER).timestamp() * 1000), now - moves.NEWS_EVERY
            )
        left = until - monotonic()
        if errands or left <= 0:
            return Errands(pos, errands)
        await ctx.hub.wait_for_desk(pos, min(left, LOOK_AGAIN_S))


async def make_ticket(call: Call) -> Ticket:
    """A link and a code to the running case of whom the calling ghost stands for, or stood for before they moved."""
    return await moves.ticket(call.ctx, call.tx, call.session.user_id)


async def post_told(call: Call, case_id: str, body: Told) -> Noted:
    """What became of an errand, said as the ghost whom it was for."""
    await moves.told(call.ctx, call.tx, case_id, call.session.user_id, body.what)
    return Noted(case_id)
