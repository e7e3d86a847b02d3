"""What is forgotten, and after how long."""

from datetime import timedelta
from typing import Any

import structlog

from madoguchi.context import Context
from madoguchi.core.chat import sessions
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.cases import ARRIVAL_REPEATED_WITHIN
from madoguchi.storage import cases, jobs, sliding_states, staff, to_device
from madoguchi.storage import retention as stored
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


async def forget_admin_links(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """One-time links that expired unused."""
    _tell("admin links", await staff.delete_expired_admin_links(tx, ctx.clock.now() - ADMIN_LINKS))


async def forget_sliding_states(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Connections of sliding sync that have not changed for a month."""
    _tell("sliding states", await sliding_states.delete_states_before(tx, ctx.clock.ms() - SLIDING_STATES_MS))


async def forget_arrivals(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Keys under which an arrival can no longer be repeated."""
    _tell("arrivals", await cases.delete_arrivals(tx, ctx.clock.now() - ARRIVAL_REPEATED_WITHIN))


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


def _tell(what: str, count: int) -> None:
    if count:
        log.info("forgotten", what=what, count=count)
