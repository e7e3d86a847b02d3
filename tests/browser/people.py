"""A young person at a phone and a counsellor at a console, each in a Chromium context of their own."""

import json
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Error, Locator, Page, Playwright, async_playwright, expect

from tests.house import House, Staff

TOP = Path(__file__).resolve().parents[2]
PICTURES = TOP / "artifacts" / "screenshots"
AXE = TOP / "client-web" / "node_modules" / "axe-core" / "axe.min.js"
HARMLESS = "https://harmless.example/"
SOON_MS = 30_000
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 800}
# A dialog keeps the rest of the page from being clicked.
SPEAKS = (
    "(select, language) => { select.value = language; select.dispatchEvent(new Event('change', {bubbles: true})); }"
)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A microphone that beeps.
    "--use-fake-device-for-media-stream",
]
GOES_HOME = """async () => {
    const visit = JSON.parse(sessionStorage.getItem('madoguchi.visit') ?? 'null');
    if (visit) await fetch('/_madoguchi/desk/v1/cases/mine/leave', {method: 'POST', body: '{}',
        headers: {Authorization: 'Bearer ' + visit.session.accessToken, 'Content-Type': 'application/json'}});
}"""
_MASTER_KEY = """async userId => {
    const {session} = JSON.parse(localStorage.getItem('madoguchi.staff'));
    const answer = await fetch('/_matrix/client/v3/keys/query', {method: 'POST',
        headers: {Authorization: 'Bearer ' + session.accessToken, 'Content-Type': 'application/json'},
        body: JSON.stringify({device_keys: {[userId]: []}})});
    return Object.values((await answer.json()).master_keys[userId].keys)[0];
}"""
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

expect.set_options(timeout=SOON_MS)


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """A fresh headless Chromium: the machine's own, else the one Playwright has installed."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_chromium(), args=QUIET)
        try:
            yield browser
        finally:
            for context in browser.contexts:
                for page in context.pages:
                    # Nobody is left waiting in a house that other tests share.
                    with suppress(Error):
                        await page.evaluate(GOES_HOME)
            await browser.close()


def _chromium() -> str | None:
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


class OwnBrowser:
    """Somebody's own browser, which keeps what browsers keep in a folder on the disk of their machine."""

    def __init__(self, playwright: Playwright, folder: Path) -> None:
        self.folder = folder
        self._chromium = playwright.chromium

    async def new_context(self, **settings: Any) -> BrowserContext:
        """Starts it; closing the context ends it."""
        return await self._chromium.launch_persistent_context(
            self.folder, executable_path=_chromium(), args=QUIET, **settings
        )


class Visitor:
    """Whoever sits in front of a page. Errors of the page itself are gathered in `errors`."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context, self.page = context, page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if _is_refusal(message.text) else None)

    async def picture(self, name: str) -> None:
        """A screenshot under artifacts/screenshots (kept as a build's artefact)."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=PICTURES / f"{name}.png")

    async def violations(self) -> list[str]:
        """What axe-core finds against WCAG 2.2 A and AA on the page once it stands still: rule and elements."""
        await self.page.evaluate("Promise.all(document.getAnimations().map(each => each.finished.catch(() => 0)))")
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(AXE.read_text())
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        found = await self.page.evaluate("tags => axe.run(document, {runOnly: tags})", tags)
        if found["violations"]:
            # Something came in while it looked: a button half disabled has half the contrast.
            await self.page.wait_for_timeout(1_000)
            found = await self.page.evaluate("tags => axe.run(document, {runOnly: tags})", tags)
        return [
            f"{one['id']}: {[(node['target'], node.get('any', [{}])[:1]) for node in one['nodes']]}"
            for one in found["violations"]
        ]

    async def acts_on(self, line: Locator, name: str) -> None:
        """What can be done about a message, by the button beside it."""
        await line.get_by_role("button", name="このメッセージへの操作").click()
        await line.get_by_role("group").get_by_role("button", name=name).click()


class YoungPerson(Visitor):
    """At a phone; the page's words are those of the full Japanese catalogue."""

    @classmethod
    async def arrives(
        cls,
        browser: Browser | OwnBrowser,
        house: House,
        *,
        language: str = "ja",
        address: str | None = None,
        before: Callable[[BrowserContext], Awaitable[None]] | None = None,
        **context: Any,
    ) -> "YoungPerson":
        """address: where to go instead of the desk's page, in no language then. before: what happens to the browser
        before that.

        The page's service worker is kept out unless asked for (`service_workers="allow"`): a test then meets the
        server itself, and what a test answers in its place is not hidden by what was kept.
        """
        settings: dict[str, Any] = {
            "viewport": PHONE,
            "has_touch": True,
            "is_mobile": True,
            "locale": "ja-JP",
            "service_workers": "block",
        } | context
        opened = await browser.new_context(timezone_id="Asia/Tokyo", **settings)
        await opened.route("https://*/**", lambda route: route.fulfill(body="<title>harmless</title>weather"))
        if before is not None:
            await before(opened)
        person = cls(opened, await opened.new_page())
        await person.page.goto(address or house.base_url + "/")
        if address is None and language != "ja-x-easy":
            await person.speaks(language)
        return person

    async def speaks(self, language: str) -> None:
        await self.page.locator(".frame > header select").select_option(language)

    async def begins(self) -> None:
        await self.page.get_by_role("button", name="チャットをはじめる").click()
        await expect(self.page.get_by_label("メッセージを書く")).to_be_visible()

    @property
    def line(self) -> Locator:
        return self.page.get_by_label("メッセージを書く")

    async def writes(self, text: str) -> None:
        """Types and presses the button; the message may still be waiting."""
        await self.line.fill(text)
        await self.page.get_by_role("button", name="送る", exact=True).click()

    async def says(self, text: str) -> None:
        """Writes, and waits until the room itself shows it."""
        await self.writes(text)
        await expect(self.mine(text).locator("time")).to_be_visible()

    def mine(self, text: str) -> Locator:
        return self.page.locator("li.line.mine", has_text=text)

    async def sees(self, text: str) -> None:
        await expect(self.page.locator("li.line", has_text=text).first).to_be_visible()

    async def visit(self) -> dict[str, Any] | None:
        """What the tab keeps, or None."""
        text = await self.page.evaluate("sessionStorage.getItem('madoguchi.visit')")
        return None if text is None else dict(json.loads(text))

    async def case_id(self) -> str:
        visit = await self.visit()
        assert visit is not None
        return str(visit["caseId"])


class Counsellor(Visitor):
    """At the console."""

    @classmethod
    async def signs_in(
        cls,
        browser: Browser | OwnBrowser,
        house: House,
        staff: Staff,
        *,
        deaf: bool = False,
        words: str | None = None,
        **context: Any,
    ) -> "Counsellor":
        """deaf: news of the queue never reach the page; only what it asks for itself does. words: of the identity,
        where they are asked for."""
        settings: dict[str, Any] = {"viewport": DESK, "locale": "ja-JP"} | context
        opened = await browser.new_context(timezone_id="Asia/Tokyo", **settings)
        person = cls(opened, await opened.new_page())
        if deaf:
            await person.page.route(re.compile(r"/queue\?after="), lambda route: None)
        await person.page.goto(house.base_url + "/staff/")
        await person.signs_in_here(staff, words)
        return person

    async def signs_in_here(self, staff: Staff, words: str | None = None) -> None:
        await self.page.get_by_label("利用者名").fill(staff.user_id.split(":")[0].removeprefix("@"))
        await self.page.get_by_label("パスワード").fill(staff.password)
        await self.page.get_by_role("button", name="サインイン").click()
        ready = self.page.get_by_role("heading", name="待っている人")
        asked = self.page.get_by_label("6つの言葉")
        await expect(ready.or_(asked)).to_be_visible()
        if words is not None:
            await asked.fill(words)
            await self.page.get_by_role("button", name="鍵を開く").click()
        elif await asked.is_visible():
            await self.page.get_by_role("button", name="言葉がわからない").click()
            await self.page.get_by_role("button", name="新しい鍵を作る").click()
        await expect(ready).to_be_visible()

    async def writes_the_words_down(self) -> str:
        """The six words of the identity, which are shown once."""
        await self.page.get_by_role("button", name="言葉を見る").click()
        words: list[str] = await self.page.get_by_role("dialog").get_by_role("listitem").all_inner_texts()
        await self.page.get_by_role("button", name="書きとめました").click()
        return " ".join(words)

    async def master_key(self, user_id: str) -> str:
        """The identity of an account, as the server tells it."""
        return str(await self.page.evaluate(_MASTER_KEY, user_id))

    def ticket(self, case_id: str) -> Locator:
        return self.page.locator(f"aside ol li[data-case='{case_id}']")

    def entry(self, case_id: str) -> Locator:
        return self.page.locator(f"aside ul li[data-case='{case_id}']")

    def column(self, case_id: str) -> Locator:
        return self.page.locator(f"main section[data-case='{case_id}']")

    async def accepts(self, case_id: str) -> None:
        await self.ticket(case_id).get_by_role("button", name="受ける").click()

    async def opens(self, case_id: str, *, beside: bool = False) -> None:
        await self.entry(case_id).get_by_role("button").nth(1 if beside else 0).click()

    async def says(self, case_id: str, text: str) -> None:
        await self.column(case_id).get_by_label("メッセージを書く").fill(text)
        await self.page.keyboard.press("Enter")
        await expect(self.column(case_id).locator("li.line.mine", has_text=text).locator("time")).to_be_visible()

    async def sees(self, case_id: str, text: str) -> None:
        await expect(self.column(case_id).locator("li.line", has_text=text).first).to_be_visible()

    async def hands_over(self, case_id: str, name: str) -> None:
        await self.column(case_id).get_by_role("button", name="引きつぐ").click()
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_role("radio", name=name).check()
        await dialog.get_by_role("button", name="引きつぐ").click()
        await expect(dialog).to_be_hidden()

    async def closes(self, case_id: str) -> None:
        await self.column(case_id).get_by_role("button", name="終える").click()
        await self.page.get_by_role("button", name="記録はあとで書いて終える").click()
        await expect(self.column(case_id).get_by_text("この相談は終わりました")).to_be_visible()


async def becomes(page: Page, script: str, wanted: Any) -> None:
    """What a script gives is as wanted, if not now then soon."""
    for _ in range(100):
        found = await page.evaluate(script)
        if found == wanted:
            return
        await page.wait_for_timeout(100)
    assert found == wanted


def _is_refusal(text: str) -> bool:
    return "Content Security Policy" in text or "TrustedHTML" in text or "This document requires" in text
