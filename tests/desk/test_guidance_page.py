"""The guidance page: the administrator's entries, and what is left of it while the database is away."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from madoguchi.context import Context
from madoguchi.core.desk.hours import TOKYO
from madoguchi.web import guidance_page
from madoguchi.web.guidance_page import GuidancePage
from madoguchi.web.static import Static
from tests.desk.conftest import Desk
from tests.desk.test_jobs import a_context

BUILT = "<ul>\n<!--entries-->\n<li>built</li>\n<!--/entries-->\n</ul><p>after</p>"


class Away:
    """A database that does not answer."""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        raise ConnectionRefusedError
        yield


async def data(page: GuidancePage) -> dict[str, Any]:
    answer = await page(make_mocked_request("GET", "/guidance/guidance.json"))
    assert isinstance(answer, web.Response) and isinstance(answer.body, bytes)
    assert (answer.content_type, answer.headers["Cache-Control"]) == ("application/json", "no-cache")
    told: dict[str, Any] = json.loads(answer.body)
    return told


@pytest.fixture
def built(tmp_path: Path) -> Static:
    (tmp_path / "index.html").write_text("start")
    (tmp_path / "guidance").mkdir()
    (tmp_path / "guidance" / "index.html").write_text(BUILT)
    return Static(tmp_path)


async def asked(page: GuidancePage) -> str | None:
    answer = await page(make_mocked_request("GET", "/guidance/"))
    # A file of the build is sent as it is.
    return answer.text if isinstance(answer, web.Response) else None


async def test_it_shows_what_the_administrator_wrote_and_goes_on_without_a_database(
    desk: Desk, built: Static, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = '<b>&"名"</b>'
    desk.workers.postgres.psql(
        "INSERT INTO guidance (id, sort, name, name_easy, name_en, phone, hours, hours_text) VALUES "
        f"('odd', 999, '{name}', 'e', '', '03-1 (x)', '{{\"weekly\": []}}', 'h')",
        "madoguchi",
    )
    monkeypatch.setattr(guidance_page, "_LOOK_AGAIN_S", 0.0)
    try:
        async with a_context(desk) as ctx:
            page = GuidancePage(ctx, built)
            # Who comes while it looks for the first time waits for it, too.
            html, _ = await asyncio.gather(asked(page), data(page))
            assert html is not None and "built" not in html and "after" in html
            assert "&lt;b&gt;&amp;&quot;名&quot;&lt;/b&gt;" in html and "<b>" not in html
            # Open lines come first, whatever their place.
            assert html.index("24時間、毎日") < html.index("&lt;b&gt;") and "時間外" in html
            told = await data(page)
            assert told["made_at"] <= round(ctx.clock.now().timestamp() * 1000)
            entries = {entry["id"]: entry for entry in told["guidance"]}
            assert (entries["odd"]["open_now"], entries["odd"]["hours"]["weekly"]) == (False, [])
            assert entries["kokoro"].get("hours") is None and entries["kokoro"]["open_now"] is None
            today = ctx.clock.now().astimezone(TOKYO).date()
            assert told["holidays"]["from"] < today.isoformat() < told["holidays"]["to"]
            assert f"{today.year + 1}-01-01" in told["holidays"]["days"]
            away = SimpleNamespace(db=Away(), clock=ctx.clock)
            page._ctx = cast(Context, away)
            assert await asked(page) == html
            # What it knew last does not become younger by being told again.
            assert (await data(page))["made_at"] == told["made_at"]
            assert await asked(GuidancePage(cast(Context, away), built)) is None
    finally:
        desk.workers.postgres.psql("DELETE FROM guidance WHERE id = 'odd'", "madoguchi")
