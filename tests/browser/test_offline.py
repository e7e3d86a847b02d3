"""Without a connection, with a server that is down, after a new build: the page opens. Nothing of a person is kept."""

import asyncio
import base64
import hashlib
import re
import shutil
from pathlib import Path

from aiohttp import web
from playwright.async_api import Browser, Page, expect

from madoguchi.web.static import Static
from tests.browser.people import DESK, PHONE, TOP, YoungPerson, becomes
from tests.browser.wire import Wire
from tests.house import House, free_port
from tests.words import word

LANGUAGES = ("ja-x-easy", "ja", "en")
# A Saturday afternoon and a Saturday night in Japan.
AFTERNOON, NIGHT = "2027-01-09T17:00:00+09:00", "2027-01-09T22:30:00+09:00"
_KEPT = """async () => {
    const found = {};
    for (const name of await caches.keys())
        for (const request of await (await caches.open(name)).keys())
            found[new URL(request.url).pathname] = await (await caches.match(request)).text();
    return found;
}"""
TRACES = """async () => ({
    session: Object.keys(sessionStorage), local: Object.keys(localStorage), cookies: document.cookie,
    stores: (await indexedDB.databases()).map(each => each.name), caches: await caches.keys(),
    workers: (await navigator.serviceWorker.getRegistrations()).length,
})"""
NOTHING = {"session": [], "local": [], "stores": [], "cookies": "", "caches": [], "workers": 0}


async def is_kept(page: Page) -> None:
    """The service worker has the page."""
    await page.evaluate("navigator.serviceWorker.ready")
    await page.wait_for_function("navigator.serviceWorker.controller !== null")


async def test_the_line_is_cut(house: House, browser: Browser) -> None:
    async with Wire(house.base_url) as wire:
        mio = await YoungPerson.arrives(
            browser, house, address=wire.address + "/", service_workers="allow", reduced_motion="reduce"
        )
        await mio.speaks("ja")
        await is_kept(mio.page)
        await mio.begins()
        said, unsent = word("まだつながっている"), word("つながらない")
        await mio.says(said)
        # The build's own files, the guidance, and not a word of anybody's.
        kept = await mio.page.evaluate(_KEPT)
        assert {"/", "/guidance/", "/guidance/guidance.json", "/guidance/guidance.js"} < set(kept)
        strange = [path for path in kept if not re.fullmatch(r"/(favicon\.svg|guidance/.*|assets/[^/]+)?", path)]
        assert strange == []
        assert not any(said in text for text in kept.values())

        await wire.becomes("cut")
        await mio.writes(unsent)
        await expect(mio.mine(unsent).get_by_text("送信待ち")).to_be_visible()
        await mio.page.reload()
        # What waited still waits, and the numbers are one tap away, with today's hours.
        await expect(mio.mine(unsent).get_by_text("送信待ち")).to_be_visible()
        await mio.page.clock.set_fixed_time(AFTERNOON)
        await mio.page.locator("header .phone").click()
        sheet = mio.page.get_by_role("dialog")
        childline = sheet.get_by_role("listitem").filter(has_text=re.compile("チャイルドライン"))
        await expect(childline.get_by_text("いま話せます")).to_be_visible()
        await expect(sheet.get_by_text(re.compile("[0-9]+ 日前の一覧です"))).to_be_visible()
        assert await mio.violations() == []
        await mio.picture("offline-hotlines-ja-360")

        await mio.page.goto(wire.address + "/guidance/")
        page_line = mio.page.get_by_role("listitem").filter(has_text="チャイルドライン")
        await expect(page_line.get_by_text("いま 話せます")).to_be_visible()
        await expect(mio.page.locator("#age")).to_contain_text(
            re.compile(r"日前の 一覧です。 This list was made \d+ days ago")
        )
        assert await mio.violations() == []
        await mio.picture("offline-guidance-360")
        await mio.page.clock.set_fixed_time(NIGHT)
        await mio.page.reload()
        await expect(page_line.get_by_text("いまは 時間外です")).to_be_visible()
        await mio.page.set_viewport_size(DESK)
        await mio.picture("offline-guidance-1280")
        await mio.page.set_viewport_size(PHONE)

        # A server that answers, but not as it should, is no better than none.
        await wire.becomes("unwell")
        await mio.page.goto(wire.address + "/")
        await expect(mio.mine(unsent).get_by_text("送信待ち")).to_be_visible()
        await wire.becomes("good")
        await mio.page.reload()
        await expect(mio.mine(unsent).locator("time")).to_be_visible()
        await mio.sees(said)

        await mio.page.get_by_role("button", name="すぐに離れる").click()
        await mio.page.wait_for_url(lambda url: not url.startswith(wire.address))
        await mio.page.goto(wire.address + "/favicon.svg")
        await becomes(mio.page, TRACES, NOTHING)
        assert mio.errors == []


class Deployed:
    """The pages without a desk behind them, in builds that differ by a mark."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "dist"
        shutil.copytree(TOP / "client-web" / "dist", self._folder)
        self._port = free_port()
        self._page, self._worker = (self._read(name) for name in ("index.html", "sw.js"))
        self._runner: web.ServerRunner | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def build(self, mark: str, *, torn: bool = False) -> None:
        """Another build in the place of the one before. torn: its worker is there already, its page not yet."""
        page = self._page.replace("</title>", f'</title><meta name="build" content="{mark}">')
        worker = self._worker.replace(_integrity(self._page), _integrity(page))
        worker = re.sub(r"(version:\W)[0-9a-f]{12}", rf"\g<1>build-{mark}", worker)
        self._write("sw.js", worker)
        if not torn:
            self._write("index.html", page)

    async def opens(self) -> None:
        self._runner = web.ServerRunner(web.Server(Static(self._folder)))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()

    async def closes(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _read(self, name: str) -> str:
        return (self._folder / name).read_text(encoding="utf-8")

    def _write(self, name: str, text: str) -> None:
        for ending in (".br", ".gz"):
            (self._folder / (name + ending)).unlink(missing_ok=True)
        (self._folder / name).write_text(text, encoding="utf-8")


def _integrity(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


async def mark_of(page: Page) -> str | None:
    return await page.locator("meta[name=build]").get_attribute("content")


async def test_a_new_build_is_seen_at_once_and_takes_the_old_ones_place(
    house: House, browser: Browser, tmp_path: Path
) -> None:
    pages = Deployed(tmp_path)
    pages.build("one")
    await pages.opens()
    try:
        mio = await YoungPerson.arrives(browser, house, address=pages.address, service_workers="allow")
        await is_kept(mio.page)
        assert await mio.page.evaluate("caches.keys()") == ["page build-one"]
        pages.build("two")
        await mio.page.reload()
        assert await mark_of(mio.page) == "two"
        # It waits until nobody has a page of the old one open any more.
        await becomes(mio.page, "navigator.serviceWorker.getRegistration().then(found => found.waiting !== null)", True)
        for _ in range(5):
            await mio.page.close()
            # The browser takes a moment to see that nobody has; a page that comes before goes on with the old one.
            await asyncio.sleep(1)
            mio.page = await mio.context.new_page()
            await mio.page.goto(pages.address)
            await is_kept(mio.page)
            if await mio.page.evaluate("caches.keys()") == ["page build-two"]:
                break
        await becomes(mio.page, "caches.keys()", ["page build-two"])
        # In the middle of putting out a build nothing of it is taken.
        pages.build("three", torn=True)
        refused = await mio.page.evaluate(
            """async () => {
                const registration = await navigator.serviceWorker.getRegistration();
                const found = new Promise(done => registration.addEventListener('updatefound', () => {
                    const worker = registration.installing;
                    worker.addEventListener('statechange', () => done(worker.state));
                }));
                await registration.update();
                return found;
            }"""
        )
        assert refused == "redundant"
        await becomes(mio.page, "caches.keys()", ["page build-two"])
        await pages.closes()
        await mio.page.reload()
        assert await mark_of(mio.page) == "two"
        await expect(mio.page.get_by_role("alert")).to_be_visible()

        # Opened from the home screen (as an iPhone tells it), leaving keeps the page that was put there, and no more.
        await mio.page.evaluate("Object.defineProperty(navigator, 'standalone', {value: true})")
        await leaves_by_escape(mio, pages.address)
        kept = NOTHING | {"caches": ["page build-two"], "workers": 1}
        await mio.page.goto(pages.address + "guidance/")
        await becomes(mio.page, TRACES, kept)
        # In a tab nothing stays at all.
        await mio.page.goto(pages.address)
        await leaves_by_escape(mio, pages.address)
        await pages.opens()
        await mio.page.goto(pages.address + "favicon.svg")
        await becomes(mio.page, TRACES, NOTHING)
        assert mio.errors == []
    finally:
        await pages.closes()


async def leaves_by_escape(mio: YoungPerson, address: str) -> None:
    await mio.page.keyboard.press("Escape")
    await mio.page.keyboard.press("Escape")
    await mio.page.wait_for_url(lambda url: not url.startswith(address))
