"""Which hosts the bridges have called: counted at every library's sessions, and told to the desk until it has heard."""

from collections import Counter

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from madoguchi_bridges import egress
from madoguchi_bridges.desk import Unreachable
from madoguchi_bridges.line import Line
from madoguchi_bridges.network import Rejected, TryAgain
from madoguchi_bridges.telegram_api import Api


class Ear:
    """The desk, away at first."""

    away = True

    def __init__(self) -> None:
        self.heard: Counter[str] = Counter()

    async def report_egress(self, requests: dict[str, int]) -> None:
        if self.away:
            raise Unreachable
        self.heard.update(requests)


async def _elsewhere(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/here?word=secret"})


async def test_every_call_of_every_app_is_counted_by_its_host_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "_called", Counter())
    app = web.Application()
    app.router.add_get("/there", _elsewhere)
    async with TestServer(app) as server:
        base = str(server.make_url("")).rstrip("/")
        host = f"127.0.0.1:{server.port}"
        line = Line({"channel_secret": "s", "access_token": "t"}, api_base=base, data_base=base)
        telegram = Api("1:t", base)
        for asks in (line.quota(), telegram.send_text("1", "word", None)):
            with pytest.raises((Rejected, TryAgain)):
                await asks
        async with egress.watch(aiohttp.ClientSession()) as http, http.get(base + "/there"):
            pass
        await line.close()
        await telegram.close()
        desk = Ear()
        await egress.report_now(desk)  # type: ignore[arg-type]
        assert not desk.heard
        desk.away = False
        await egress.report_now(desk)  # type: ignore[arg-type]
        # One of each app, and a redirect that was followed.
        assert desk.heard == {host: 4}
        await egress.report_now(desk)  # type: ignore[arg-type]
        assert desk.heard == {host: 4}
