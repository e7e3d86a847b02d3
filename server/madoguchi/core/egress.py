"""The only way out: HTTP from the server's processes to an address that the operator has named, and to nothing else.

A `Way` leads to one address. It follows no redirect, keeps no cookie, heeds no proxy of the environment, and reads only
so much of an answer. Whoever makes one takes the address from the settings or from a file of the operator's, never from
what a client sends, unless a setting names it or all hosts under a name (`web_push_services`).

Each request is counted by its host, and `keep` writes the counts down: the viewing ledger holds them against the list.
"""

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
import asyncpg
from yarl import URL

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.storage import egress as stored

TIMEOUT_S = 10.0
_CONNECT_S = 5.0
MOST_BYTES = 64 * 1024
_KEEP_EVERY_S = 60.0

# Requests of this process to each host, as far as they have not been written down.
_called: collections.Counter[str] = collections.Counter()


class Answer(NamedTuple):
    """status: of HTTP; body: as it came, at most `MOST_BYTES` of it."""

    status: int
    body: bytes


class Way:
    """The way to one address, with the token that is shown there (None: none). Connections are kept between calls."""

    def __init__(self, base_url: str, token: str | None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._base = base_url.rstrip("/")
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(_CONNECT_S, timeout_s)),
            headers={"User-Agent": "madoguchi"} | ({"Authorization": f"Bearer {token}"} if token else {}),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request. path: percent-encoded, with its query; body: JSON, unless `headers` say what it is.

        Raises ConnectionFailed, ConnectionTimeout; an answer of whatever status is an answer.
        """
        headers = headers or ({"Content-Type": "application/json"} if body is not None else {})
        note(self._base)
        try:
            async with self._http.request(
                method, URL(self._base + path, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as answer:
                return Answer(answer.status, await _first(answer.content))
        except TimeoutError:
            raise errors.ConnectionTimeout("No answer came in time.") from None
        except (aiohttp.ClientError, OSError, ValueError):
            # ValueError: what came is not HTTP at all.
            raise errors.ConnectionFailed("The address can't be reached.") from None

    async def close(self) -> None:
        """Gives the connections back."""
        await self._http.close()


async def _first(stream: aiohttp.StreamReader) -> bytes:
    got = bytearray()
    while len(got) < MOST_BYTES and (piece := await stream.read(MOST_BYTES - len(got))):
        got += piece
    return bytes(got)


@asynccontextmanager
async def way(base_url: str, token: str, *, timeout_s: float = TIMEOUT_S) -> AsyncIterator[Way]:
    """A way for few calls."""
    made = Way(base_url, token, timeout_s=timeout_s)
    try:
        yield made
    finally:
        await made.close()


def note(address: str) -> None:
    """Counts a request that another library makes to an address."""
    _called[host_of(address)] += 1


def host_of(address: str) -> str:
    """The host of a URL, as it is counted: with its port only where it is not the usual one."""
    url = URL(address)
    host = (url.host or "").lower()
    return host if url.is_default_port() or url.explicit_port is None else f"{host}:{url.port}"


async def keep(ctx: Context, process: str) -> None:
    """Writes down for as long as the process runs which hosts it has called, and once more when it ends."""
    try:
        while True:
            await asyncio.sleep(_KEEP_EVERY_S)
            try:
                await keep_now(ctx, process)
            except (OSError, asyncpg.PostgresError):
                continue  # they are counted on, until the database is back
    finally:
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            await keep_now(ctx, process)


async def keep_now(ctx: Context, process: str) -> None:
    """Writes down what has been counted. Raises what the database raises; nothing is forgotten then."""
    counted = _called.copy()
    if not counted:
        return
    async with ctx.db.transaction() as tx:
        await stored.add(tx, ctx.clock.now().date(), process, counted)
    _called.subtract(counted)
    for host in counted:
        if not _called[host]:
            del _called[host]
