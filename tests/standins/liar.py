"""A server that lies to one browser: what it answers is altered on the way to the page."""

import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from nacl.signing import SigningKey
from playwright.async_api import BrowserContext, Error, Request, Route

Json = dict[str, Any]


def unpadded(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")


def canonical(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def signed(value: Json, user_id: str, key_id: str, key: SigningKey) -> Json:
    """A key or device of somebody's, with a signature as the specification has it."""
    text = unpadded(key.sign(canonical(value)).signature)
    return value | {"signatures": {user_id: {f"ed25519:{key_id}": text}}}


def public(key: SigningKey) -> str:
    return unpadded(key.verify_key.encode())


class Liar:
    """Stands between a browser and its desk. `roster`: what is given as one. `keys`, `sync`: alter these answers."""

    def __init__(self) -> None:
        self.operator = SigningKey.generate()
        self.succession: list[Json] = []
        self.roster: Json | None = None
        self.keys: Callable[[Json], None] = lambda answer: None
        self.once: list[Callable[[Json], None]] = []
        self.given_keys: set[tuple[str, str]] = set()

    def issues(self, desk: str, number: int, staff: list[Json]) -> Json:
        """A roster that the operator has signed."""
        roster = {"desk": desk, "number": number, "issued_at": "2026-11-29T00:00:00Z", "key": public(self.operator)}
        roster |= {"staff": staff}
        if self.succession:
            roster |= {"succession": self.succession}
        return roster | {"signature": unpadded(self.operator.sign(canonical(roster)).signature)}

    def hands_over(self, desk: str) -> None:
        """The operator's key signs another one, which issues from now on."""
        before, self.operator = self.operator, SigningKey.generate()
        step = {"key": public(before), "next": public(self.operator), "issued_at": "2026-11-29T00:00:00Z"}
        self.succession.append(step | {"signature": unpadded(before.sign(canonical(step | {"desk": desk})).signature)})

    async def comes_between(self, context: BrowserContext) -> None:
        await context.route("**/roster-key.txt", self._with(self._key))
        await context.route("**/_madoguchi/desk/v1/roster", self._with(self._roster))
        await context.route("**/_matrix/client/v3/keys/query*", self._with(self._keys))
        await context.route("**/_matrix/client/v3/sync?*", self._with(self._sync))
        context.on("request", self._note)

    def _with(self, lie: Callable[[Route], Awaitable[None]]) -> Callable[[Route], Awaitable[None]]:
        async def answer(route: Route) -> None:
            # The page went away meanwhile.
            with suppress(Error):
                await lie(route)

        return answer

    async def _key(self, route: Route) -> None:
        await route.fulfill(body=public(self.operator), content_type="text/plain")

    async def _roster(self, route: Route) -> None:
        await route.fulfill(status=404 if self.roster is None else 200, json=self.roster or {"errcode": "M_NOT_FOUND"})

    async def _keys(self, route: Route) -> None:
        answer = await route.fetch()
        body = await answer.json()
        self.keys(body)
        await route.fulfill(response=answer, json=body)

    async def _sync(self, route: Route) -> None:
        answer = await route.fetch(timeout=60_000)
        body = await answer.json()
        while self.once and answer.ok:
            self.once.pop(0)(body)
        await route.fulfill(response=answer, json=body)

    def _note(self, request: Request) -> None:
        if "/sendToDevice/m.room.encrypted/" not in request.url:
            return
        messages = json.loads(request.post_data or "{}")["messages"]
        self.given_keys |= {(user, device) for user, devices in messages.items() for device in devices}
