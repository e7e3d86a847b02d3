"""The cast: people who speak real HTTP to the server, in tests that read like a play.

    room = await mio.opens_a_room(with_=[ken])
    await ken.joins(room)
    await mio.says(room, "眠れない")
    await ken.sees(room, "眠れない")
    await refused(sato.reads(room), 403, "M_FORBIDDEN")

Every answer goes through the oracle (oracle.py); a 5xx anywhere fails the test.
"""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from tests import oracle

V3 = "/_matrix/client/v3"
V1 = "/_matrix/client/v1"
DESK = "/_madoguchi/desk/v1"
MEGOLM = {"algorithm": "m.megolm.v1.aes-sha2"}

Json = dict[str, Any]


class Refusal(Exception):
    """The server said no: `status`, `errcode` and the whole `body`."""

    def __init__(self, status: int, body: Json, told: str) -> None:
        super().__init__(f"{told} -> {status} {body}")
        self.status = status
        self.errcode: str = body.get("errcode", "")
        self.body = body


async def refused(attempt: Awaitable[Any], status: int | None = None, errcode: str | None = None) -> Refusal:
    """Await `attempt` and demand that the server refuses it; answers the refusal."""
    try:
        result = await attempt
    except Refusal as told:
        refusal = told
    else:
        raise AssertionError(f"was allowed: {result}")
    assert status is None or refusal.status == status, refusal
    assert errcode is None or refusal.errcode == errcode, refusal
    return refusal


def segment(text: str) -> str:
    """Percent-encode one path segment."""
    return quote(text, safe="")


class Line:
    """An HTTP line to one server process. The plain text of answers is checked by the oracle on the way."""

    def __init__(self, base_url: str, http: aiohttp.ClientSession) -> None:
        self.base_url = base_url.rstrip("/")
        self.http = http

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 60,
        **query: Any,
    ) -> Any:
        """One request; `body` goes as JSON, `raw` as it is. Answers decoded JSON (or bytes). Raises Refusal."""
        url = self.base_url + path
        if query:
            url += "?" + "&".join(f"{k.rstrip('_')}={quote(_text(v), safe='')}" for k, v in query.items())
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        data = raw
        if body is not None:
            data = json.dumps(body, ensure_ascii=False).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with self.http.request(
            method, URL(url, encoded=True), data=data, headers=sent, timeout=timeout, allow_redirects=False
        ) as answer:
            content = await answer.read()
            oracle.check(method, path, answer.status, answer.content_type, content)
            is_json = answer.content_type == "application/json"
            decoded = json.loads(content) if is_json and content else content
            if answer.status < 400:
                return decoded
            refusal = Refusal(answer.status, decoded if isinstance(decoded, dict) else {}, f"{method} {path}")
        # As a page does: whoever brings no proof of work solves the challenge that comes with the refusal.
        if refusal.errcode != "JP_MADOGUCHI_PROOF" or not isinstance(body, dict) or "proof" in body:
            raise refusal
        body = body | {"proof": solved(refusal.body["challenge"])}
        return await self.call(method, path, body, token=token, headers=headers, timeout_s=timeout_s, **query)


def solved(challenge: Json) -> Json:
    """The proof of work for a challenge."""
    salt, wanted = challenge["salt"], challenge["challenge"]
    tries = range(challenge["maxnumber"] + 1)
    number = next(n for n in tries if hashlib.sha256(f"{salt}{n}".encode()).hexdigest() == wanted)
    return {"challenge": wanted, "salt": salt, "signature": challenge["signature"], "number": number}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


class Person:
    """Somebody with an account and a device, seen from outside through the Client-Server API."""

    def __init__(self, line: Line, name: str, password: str, login: Json) -> None:
        self.line = line
        self.name = name
        self.password = password
        self.user_id: str = login["user_id"]
        self.device_id: str = login["device_id"]
        self.token: str = login["access_token"]
        self.login = login
        self.since: str | None = None
        self.unread: list[tuple[str, Json]] = []  # timeline events synced and not yet looked at: (room_id, event)

    @property
    def localpart(self) -> str:
        return self.user_id[1:].split(":", 1)[0]

    # -- speaking plainly ------------------------------------------------------------------------------------------
    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return await self.line.call(method, path, body, token=self.token, **more)

    async def get(self, path: str, **query: Any) -> Any:
        return await self.call("GET", path, **query)

    async def put(self, path: str, body: Any, **query: Any) -> Any:
        return await self.call("PUT", path, body, **query)

    async def post(self, path: str, body: Any = None, **query: Any) -> Any:
        return await self.call("POST", path, {} if body is None else body, **query)

    async def delete(self, path: str, body: Any = None, **query: Any) -> Any:
        return await self.call("DELETE", path, body, **query)

    def through(self, line: Line) -> "Person":
        """The same person and device, through another server process."""
        other = Person(line, self.name, self.password, self.login)
        other.since = self.since
        return other

    async def logs_in_again(self, **more: Any) -> "Person":
        """The same person on a new device."""
        login = await self.line.call("POST", f"{V3}/login", password_login(self.localpart, self.password) | more)
        return Person(self.line, self.name, self.password, login)

    # -- rooms -----------------------------------------------------------------------------------------------------
    async def opens_a_room(self, with_: Sequence["Person"] = (), *, encrypted: bool = False, **more: Any) -> str:
        """Create a room, invite `with_`, and have them join. Answers the room id."""
        body: Json = {"preset": "private_chat", "invite": [person.user_id for person in with_]} | more
        if encrypted:
            state = {"type": "m.room.encryption", "state_key": "", "content": MEGOLM}
            body["initial_state"] = [*body.get("initial_state", []), state]
        room: str = (await self.post(f"{V3}/createRoom", body))["room_id"]
        for person in with_:
            await person.joins(room)
        return room

    async def invites(self, room: str, person: "Person", **more: Any) -> None:
        await self.post(f"{V3}/rooms/{segment(room)}/invite", {"user_id": person.user_id} | more)

    async def joins(self, room: str) -> None:
        await self.post(f"{V3}/join/{segment(room)}")

    async def leaves(self, room: str) -> None:
        await self.post(f"{V3}/rooms/{segment(room)}/leave")

    async def forgets(self, room: str) -> None:
        await self.post(f"{V3}/rooms/{segment(room)}/forget")

    async def kicks(self, room: str, person: "Person", **more: Any) -> None:
        await self.post(f"{V3}/rooms/{segment(room)}/kick", {"user_id": person.user_id} | more)

    async def bans(self, room: str, person: "Person", **more: Any) -> None:
        await self.post(f"{V3}/rooms/{segment(room)}/ban", {"user_id": person.user_id} | more)

    async def unbans(self, room: str, person: "Person") -> None:
        await self.post(f"{V3}/rooms/{segment(room)}/unban", {"user_id": person.user_id})

    async def sets(self, room: str, type_: str, content: Json, key: str = "") -> str:
        """Send a state event."""
        path = f"{V3}/rooms/{segment(room)}/state/{segment(type_)}/{segment(key)}"
        return str((await self.put(path, content))["event_id"])

    async def state(self, room: str, type_: str, key: str = "") -> Json:
        answer: Json = await self.get(f"{V3}/rooms/{segment(room)}/state/{segment(type_)}/{segment(key)}")
        return answer

    async def members(self, room: str, **query: Any) -> dict[str, str]:
        """user id -> membership, as /members tells."""
        chunk = (await self.get(f"{V3}/rooms/{segment(room)}/members", **query))["chunk"]
        return {event["state_key"]: event["content"]["membership"] for event in chunk}

    async def gives_power(self, room: str, **changes: Any) -> str:
        """Change the room's power levels by `changes`."""
        return await self.sets(room, "m.room.power_levels", await self.state(room, "m.room.power_levels") | changes)

    # -- speaking in a room ------------------------------------------------------------------------------------------
    async def sends(self, room: str, type_: str, content: Json, txn: str | None = None) -> str:
        path = f"{V3}/rooms/{segment(room)}/send/{segment(type_)}/{segment(txn or secrets.token_hex(8))}"
        return str((await self.put(path, content))["event_id"])

    async def says(self, room: str, text: str, txn: str | None = None) -> str:
        return await self.sends(room, "m.room.message", {"msgtype": "m.text", "body": text}, txn)

    async def redacts(self, room: str, event_id: str, txn: str | None = None, **body: Any) -> str:
        path = f"{V3}/rooms/{segment(room)}/redact/{segment(event_id)}/{segment(txn or secrets.token_hex(8))}"
        return str((await self.put(path, body))["event_id"])

    # -- reading -----------------------------------------------------------------------------------------------------
    async def sync(self, *, timeout_ms: int = 0, since: str | None = None, **query: Any) -> Json:
        """One /sync. `since` None means from the start; see `catches_up` for the one that remembers."""
        if since is not None:
            query["since"] = since
        answer: Json = await self.get(f"{V3}/sync", timeout=timeout_ms, **query)
        return answer

    async def catches_up(self, timeout_ms: int = 0, **query: Any) -> Json:
        """/sync from where this person last was; timeline events go to `unread`."""
        answer = await self.sync(timeout_ms=timeout_ms, since=self.since, **query)
        self.since = answer["next_batch"]
        for section in ("join", "leave"):
            for room, told in answer.get("rooms", {}).get(section, {}).items():
                self.unread += [(room, event) for event in told.get("timeline", {}).get("events", [])]
        return answer

    async def sees(self, room: str, text: str, *, within_s: float = 15) -> Json:
        """Sync until a message with `text` stands in `room`; answers the event."""
        return await self.waits_for(room, lambda event: event.get("content", {}).get("body") == text, within_s, text)

    async def waits_for(self, room: str, wanted: Any, within_s: float = 15, what: str = "the event") -> Json:
        """Sync until an event of `room` for which `wanted(event)` holds arrives; answers it."""
        ends = time.monotonic() + within_s
        while True:
            for index, (where, event) in enumerate(self.unread):
                if where == room and wanted(event):
                    del self.unread[: index + 1]
                    return event
            left = ends - time.monotonic()
            if left <= 0:
                raise AssertionError(f"{self.name} did not see {what!r} within {within_s} s")
            await self.catches_up(timeout_ms=int(min(left, 5) * 1000))

    async def reads(self, room: str, *, dir_: str = "b", **query: Any) -> Json:
        """One page of /messages."""
        query["dir"] = dir_
        answer: Json = await self.get(f"{V3}/rooms/{segment(room)}/messages", **query)
        return answer

    async def reads_all(self, room: str, *, dir_: str = "b", **query: Any) -> list[Json]:
        """Every page of /messages, one after another."""
        events: list[Json] = []
        while True:
            page = await self.reads(room, dir_=dir_, **query)
            events += page["chunk"]
            # A page cut off by `to` may be empty and still name an end.
            if not page.get("end") or page["end"] == query.get("from_") or ("to" in query and not page["chunk"]):
                return events
            query["from_"] = page["end"]


def password_login(localpart: str, password: str) -> Json:
    return {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": localpart},
        "password": password,
    }


async def register(line: Line, name: str) -> Person:
    """A new account through `line`: `name` and something random after it."""
    password = secrets.token_urlsafe(12)
    body = {
        "username": f"{name}-{secrets.token_hex(4)}",
        "password": password,
        "auth": {"type": "m.login.dummy"},
        "initial_device_display_name": name,
    }
    return Person(line, name, password, await line.call("POST", f"{V3}/register", body))


class Cast:
    """Calls people onto the stage: each is a fresh account of the server under test."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._sessions: list[aiohttp.ClientSession] = []
        self.line = self.line_to(base_url)

    def line_to(self, base_url: str) -> Line:
        connector = aiohttp.TCPConnector(limit=0)
        session = aiohttp.ClientSession(connector=connector, headers={"User-Agent": oracle.TESTS})
        self._sessions.append(session)
        return Line(base_url, session)

    async def person(self, name: str) -> Person:
        """Register `name` under a localpart of their own, so that no two tests share a person."""
        return await register(self.line, name)

    async def enters(self, user_id: str, password: str, name: str = "") -> Person:
        """Log in somebody who exists already (demo staff)."""
        login = await self.line.call("POST", f"{V3}/login", password_login(user_id, password))
        return Person(self.line, name or user_id, password, login)

    async def leave_the_stage(self) -> None:
        for session in self._sessions:
            await session.close()
        await asyncio.sleep(0)


async def a_cast(base_url: str) -> AsyncIterator[Cast]:
    """Body of the fixtures that give a cast."""
    cast = Cast(base_url)
    try:
        yield cast
    finally:
        await cast.leave_the_stage()
