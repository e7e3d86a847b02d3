"""An application service for tests: takes transactions, answers as it is told to, and judges what it was sent."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.house import free_port
from tests.search import TOLD

Json = dict[str, Any]


class StandIn:
    """Listens at `url`. `mood` decides how a transaction is answered:

    good; failing (500); hanging (never answers, though it has taken it); lost (takes it, and cuts the line instead of
    answering); garbage (something that is no HTTP)
    """

    def __init__(self, hs_token: str) -> None:
        self.hs_token = hs_token
        self.port = free_port()
        self.mood = "good"
        self.taken: dict[str, Json] = {}  # by transaction id, in the order of arrival
        self.arrivals: list[tuple[str, float]] = []
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.knows: Callable[[str], Any] = lambda name: None
        self.answers: dict[str, Any] = {}
        self._runner: web.AppRunner | None = None
        self._came = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def opens(self) -> None:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_put("/_matrix/app/v1/transactions/{txn_id}", self._transaction)
        app.router.add_post("/_matrix/app/v1/ping", self._ping)
        app.router.add_get("/_matrix/app/v1/{what:users|rooms}/{name}", self._query)
        app.router.add_get("/_matrix/app/v1/thirdparty/{tail:.+}", self._third_party)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def closes(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # -- what it was told ----------------------------------------------------------------------------------------------
    @property
    def events(self) -> list[Json]:
        """Every event, in the order of the transactions that were taken, each counted once."""
        return [event for body in self.taken.values() for event in body["events"]]

    def all_of(self, name: str) -> list[Json]:
        """Everything under a key of the transactions, in order."""
        return [entry for body in self.taken.values() for entry in body.get(name, [])]

    async def waits_for(self, wanted: Callable[[], Any], within_s: float = 20) -> Any:
        """Waits until `wanted()` is true of what was taken; gives what it gives."""
        ends = time.monotonic() + within_s
        while not (found := wanted()):
            self._came.clear()
            left = ends - time.monotonic()
            if left <= 0:
                raise AssertionError(f"it did not come within {within_s} s; events: {len(self.events)}")
            try:
                await asyncio.wait_for(self._came.wait(), left)
            except TimeoutError:
                pass
        return found

    async def sees(self, event_id: str, within_s: float = 20) -> Json:
        event: Json = await self.waits_for(
            lambda: next((event for event in self.events if event["event_id"] == event_id), None), within_s
        )
        return event

    # -- its side of the line ----------------------------------------------------------------------------------------
    def _is_ours(self, request: web.Request) -> bool:
        good = request.headers.get("Authorization") == f"Bearer {self.hs_token}"
        if not good or self.hs_token in str(request.rel_url):
            self.complaints.append(f"hs_token missing, wrong, or in the address: {request.method} {request.path}")
        return good

    async def _transaction(self, request: web.Request) -> web.StreamResponse:
        if not self._is_ours(request):
            return web.json_response({"errcode": "M_FORBIDDEN"}, status=403)
        txn_id = request.match_info["txn_id"]
        TOLD.append(("an application service", await request.read()))
        body = await request.json()
        mood = self.mood
        self.arrivals.append((txn_id, time.monotonic()))
        if mood == "failing":
            self._came.set()
            return web.json_response({"errcode": "M_UNKNOWN"}, status=500)
        if txn_id in self.taken:
            if self.taken[txn_id] != body:
                self.complaints.append(f"{txn_id} came again with another content")
            if list(self.taken)[-1] != txn_id:
                self.complaints.append(f"{txn_id} came again after a later one")
        self.taken.setdefault(txn_id, body)
        self._came.set()
        if mood == "hanging":
            await asyncio.sleep(3600)
        if mood in ("lost", "garbage"):
            assert request.transport is not None
            if mood == "garbage":
                request.transport.write(b"\x00\xff nonsense\r\n\r\n")
            request.transport.close()
        return web.json_response({})

    async def _ping(self, request: web.Request) -> web.Response:
        self._is_ours(request)
        self.asked.append(json.dumps(await request.json()))
        if self.mood == "hanging":
            await asyncio.sleep(3600)
        status: int = self.answers.get("ping", 200)
        return web.json_response({}, status=status)

    async def _query(self, request: web.Request) -> web.Response:
        self._is_ours(request)
        name = request.match_info["name"]
        self.asked.append(name)
        found = self.knows(name)
        if asyncio.iscoroutine(found):
            found = await found
        return web.json_response({}, status=200 if found else 404)

    async def _third_party(self, request: web.Request) -> web.Response:
        self._is_ours(request)
        self.asked.append(str(request.rel_url))
        answer = self.answers.get(request.match_info["tail"])
        return web.json_response(answer, status=404 if answer is None else 200)
