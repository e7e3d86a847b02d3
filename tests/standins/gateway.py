"""A push gateway for tests: takes notifications, checks them against the Push Gateway API, answers as it is told to."""

import asyncio
import time
from typing import Any

from aiohttp import web

from tests.house import free_port
from tests.search import TOLD

Json = dict[str, Any]
# What the Push Gateway API v1.19 knows of a notification, and of a device in it.
KNOWN = {
    "content", "counts", "devices", "event_id", "membership", "prio", "room_alias", "room_id", "room_name", "sender",
    "sender_display_name", "type", "user_is_target",
}  # fmt: skip
KNOWN_OF_DEVICE = {"app_id", "data", "pushkey", "pushkey_ts", "tweaks"}


class Gateway:
    """Listens at `url`. `mood`: good; failing (500); hanging; moved (redirects). `rejects`: keys that are no good."""

    def __init__(self, port: int = 0) -> None:
        self.port = port or free_port()
        self.mood = "good"
        self.rejects: set[str] = set()
        self.taken: list[Json] = []
        self.tries = 0
        self.complaints: list[str] = []
        self._runner: web.AppRunner | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/_matrix/push/v1/notify"

    async def opens(self) -> None:
        app = web.Application()
        app.router.add_post("/_matrix/push/v1/notify", self._notify)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def closes(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def of(self, pushkey: str) -> list[Json]:
        """What was told of one push key."""
        return [told for told in self.taken if told["devices"][0]["pushkey"] == pushkey]

    async def hears(self, pushkey: str, wanted: Any, within_s: float = 15) -> Json:
        """Waits until something for which `wanted(notification)` holds was told of a push key."""
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            for told in self.of(pushkey):
                if wanted(told):
                    return told
            await asyncio.sleep(0.05)
        raise AssertionError(f"not told within {within_s} s: {self.of(pushkey)}")

    async def _notify(self, request: web.Request) -> web.StreamResponse:
        self.tries += 1
        TOLD.append(("a push gateway", await request.read()))
        body = await request.json()
        if self.mood == "failing":
            return web.json_response({}, status=500)
        if self.mood == "hanging":
            await asyncio.sleep(60)
        if self.mood == "moved":
            raise web.HTTPFound("http://127.0.0.1:1/_matrix/push/v1/notify")
        told = body["notification"]
        if set(body) != {"notification"} or set(told) - KNOWN or not told.get("devices"):
            self.complaints.append(f"no notification: {body}")
        for device in told["devices"]:
            if set(device) - KNOWN_OF_DEVICE or not {"app_id", "pushkey"} <= set(device):
                self.complaints.append(f"no device: {device}")
        if "Authorization" in request.headers:
            self.complaints.append("a token was shown")
        self.taken.append(told)
        keys = [device["pushkey"] for device in told["devices"]]
        return web.json_response({"rejected": [key for key in keys if key in self.rejects]})
