"""The line between a phone and the desk, which can be cut, and a server on it that is not well."""

import asyncio
import contextlib
from urllib.parse import urlsplit

from tests.house import free_port

_UNWELL = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 7\r\nConnection: close\r\n\r\nbroken\n"


class Wire:
    """Carries bytes between `address` and a house. Moods: `good`, `cut` (nothing gets through), `unwell` (502)."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._to = (parts.hostname, parts.port)
        self._port = free_port()
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self.mood = "good"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.becomes("cut")
        assert self._server is not None
        self._server.close()

    async def becomes(self, mood: str) -> None:
        """From now on; what is under way ends."""
        self.mood = mood
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            if self.mood == "unwell":
                await reader.read(65536)
                writer.write(_UNWELL)
                await writer.drain()
            elif self.mood == "good":
                beyond, out = await asyncio.open_connection(*self._to)
                try:
                    await asyncio.gather(_carry(reader, out), _carry(beyond, writer))
                finally:
                    out.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._talks.discard(task)
            with contextlib.suppress(OSError):
                writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.close()
