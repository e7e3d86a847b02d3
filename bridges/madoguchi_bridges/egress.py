"""Which hosts this process has called, and how often: counted at the HTTP sessions of all libraries, told to the desk.

The viewing ledger holds the counts against the list of hosts that may be called. Only hosts are counted.
"""

import asyncio
from collections import Counter

import aiohttp
import structlog
from yarl import URL

from .desk import Desk, Refused, Unreachable

log = structlog.stdlib.get_logger(__name__)

REPORT_SECONDS = 60.0

_called: Counter[str] = Counter()


def watch(session: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """Counts whatever goes out by a session from now on; twice counts no more."""
    if _trace not in session.trace_configs:
        session.trace_configs.append(_trace)
    return session


async def report(desk: Desk) -> None:
    """Tells the desk for as long as it runs."""
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        await report_now(desk)


async def report_now(desk: Desk) -> None:
    """Tells the desk what has been counted. What it could not be told is told the next time."""
    counted = _called.copy()
    if not counted:
        return
    try:
        await desk.report_egress(dict(counted))
    except (Unreachable, Refused) as error:
        log.warning("egress report waits", error=type(error).__name__)
        return
    _called.subtract(counted)
    for host in counted:
        if not _called[host]:
            del _called[host]


def _count(url: URL) -> None:
    host = (url.host or "").lower()
    _called[host if url.is_default_port() else f"{host}:{url.port}"] += 1


async def _on_start(session: aiohttp.ClientSession, context: object, params: aiohttp.TraceRequestStartParams) -> None:
    _count(params.url)


async def _on_redirect(
    session: aiohttp.ClientSession, context: object, params: aiohttp.TraceRequestRedirectParams
) -> None:
    where = params.response.headers.get("Location")
    if where is not None:
        _count(params.url.join(URL(where)))


_trace = aiohttp.TraceConfig()
_trace.on_request_start.append(_on_start)
_trace.on_request_redirect.append(_on_redirect)
_trace.freeze()
