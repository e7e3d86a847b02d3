"""The guidance page `/guidance/`, as the administrator keeps it, with what is open now; and the same as data.

It is the last thing to go: without a database it shows what it knew last, and after a start without one, the list that
came with the build (client-web/tools/guidance-page.ts). It needs no script and no API. Where a script runs, that reads
the data, and tells from the hours what is open at the moment of looking, also when the page has been kept for days.
"""

import asyncio
from datetime import datetime
from html import escape
from time import monotonic

import asyncpg
import msgspec
import structlog
from aiohttp import web

from madoguchi.context import Context
from madoguchi.core.desk import guidance
from madoguchi.core.desk.guidance import Guidance
from madoguchi.storage.guidance import Hotline
from madoguchi.web.static import ASK_EVERY_TIME, Static

log = structlog.get_logger()

PATH = "/guidance/"
DATA_PATH = "/guidance/guidance.json"
_LOOK_AGAIN_S = 10.0
_PATIENCE_S = 2.0
_BEGIN, _END = "<!--entries-->", "<!--/entries-->"


class GuidancePage:
    """Answers for `/guidance/` and its data, and hands everything else on to the files of the build."""

    def __init__(self, ctx: Context, static: Static) -> None:
        self._ctx = ctx
        self._static = static
        self._hotlines: list[Hotline] = []
        self._known_at = ctx.clock.now()
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method in ("GET", "HEAD") and request.path in (PATH, DATA_PATH) and (lines := await self._latest()):
            now = self._ctx.clock.now()
            if request.path == DATA_PATH:
                told = guidance.list_of(lines, now, self._known_at)
                return self._static.made(msgspec.json.encode(told), "application/json")
            built = self._static.text("guidance/index.html")
            if built is not None and _BEGIN in built:
                return self._static.page(200, with_entries(built, lines, now), {"Cache-Control": ASK_EVERY_TIME})
        return await self._static(request)

    async def _latest(self) -> list[Hotline]:
        due = monotonic() - self._looked_at > _LOOK_AGAIN_S
        if due:
            self._looked_at = monotonic()
            self._looking = asyncio.create_task(self._look())
        # Whoever comes meanwhile is shown what is known, if anything is.
        if self._looking is not None and (due or not self._hotlines):
            await asyncio.wait({self._looking})
        return self._hotlines

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S), self._ctx.db.connection() as tx:
                self._hotlines = await guidance.list_hotlines(tx)
                self._known_at = self._ctx.clock.now()
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("guidance is shown as it was", error=type(error).__name__)


def with_entries(built: str, hotlines: list[Hotline], at: datetime) -> str:
    """The built page with these entries in the place of its own, those that are open now first."""
    entries = [guidance.seen(hotline, at) for hotline in hotlines]
    rows = [_row(entry) for entry in sorted(entries, key=lambda entry: entry.open_now is not True)]
    before, _, rest = built.partition(_BEGIN)
    return before + _BEGIN + "\n" + "\n".join(rows) + "\n" + _END + rest.partition(_END)[2]


def _read(text: str, reading: str) -> str:
    """With what stands above it once readings are switched on; for the eye alone."""
    return f'<ruby>{text}<rt aria-hidden="true" data-reading="{reading}"></rt></ruby>'


def _row(entry: Guidance) -> str:
    now = {
        True: f'<p class="state now">いま {_read("話", "はな")}せます <span lang="en">open now</span></p>',
        False: f'<p class="state">いまは {_read("時間外", "じかんがい")}です <span lang="en">closed now</span></p>',
        None: "",
    }[entry.open_now]
    english = f'<br><span lang="en">{escape(entry.name_en)}</span>' if entry.name_en else ""
    call = escape(entry.phone.replace("-", "").replace(" ", ""))
    return (
        f'    <li data-id="{escape(entry.id)}">\n'
        f"      <div><h2>{escape(entry.name)}</h2><p>{escape(entry.name_easy)}{english}</p>\n"
        f"        <p>{escape(entry.hours_text)}</p>{now}</div>\n"
        f'      <a class="call" href="tel:{call}">{escape(entry.phone)}</a>\n    </li>'
    )
