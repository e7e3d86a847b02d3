"""What is forgotten, and after how long."""

from datetime import timedelta
from typing import Any

import msgspec
import structlog

from madoguchi.context import Context
from madoguchi.core.chat import sessions
from madoguchi.core.desk import case_room, holds, periods, purge, resting, side_room, staff_commands, wishes
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.cases import ARRIVAL_REPEATED_WITHIN
from madoguchi.ids import CaseID
from madoguchi.storage import (
    app_moves,
    backups,
    cases,
    disclosures,
    jobs,
    moves,
    proofs,
    purging,
    sliding_states,
    staff,
    staff_room,
    to_device,
)
from madoguchi.storage import retention as stored
from madoguchi.storage import wishes as stored_wishes
from madoguchi.storage.db import Tx

log = structlog.get_logger()

_DAY_MS = 24 * 60 * 60 * 1000
# A client repeats a request under its transaction id until it is answered; after a week offline it has given up.
TRANSACTIONS_MS = 7 * _DAY_MS
INTERACTIVE_AUTH_MS = _DAY_MS
# A link that has expired is kept a while: the administrator is told so, rather than that it never was.
ADMIN_LINKS = timedelta(days=30)
# A client that looked at nothing new for so long begins anew.
SLIDING_STATES_MS = 30 * _DAY_MS
_AT_ONCE = 50
_CASES_AT_ONCE = 1000


async def forget_admin_links(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """One-time links that expired unused."""
    _tell("admin links", await staff.delete_expired_admin_links(tx, ctx.clock.now() - ADMIN_LINKS))
    _tell("staff links", await staff.delete_expired_links(tx, ctx.clock.now()))


async def forget_sliding_states(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Connections of sliding sync that have not changed for a month."""
    _tell("sliding states", await sliding_states.delete_states_before(tx, ctx.clock.ms() - SLIDING_STATES_MS))


async def forget_arrivals(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Keys under which an arrival can no longer be repeated."""
    _tell("arrivals", await cases.delete_arrivals(tx, ctx.clock.now() - ARRIVAL_REPEATED_WITHIN))


async def forget_proofs(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Proofs of work that are refused by their age alone."""
    _tell("proofs", await proofs.delete_expired(tx, ctx.clock.now()))


async def forget_move_links(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Links to a move that ran out. They are kept a while: somebody is told so, rather than that it never was one."""
    _tell("move links", await moves.delete_old_links(tx, ctx.clock.now() - ADMIN_LINKS))
    _tell("app tickets", await app_moves.delete_old_tickets(tx, ctx.clock.now() - ADMIN_LINKS))


async def forget_sightings(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Network addresses of people for whose life two people had opened the glass, once that is over."""
    _tell("sightings", await disclosures.delete_sightings(tx, ctx.clock.now()))


async def forget_interactive_auth(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Interactive authentications that nobody finished."""
    _tell("interactive auth", await stored.delete_interactive_auth(tx, ctx.clock.ms() - INTERACTIVE_AUTH_MS))


async def forget_login_tokens(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Login tokens that expired unused."""
    _tell("login tokens", await stored.delete_login_tokens(tx, ctx.clock.ms()))


async def forget_transactions(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Transaction ids that are no longer repeated."""
    _tell("transaction ids", await stored.delete_transactions(tx, ctx.clock.ms() - TRANSACTIONS_MS))
    _tell("to-device ids", await to_device.delete_transactions_before(tx, ctx.clock.ms() - TRANSACTIONS_MS))


async def forget_reserved_media(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Media ids that were reserved and never filled."""
    _tell("reserved media", await stored.delete_reserved_media(tx, ctx.clock.ms()))


async def forget_abandoned_sessions(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Devices, tokens and keys of anonymous people who have not come back for long and have no running case."""
    days = (await desk_settings.get(tx)).session_days
    abandoned = await stored.list_abandoned(tx, ctx.clock.ms() - days * _DAY_MS, _AT_ONCE)
    if len(abandoned) == _AT_ONCE:
        # The rest in a transaction of its own: this one holds the stream, and everybody who writes waits for it.
        await jobs.insert_job(tx, "forget_abandoned_sessions", abandoned[-1], ctx.clock.now())
    for user_id in abandoned:
        await sessions.end_all(ctx, tx, user_id)
    _tell("abandoned sessions", len(abandoned))


async def purge_old_cases(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Sees to it that each case is purged once its time is over, and forgotten a month later."""
    now = ctx.clock.now()
    days = (await desk_settings.get(tx)).content_days
    due = await purging.list_due(tx, now - timedelta(days=days), now, _CASES_AT_ONCE)
    gone = await purging.list_to_forget(tx, now - purge.TRACES_KEPT, _CASES_AT_ONCE)
    apart = await periods.list_due(ctx, tx, _CASES_AT_ONCE)
    # Each in a transaction of its own: it holds the stream, and everybody who writes waits for it.
    for case_id in due:
        await jobs.insert_job(tx, "purge_case", case_id, now, _about(case_id))
    for case_id in gone:
        await jobs.insert_job(tx, "forget_case", case_id, now, _about(case_id))
    for kind, case_id in apart:
        about = msgspec.json.encode({"case_id": case_id, "kind": kind}).decode()
        await jobs.insert_job(tx, "destroy_kind", f"{kind} {case_id}", now, about)


async def purge_case(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """One case whose time is over, unless the time has been made longer or the case was held since."""
    case = await cases.get_case(tx, body["case_id"])
    days = (await desk_settings.get(tx)).content_days
    if case is None or case.closed_at is None or case.closed_at >= ctx.clock.now() - timedelta(days=days):
        return
    if await holds.standing(ctx, tx, case.id):
        return
    await purge.purge(ctx, tx, case.id, by="retention")
    await jobs.insert_job(tx, "remove_files", "", ctx.clock.now())


async def destroy_kind(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """A kind of one case whose time is over before or after the rest, unless the case was held since."""
    if await periods.destroy(ctx, tx, body["case_id"], body["kind"]) and body["kind"] == "media":
        await jobs.insert_job(tx, "remove_files", "", ctx.clock.now())


async def cut_audit_log(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Entries of the audit log that are older than the desk keeps them."""
    await periods.cut_audit_log(ctx, tx)


async def grant_wishes(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Wishes for early deletion that are due, each case in a transaction of its own; held ones wait."""
    now = ctx.clock.now()
    for covered in await stored_wishes.list_covered(tx, now, now):
        if covered.code is None:
            about = msgspec.json.encode({"wish_id": covered.wish_id, "case_id": covered.case_id}).decode()
            await jobs.insert_job(tx, "grant_wish", covered.case_id, now, about)
    await wishes.finish(ctx, tx)


async def grant_wish(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """One case of these."""
    if await wishes.grant(ctx, tx, body["wish_id"], body["case_id"]):
        await wishes.finish(ctx, tx)
        await jobs.insert_job(tx, "remove_files", "", ctx.clock.now())


async def forget_case(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """The last traces of one purged case."""
    await purge.forget(ctx, tx, body["case_id"])


async def remove_files(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Files in the store that belong to nothing any more. What can't be removed now stays on the list."""
    names = await purging.list_removals(tx, _AT_ONCE)
    for name in names:
        await ctx.media.delete(name)
    await purging.delete_removals(tx, names)
    if len(names) == _AT_ONCE:
        await jobs.insert_job(tx, "remove_files", names[-1], ctx.clock.now())
    _tell("files", len(names))


async def tidy_side_rooms(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Who forgot to leave the side room of an ended case."""
    _tell("side seats", await side_room.tidy(ctx, tx))


async def forget_copied_keys(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """The copies that the keeper keeps for its own recovery, of cases that have ended."""
    _tell("copied keys", await backups.delete_keys_of_ended(tx, case_room.keeper_id(ctx)))


async def forget_staff_commands(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Commands of the staff room that are too old to be repeated."""
    _tell("staff commands", await staff_room.delete_commands(tx, ctx.clock.now() - 2 * staff_commands.FORGOTTEN))


async def tidy_resting(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Cases that are due to rest, to wake or to end, each in a transaction of its own."""
    for case_id in await resting.list_due(ctx, tx):
        await jobs.insert_job(tx, "look_after_resting", case_id, ctx.clock.now(), _about(case_id))


async def look_after_resting(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """One of these."""
    await resting.look_after(ctx, tx, body["case_id"])


def _about(case_id: CaseID) -> str:
    return msgspec.json.encode({"case_id": case_id}).decode()


def _tell(what: str, count: int) -> None:
    if count:
        log.info("forgotten", what=what, count=count)
