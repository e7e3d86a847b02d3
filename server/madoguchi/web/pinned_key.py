"""The key of the roster, as the pages bring it along: `/roster-key.txt`, the operator's public key or an empty text.

Whoever hosts the pages apart from `serve` puts the file beside them.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from madoguchi.web.static import Static

ADDRESS = "/roster-key.txt"
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class PinnedKey:
    """Answers for the key, and hands everything else on. read: gives the key as it is now, None without one."""

    def __init__(self, read: Callable[[Path], str | None], keys: Path, static: Static, rest: Handler) -> None:
        self._read = read
        self._keys = keys
        self._static = static
        self._rest = rest

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD") or request.path != ADDRESS:
            return await self._rest(request)
        return self._static.made((self._read(self._keys) or "").encode(), "text/plain; charset=utf-8")
