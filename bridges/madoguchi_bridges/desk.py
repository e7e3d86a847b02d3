"""The server as the bridges use it, over HTTP: the desk API and the Matrix calls that need the bridges' own token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, BinaryIO
from urllib.parse import quote

import aiohttp
import msgspec

from .config import Config

API = "/_madoguchi/desk/v1"
TIMEOUT = aiohttp.ClientTimeout(total=30)
FILE_TIMEOUT = aiohttp.ClientTimeout(total=600, sock_read=60)
PIECE = 64 * 1024


class Unreachable(Exception):
    """The server does not answer, or says 5xx or "later": try again later."""


class Refused(Exception):
    """The server says no, and why. `reason`, `next_opening` (ms): of a desk that takes no case now."""

    def __init__(self, status: int, errcode: str, reason: str = "", next_opening: int | None = None) -> None:
        super().__init__(f"{status} {errcode}")
        self.status = status
        self.errcode = errcode
        self.reason = reason
        self.next_opening = next_opening


class Case(msgspec.Struct, frozen=True):
    case_id: str
    room_id: str


class Ticket(msgspec.Struct, frozen=True):
    """A link to a person's case on the page and its code; both open it once. expires_at: milliseconds.
    channel_id: where the case is now."""

    url: str
    code: str
    expires_at: int
    channel_id: str = ""


class AppTicket(msgspec.Struct, frozen=True):
    """What leads a person's case to a channel of another app: a link that opens it there, or a code to be typed."""

    url: str
    code: str
    channel_id: str
    name: str
    expires_at: int


class Redeemed(msgspec.Struct, frozen=True):
    """What became of a token or code that somebody brought; outcome: notices.NOT_GONE_ON, or `moved`: the case goes on
    here, in this room, since that moment (ms)."""

    outcome: str
    case_id: str | None = None
    room_id: str | None = None
    at: int | None = None


class Minutes(msgspec.Struct, frozen=True):
    low: int
    high: int


class Queue(msgspec.Struct, frozen=True):
    """How many wait for how many counsellors, and how long it may take; None where too little is known."""

    waiting: int
    staff_present: int
    estimate_minutes: Minutes | None = None


class Desk:
    """All calls raise Unreachable or Refused."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._http = aiohttp.ClientSession(timeout=TIMEOUT)

    async def close(self) -> None:
        await self._http.close()

    async def register(self, localpart: str, display_name: str) -> str:
        """Makes sure the ghost's account exists; gives its user id."""
        body = {"type": "m.login.application_service", "username": localpart, "inhibit_login": True}
        try:
            await self._call("POST", "/_matrix/client/v3/register", body)
        except Refused as refused:
            if refused.errcode != "M_USER_IN_USE":
                raise
        user_id = f"@{localpart}:{self._config.server_name}"
        path = f"/_matrix/client/v3/profile/{quote(user_id, safe='')}/displayname"
        await self._call("PUT", path, {"displayname": display_name}, {"user_id": user_id})
        return user_id

    async def open_case(self, user_id: str, kind: str, channel_id: str) -> Case:
        """The ghost's running case, or a new one."""
        body = {"channel": kind, "channel_id": channel_id}
        return msgspec.convert(await self._call("POST", "/_madoguchi/desk/v1/cases", body, {"user_id": user_id}), Case)

    async def list_errands(self, after: int | None, timeout_ms: int) -> tuple[int, list[Any]]:
        """(position, what people are to be brought); with `after` as soon as there is something."""
        query = {} if after is None else {"after": str(after), "timeout": str(timeout_ms)}
        answer = await self._call("GET", f"{API}/bridge/errands", query=query, patience=timeout_ms / 1000 + 15)
        return int(answer["pos"]), list(answer["errands"])

    async def report_egress(self, requests: dict[str, int]) -> None:
        """How often which hosts were called since the last report."""
        await self._call("POST", f"{API}/bridge/egress", {"requests": requests})

    async def make_ticket(self, user_id: str) -> Ticket:
        """A link for whom the ghost stands for, or stood for before they moved. Refused where there is no case."""
        return msgspec.convert(await self._call("POST", f"{API}/bridge/ticket", {}, {"user_id": user_id}), Ticket)

    async def make_app_ticket(self, user_id: str) -> AppTicket:
        """What leads whom the ghost stands for to the app that they are offered. Refused where that can't be done."""
        path = f"{API}/bridge/app_ticket"
        return msgspec.convert(await self._call("POST", path, {}, {"user_id": user_id}), AppTicket)

    async def redeem(self, user_id: str, channel_id: str, event: str, token: str | None, code: str | None) -> Redeemed:
        """Hands in a token or a code for the ghost of whoever brought it; the same event is answered the same."""
        body = {"channel_id": channel_id, "event": event, "token": token, "code": code}
        return msgspec.convert(await self._call("POST", f"{API}/bridge/redeem", body, {"user_id": user_id}), Redeemed)

    async def tell(self, case_id: str, user_id: str, what: str) -> None:
        """What became of an errand: `queued`, `notified`, `unreachable`, or `news` told."""
        path = f"{API}/bridge/cases/{quote(case_id, safe='')}/told"
        await self._call("POST", path, {"what": what}, {"user_id": user_id})

    async def get_queue(self) -> Queue | None:
        """None when it can't be had, for nothing must wait for that."""
        try:
            return msgspec.convert(await self._call("GET", f"{API}/desk"), Queue)
        except (Unreachable, Refused, msgspec.ValidationError):
            return None

    async def list_guidance(self) -> list[dict[str, Any]]:
        """The hotlines, with what is open now; [] when they can't be had, for a notice must not wait for them."""
        try:
            guidance = (await self._call("GET", f"{API}/desk")).get("guidance")
        except (Unreachable, Refused):
            return []
        return [entry for entry in guidance if isinstance(entry, dict)] if isinstance(guidance, list) else []

    async def upload(self, user_id: str, room_id: str, file: BinaryIO) -> str:
        """Uploads ciphertext as a ghost, for one room, with which it is purged; gives its mxc address."""
        path = "/_matrix/media/v3/upload"
        query = {"user_id": user_id, "jp.madoguchi.room_id": room_id}
        file.seek(0)

        async def pieces() -> AsyncIterator[bytes]:
            while piece := file.read(PIECE):
                yield piece

        headers = self._headers | {"Content-Type": "application/octet-stream"}
        try:
            async with self._http.post(
                self._config.server_url + path, data=pieces(), params=query, headers=headers, timeout=FILE_TIMEOUT
            ) as answer:
                return str(_content(answer.status, await answer.read())["content_uri"])
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise Unreachable from None

    @asynccontextmanager
    async def download(self, user_id: str, mxc: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of what lies behind an mxc address, as a ghost may fetch it."""
        server, _, media_id = mxc.removeprefix("mxc://").partition("/")
        path = f"/_matrix/client/v1/media/download/{quote(server, safe='')}/{quote(media_id, safe='')}"
        try:
            async with self._http.get(
                self._config.server_url + path, params={"user_id": user_id}, headers=self._headers, timeout=FILE_TIMEOUT
            ) as answer:
                if answer.status != 200:
                    _content(answer.status, await answer.read())
                    raise Unreachable
                yield answer.content.iter_chunked(PIECE)
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise Unreachable from None

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": "Bearer " + self._config.as_token}

    async def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
        patience: float | None = None,
    ) -> dict[str, Any]:
        try:
            async with self._http.request(
                method,
                self._config.server_url + path,
                json=body,
                params=query,
                headers=self._headers,
                timeout=TIMEOUT if patience is None else aiohttp.ClientTimeout(total=patience),
            ) as answer:
                raw = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise Unreachable from None
        return _content(answer.status, raw)


def _content(status: int, raw: bytes) -> dict[str, Any]:
    """What the server said. Raises Unreachable, Refused."""
    if status >= 500 or status == 429:
        raise Unreachable
    try:
        content = msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise Unreachable from None
    if status >= 400:
        opening = content.get("next_opening")
        raise Refused(
            status,
            str(content.get("errcode", "M_UNKNOWN")),
            str(content.get("reason", "")),
            opening if isinstance(opening, int) else None,
        )
    return content
