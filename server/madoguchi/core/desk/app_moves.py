"""From app to app, and back from the page to one: a running case goes on there, by the person's own word.

The person carries a single-use token (in the link that opens the other app) or the short code, and the bridge hands it
in for their ghost there, before anything of it counts as said. The keeper invites the new ghost, without the history:
what was said before stays closed to the app they come to. The one before goes once the new one is there.

Nobody learns anything by guessing: a code of another app's is unknown here, and who tries often is not looked at.
"""

import secrets
from datetime import timedelta
from typing import Literal

import msgspec
import structlog

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.chat import web_push
from madoguchi.core.desk import cases, channels, moves
from madoguchi.ids import CaseID, UserID
from madoguchi.storage import accounts, audit, stream, suspensions
from madoguchi.storage import app_moves as stored
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import channels as stored_channels
from madoguchi.storage import moves as stored_moves
from madoguchi.storage.app_moves import App, AppTicket
from madoguchi.storage.cases import Case
from madoguchi.storage.db import Tx
from madoguchi.storage.staff import Staff
from madoguchi.storage.stream import Note

MOST_WRONG = 10
WRONG_WITHIN = timedelta(hours=1)
# Tells a token from whatever else a link to an app's account may carry. Telegram takes 64 letters of [A-Za-z0-9_-].
TOKEN_MARK = "m_"
log = structlog.get_logger()

Outcome = Literal["moved", "unknown", "elsewhere", "used", "expired", "ended", "busy", "often", "closed"]


class Ticket(msgspec.Struct, frozen=True):
    """url: opens the app with the token or the code in it; code: to be typed there instead; name, mode: of the channel;
    expires_at: milliseconds."""

    url: str
    code: str
    channel_id: str
    kind: str
    name: str
    mode: str
    expires_at: int


class Redeemed(msgspec.Struct, frozen=True):
    """What became of a token or code that somebody brought to an app.

    moved: their case goes on there, in this room, since that moment (ms); unknown: it opens nothing here; elsewhere: it
    is of their own case, for another app; used, expired, ended: it was good once; busy: they have a case already;
    often: not looked at, after too many wrong ones; closed: the channel takes nobody in
    """

    outcome: Outcome
    case_id: str | None = None
    room_id: str | None = None
    at: int | None = None


async def list_apps(tx: Tx, case: Case) -> list[App]:
    """The channels to apps on which a case could go on: those that take people in, but the one where it is."""
    return [app for app in await stored.list_apps(tx) if app.channel_id != case.channel_id]


async def list_apps_of(tx: Tx, case_id: CaseID, by: Staff) -> list[App]:
    """Where the person of a case on an app can be offered to go on. Raises NotAllowed, NotFound."""
    case, _ = await cases.lock_of(tx, case_id, by)
    return await list_apps(tx, case) if case.running and await moves.is_on_an_app(tx, case.user_id) else []


async def list_own_apps(tx: Tx, user_id: UserID) -> list[App]:
    """Where whoever came from an app may go back to: apps that carry words. Nobody else is led away from the page."""
    case = await stored_cases.get_running_case(tx, user_id)
    if case is None or case.channel not in channels.OWN or not await stored.came_by_an_app(tx, case.id):
        return []
    return [app for app in await list_apps(tx, case) if app.mode == "relay"]


async def offer(ctx: Context, tx: Tx, case_id: CaseID, by: Staff, to: str) -> Case:
    """Lets the bridge offer the person of a case to go on in another app. Raises what `moves.offer` raises, and
    Conflict for a channel that takes nobody in."""
    case = await moves.lock_on_an_app(tx, case_id, by)
    if to not in {app.channel_id for app in await list_apps(tx, case)}:
        raise errors.Conflict("Nobody can go on there now.")
    at = ctx.clock.now()
    await stored_moves.put_move(tx, case_id, case.channel_id, case.user_id, at, by.user_id, None, to)
    await stored_cases.insert_step(tx, case_id, at, "move_offered", by.user_id)
    await stream.publish(tx, Note("desk", "queue"))
    return case


async def ticket(ctx: Context, tx: Tx, ghost: UserID) -> Ticket:
    """The token and code of the offer to whom a ghost stands for. Raises NotFound where nobody has offered, Conflict
    where the app takes nobody in any more."""
    case = await stored_cases.get_running_case(tx, ghost)
    move = await stored_moves.lock_move(tx, case.id) if case is not None else None
    if case is None or move is None or move.to_channel is None or move.ghost != ghost:
        raise errors.NotFound("Nobody has offered them another app.")
    return await _ticket(ctx, tx, case, move.to_channel, await list_apps(tx, case))


async def own_ticket(ctx: Context, tx: Tx, user_id: UserID, channel_id: str) -> Ticket:
    """A token and code by which somebody on the page goes back to an app. Raises NotFound, Conflict."""
    case = await stored_cases.get_running_case(tx, user_id)
    if case is None:
        raise errors.NotFound("You have no case here.")
    return await _ticket(ctx, tx, case, channel_id, await list_own_apps(tx, user_id))


async def _ticket(ctx: Context, tx: Tx, case: Case, channel_id: str, apps: list[App]) -> Ticket:
    app = next((app for app in apps if app.channel_id == channel_id), None)
    if app is None:
        raise errors.Conflict("Nobody can go on there now.")
    at = ctx.clock.now()
    token, expires_at = TOKEN_MARK + secrets.token_urlsafe(32), at + moves.LINK_FOR
    while True:
        code = moves.new_code()
        made = AppTicket(moves.token_hash(token), case.id, channel_id, expires_at, None)
        if await stored.insert_ticket(tx, made, await moves.code_hash(code), at):
            break
    shown = f"{code[:4]}-{code[4:]}"
    url = app.start_url.replace("{token}", token).replace("{code}", shown)
    return Ticket(url, shown, channel_id, app.kind, app.name, app.mode, moves.milliseconds(expires_at))


async def redeem(
    ctx: Context, tx: Tx, ghost: UserID, channel_id: str, token: str | None, code: str | None, event: str
) -> Redeemed:
    """Takes a token or a code that somebody sent to an app, where `ghost` stands for them. Each event counts once.

    event: the bridge's own name of what brought it. Raises Invalid, NotAllowed for whom no bridge stands for.
    """
    answer = await _redeem(ctx, tx, ghost, channel_id, token, code, event)
    if answer.outcome != "moved":
        log.info("move refused", reason=answer.outcome, channel=channel_id, user_id=ghost)
    return answer


async def _redeem(
    ctx: Context, tx: Tx, ghost: UserID, channel_id: str, token: str | None, code: str | None, event: str
) -> Redeemed:
    if (token is None) == (code is None):
        raise errors.Invalid("Either a token or a code.")
    await stored_cases.lock_person(tx, ghost)
    if not await moves.is_on_an_app(tx, ghost):
        raise errors.NotAllowed("Only whom a bridge stands for comes by an app.")
    at = ctx.clock.now()
    before = await stored.get_try(tx, event, ghost)
    if before is not None:
        return await _again(tx, ghost, before)
    way = await stored_channels.get_channel(tx, channel_id)
    account = await accounts.get_account(tx, ghost)
    if way is None or way.kind in channels.OWN or not channels.takes_cases(way) or not channels.may_bring(account, way):
        return Redeemed("closed")
    if await stored.count_wrong(tx, ghost, at - WRONG_WITHIN) >= MOST_WRONG:
        return Redeemed("often")
    token_hash = moves.token_hash(token) if token is not None else None
    code_hash = await moves.code_hash(code) if code is not None else None
    ticket = await stored.get_ticket(tx, token_hash=token_hash, code_hash=code_hash)
    case = await stored_cases.lock_case(tx, ticket.case_id) if ticket is not None else None
    if ticket is None or case is None or ticket.channel_id != channel_id:
        if case is not None and case.id in (await _own_cases(tx, ghost)):
            return Redeemed("elsewhere")
        await stored.insert_try(tx, event, ghost, at, None)
        return Redeemed("unknown")
    # Read again, for somebody may have used it while this waited.
    ticket = await stored.get_ticket(tx, token_hash=ticket.token_hash)
    if not case.running:
        return Redeemed("ended")
    if ticket is None or ticket.used_at is not None:
        return Redeemed("used")
    if ticket.expires_at <= at:
        return Redeemed("expired")
    # One case at a time; back to where they came from, it is the same one.
    if await _own_cases(tx, ghost) - {case.id}:
        return Redeemed("busy")
    await _move(ctx, tx, case, ghost, channel_id)
    await stored.insert_try(tx, event, ghost, at, case.id)
    return Redeemed("moved", case.id, case.room_id, moves.milliseconds(at))


async def _again(tx: Tx, ghost: UserID, before: stored.Try) -> Redeemed:
    """The answer that was lost."""
    if before.case_id is None:
        return Redeemed("unknown")
    case = await stored_cases.get_case(tx, before.case_id)
    if case is None or not case.running or case.user_id != ghost:
        return Redeemed("ended")
    return Redeemed("moved", case.id, case.room_id, moves.milliseconds(before.at))


async def _own_cases(tx: Tx, ghost: UserID) -> set[CaseID]:
    """The running cases of whom a ghost stands for: here, and where they went from here."""
    running = await stored_cases.get_running_case(tx, ghost)
    found = {running.id if running is not None else None, await stored_moves.get_moved_case(tx, ghost)}
    return {case_id for case_id in found if case_id is not None}


async def _move(ctx: Context, tx: Tx, case: Case, ghost: UserID, channel_id: str) -> None:
    at = ctx.clock.now()
    await stored_moves.update_person(tx, case.id, ghost, channel_id, at)
    await stored.put_arrived(tx, case.id, channel_id, ghost, at)
    # Two people had signed for the app where it was, not for this one.
    await suspensions.delete_kept(tx, case.id)
    await web_push.forget(tx, case.user_id)
    await stored_cases.insert_step(tx, case.id, at, "moved", case.user_id, ghost)
    await cases.tell(ctx, tx, case.id)
    await audit.append(tx, at, ghost, "case.moved", case.id, before=case.channel_id, after=channel_id)
