"""Speaking HTTP as a Matrix device: one request, one answer or one refusal."""

import asyncio
import json
from typing import Any, cast
from urllib.parse import quote, urlencode

from nio import AsyncClient

from madoguchi.crypto.cross_signing import JSON

V3 = "/_matrix/client/v3"


def room_path(room_id: str, rest: str) -> str:
    """The path of something in a room: room_path("!a:x", "/invite")."""
    return f"{V3}/rooms/{quote(room_id, safe='')}{rest}"


class Refused(Exception):
    """The server said no. `status`: HTTP status; `errcode`: the Matrix error code; `body`: the whole answer."""

    def __init__(self, status: int, body: JSON, what: str) -> None:
        self.status = status
        self.errcode = str(body.get("errcode", ""))
        self.body = body
        super().__init__(f"{what}: {status} {self.errcode}")


def described(error: BaseException) -> str:
    """What a log may say of an error of the line: a refusal's path and code, otherwise only its kind."""
    return str(error) if isinstance(error, Refused) else type(error).__name__


class HttpClient(AsyncClient):  # type: ignore[misc]
    """nio's client, with requests that raise what the server refuses."""

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, str] | None = None,
        token: str | None = None,
        timeout: float | None = None,
        content_type: str = "application/json",
    ) -> JSON:
        """One request as this device; gives the JSON answer. `body`: JSON value, or bytes with a `content_type`.

        `token` replaces the device's own ("" = none); `timeout` in seconds. Raises Refused, aiohttp.ClientError or
        TimeoutError. Waits and tries again when the server asks for patience (429).
        """
        bearer = self.access_token if token is None else token
        headers = {"Content-Type": content_type} if body is not None else {}
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body)
        url = path + (f"?{urlencode(query)}" if query else "")
        while True:
            response = await self.send(method, url, data, headers, None, timeout)
            try:
                answer = await response.json(content_type=None)
            except ValueError:
                answer = {}
            if not isinstance(answer, dict):
                answer = {}
            if response.status < 400:
                return answer
            if response.status != 429:
                raise Refused(response.status, answer, f"{method} {path.split('/rooms/')[0]}")
            await asyncio.sleep(min(int(answer.get("retry_after_ms", 1000)), 30_000) / 1000)

    async def download(self, mxc: str) -> bytes:
        """The bytes behind an mxc:// address. Raises Refused."""
        server, _, media_id = mxc.removeprefix("mxc://").partition("/")
        path = f"/_matrix/client/v1/media/download/{quote(server)}/{quote(media_id)}"
        response = await self.send("GET", path, None, {"Authorization": f"Bearer {self.access_token}"})
        content = await response.read()
        if response.status != 200:
            raise Refused(response.status, {}, "download")
        return cast(bytes, content)


def status_of(response: Any) -> int:
    """The HTTP status behind an error of nio's; 0 when there was no answer."""
    transport = response.transport_response
    return int(transport.status) if transport is not None else 0
