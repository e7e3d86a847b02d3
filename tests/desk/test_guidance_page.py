"""The guidance page: the administrator's entries, and what is left of it while the database is away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from madoguchi.context import Context
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
            html = await asked(page)
            assert html is not None and "built" not in html and "after" in html
            assert "&lt;b&gt;&amp;&quot;名&quot;&lt;/b&gt;" in html and "<b>" not in html
            # Open lines come first, whatever their place.
            assert html.index("24時間、毎日") < html.index("&lt;b&gt;") and "いまは 時間外です" in html
            away = SimpleNamespace(db=Away(), clock=ctx.clock)
            page._ctx = cast(Context, away)
            assert await asked(page) == html
            assert await asked(GuidancePage(cast(Context, away), built)) is None
    finally:
        desk.workers.postgres.psql("DELETE FROM guidance WHERE id = 'odd'", "madoguchi")
