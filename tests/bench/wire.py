"""A small, fast HTTP/1.1 client: requests are encoded once, answers are split and nothing more.

A load generator shares the machine with the server it measures, so what it costs itself must be small.
"""

import asyncio
from typing import Any, cast
from urllib.parse import quote, urlsplit

import orjson


class Refused(Exception):
    """An answer other than 2xx."""


class Wire(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._got = bytearray()
        self._head_end = -1
        self._status = 0
        self._length: int | None = None
        self._chunked = False
        self._closes = False

    # -- asyncio.Protocol --------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("closed by the server"))

    def data_received(self, data: bytes) -> None:
        self._got += data
        if self._head_end < 0:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return
            self._head_end = end + 4
            self._read_head(bytes(self._got[:end]))
        body = self._body()
        if body is not None and self._answer is not None and not self._answer.done():
            self._answer.set_result((self._status, body))
            if self._closes and self._transport:
                self._transport.close()
                self._transport = None

    def _read_head(self, head: bytes) -> None:
        lines = head.split(b"\r\n")
        self._status = int(lines[0].split(b" ", 2)[1])
        self._length, self._chunked, self._closes = None, False, False
        for line in lines[1:]:
            key, _, value = line.partition(b":")
            key = key.lower()
            if key == b"content-length":
                self._length = int(value)
            elif key == b"transfer-encoding":
                self._chunked = b"chunked" in value.lower()
            elif key == b"connection":
                self._closes = b"close" in value.lower()

    def _body(self) -> bytes | None:
        if self._chunked:
            if not self._got.endswith(b"0\r\n\r\n"):
                return None
            return _unchunk(self._got, self._head_end)
        length = self._length or 0
        if len(self._got) - self._head_end < length:
            return None
        return bytes(self._got[self._head_end : self._head_end + length])

    # -- asking ------------------------------------------------------------------------------------------------------
    async def raw(self, request: bytes) -> tuple[int, bytes]:
        """Send an encoded request; answers status and body."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            await loop.create_connection(lambda: self, self.host, self.port)
        assert self._transport is not None
        self._got.clear()
        self._head_end = -1
        self._answer = loop.create_future()
        self._transport.write(request)
        return await self._answer

    async def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        """Send and decode. Raises Refused for anything but 2xx."""
        status, answer = await self.raw(encode(method, path, body, token))
        if status // 100 != 2:
            raise Refused(f"{method} {path[:120]} -> {status} {answer[:300]!r}")
        return orjson.loads(answer)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def encode(method: str, path: str, body: Any = None, token: str | None = None) -> bytes:
    """One request as bytes; `body` is encoded as JSON unless it is bytes."""
    data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    return head.encode() + b"\r\n" + data


def q(text: str) -> str:
    return quote(text, safe="")


def _unchunk(got: bytearray, at: int) -> bytes | None:
    """The body of a chunked answer, None while the last chunk is missing."""
    parts: list[bytes] = []
    while True:
        line_end = got.find(b"\r\n", at)
        if line_end < 0:
            return None
        size = int(bytes(got[at:line_end]).split(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        start = line_end + 2
        if start + size + 2 > len(got):
            return None
        parts.append(bytes(got[start : start + size]))
        at = start + size + 2
