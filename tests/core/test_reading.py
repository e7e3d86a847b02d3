"""Reading a request's body: neither more nor longer than anybody needs."""

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from madoguchi import errors
from madoguchi.web.reading import read_body


def arriving(*pieces: bytes, whole: bool) -> Any:
    """A request whose body has come as far as `pieces`."""
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(Mock())
    content = StreamReader(protocol, 65_536, loop=loop)
    for piece in pieces:
        content.feed_data(piece)
    if whole:
        content.feed_eof()
    return make_mocked_request("POST", "/", payload=content)


async def test_a_body_is_read_whole() -> None:
    assert await read_body(arriving(b"{", b"}", whole=True), 10) == b"{}"
    assert await read_body(arriving(whole=True), 10) == b""


async def test_a_body_that_grows_too_large_is_not_read_on() -> None:
    with pytest.raises(errors.TooLarge):
        await read_body(arriving(b"x" * 6, b"x" * 6, whole=False), 10)


async def test_nobody_holds_a_request_open_for_ever() -> None:
    with pytest.raises(errors.TooSlow):
        await read_body(arriving(b"{", whole=False), 10, seconds=0.05)
