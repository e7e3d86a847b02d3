"""Everybody can use it: axe-core on every screen in every language, keyboard alone, pictures to look at."""

import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.people import DESK, PHONE, Counsellor, Visitor, YoungPerson
from tests.house import House
from tests.words import word

LANGUAGES = ("ja-x-easy", "ja", "en")
WIDTHS = {360: PHONE, 1280: DESK}
# By how many pixels the heights of a paragraph's lines differ: of the characters' own boxes, from top to top.
_LINE_HEIGHTS = """element => {
    const range = document.createRange();
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    const tops = new Set();
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        if (node.parentElement.closest('rt, rp')) continue;
        range.selectNodeContents(node);
        for (const box of range.getClientRects()) tops.add(Math.round(box.top));
    }
    const sorted = [...tops].sort((a, b) => a - b);
    const steps = sorted.slice(1).map((top, at) => top - sorted[at]);
    return steps.length < 2 ? 99 : Math.max(...steps) - Math.min(...steps);
}"""


async def stands(visitor: Visitor, name: str) -> None:
    """No violation on the page as it is, and a picture of it."""
    assert await visitor.violations() == []
    await visitor.picture(name)


async def fits_with_large_text(visitor: Visitor, name: str) -> None:
    """With letters of double size, and more contrast wanted, nothing stands outside of the screen."""
    await visitor.page.emulate_media(contrast="more")
    await visitor.page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert await visitor.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    await stands(visitor, name)
    await visitor.page.evaluate("document.documentElement.style.fontSize = ''")
    await visitor.page.emulate_media(contrast="no-preference")


async def said_aloud(page: Page) -> set[tuple[str, str]]:
    """Role and name of everything, as the browser tells a screen reader (Playwright's own names part a ruby)."""
    told = await page.context.new_cdp_session(page)
    nodes = (await told.send("Accessibility.getFullAXTree"))["nodes"]
    return {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_the_young_persons_page(house: House, browser: Browser, width: int, colours: str) -> None:
    mio = await YoungPerson.arrives(
        browser, house, viewport=WIDTHS[width], color_scheme=colours, reduced_motion="reduce"
    )
    page, suffix = mio.page, f"{width}-{colours}"
    await expect(page.locator(".state .chip")).to_be_visible()
    for language in LANGUAGES:
        await mio.speaks(language)
        await stands(mio, f"start-{language}-{suffix}")
        await page.locator("header .phone").click()
        await stands(mio, f"hotlines-{language}-{suffix}")
        await page.locator("dialog .close").click()
        await page.locator(".consent button").click()
        await stands(mio, f"readers-{language}-{suffix}")
        await page.locator("dialog .close").click()
    await mio.speaks("ja")
    large = width == 360 and colours == "light"
    if large:
        await fits_with_large_text(mio, "large-start-ja-360")
    await mio.begins()
    await mio.says(word("眠れない。"))
    if large:
        await fits_with_large_text(mio, "large-waiting-ja-360")
        await expect(mio.line).to_be_in_viewport()
    for language in LANGUAGES:
        await mio.speaks(language)
        await stands(mio, f"waiting-{language}-{suffix}")
        await page.locator(".ask button").first.click()
        await page.locator("dialog input[value=suicidal]").check()
        await stands(mio, f"questions-{language}-{suffix}")
        await page.locator("dialog .close").click()
        await page.locator("button.lock").click()
        await stands(mio, f"lock-{language}-{suffix}")
        await page.locator("dialog .close").click()
        await page.locator("button.end").click()
        await stands(mio, f"end-{language}-{suffix}")
        await page.locator("dialog .close").click()
    await page.locator("button.end").click()
    await page.locator("dialog button.danger").click()
    for language in LANGUAGES:
        await mio.speaks(language)
        await stands(mio, f"closed-{language}-{suffix}")


async def test_readings_above_the_characters(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house, language="ja-x-easy", reduced_motion="reduce")
    page = mio.page
    title = page.get_by_role("heading", level=1)
    lines = page.locator(".consent > span")
    await expect(title).to_have_text("話して みませんか")
    await page.get_by_role("switch", name="ふりがな").check()
    await expect(title.locator("rt")).to_have_attribute("data-reading", "はな")
    await expect(title).to_have_text("話して みませんか")
    # Said aloud as before: a voice would else say each word twice.
    assert {("heading", "話して みませんか"), ("button", "電話で話す")} <= await said_aloud(page)
    # A line with readings is as high as one without.
    assert await lines.evaluate(_LINE_HEIGHTS) <= 1
    await stands(mio, "furigana-start-360")
    await page.locator("header .phone").click()
    await stands(mio, "furigana-hotlines-360")
    await page.locator("dialog .close").click()
    await page.locator(".consent button").click()
    await stands(mio, "furigana-readers-360")
    await page.locator("dialog .close").click()
    await page.get_by_role("button", name="チャットを はじめる").click()
    await page.get_by_label("メッセージを 書く").fill(word("眠れない。"))
    await page.get_by_role("button", name="送る", exact=True).click()
    await expect(page.locator("li.line.mine time")).to_be_visible()
    await expect(page.locator("li.line.mine rt")).to_have_count(0)
    await expect(page.locator(".status h1")).to_be_visible()
    await stands(mio, "furigana-room-360")
    await page.locator("button.lock").click()
    await stands(mio, "furigana-lock-360")
    await page.locator("dialog .close").click()
    # Kept like the language: as long as the tab.
    await page.reload()
    await expect(page.get_by_role("switch", name="ふりがな")).to_be_checked()
    await expect(page.locator(".status rt").first).to_be_visible()
    assert await page.evaluate("localStorage.length") == 0
    await page.goto(house.base_url + "/guidance/")
    await expect(page.get_by_role("switch", name="ふりがな")).to_be_checked()
    await expect(page.get_by_role("heading", level=1)).to_have_text("電話で話せるところ")
    assert ("heading", "電話で話せるところ") in await said_aloud(page)
    assert await page.locator("h1 rt").first.is_visible()
    await stands(mio, "furigana-guidance-360")
    await page.get_by_role("switch", name="ふりがな").uncheck()
    assert not await page.locator("h1 rt").first.is_visible()
    await page.goto(house.base_url + "/")
    await page.get_by_role("switch", name="ふりがな").uncheck()
    await expect(page.locator("rt")).to_have_count(0)
    # There are none in the other languages.
    await page.get_by_role("switch", name="ふりがな").check()
    await mio.speaks("ja")
    await expect(page.locator("rt")).to_have_count(0)
    assert mio.errors == []


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_the_counsellors_console(house: House, browser: Browser, colours: str) -> None:
    visitor = await YoungPerson.arrives(browser, house)
    await visitor.begins()
    await visitor.says(word("だれかいますか"))
    ken = await Counsellor.signs_in(browser, house, house.staff[0], color_scheme=colours, reduced_motion="reduce")
    case_id = await visitor.case_id()
    await expect(ken.ticket(case_id)).to_be_visible()
    for language in ("ja", "en"):
        await ken.page.locator(".frame > header select").select_option(language)
        await stands(ken, f"queue-{language}-{colours}")
    await ken.page.locator(".frame > header select").select_option("ja")
    await ken.accepts(case_id)
    await ken.says(case_id, word("います。聞かせてください。"))
    for language in ("ja", "en"):
        await ken.page.locator(".frame > header select").select_option(language)
        await stands(ken, f"console-{language}-{colours}")
        acts = ken.column(case_id).locator(".acts")
        await acts.get_by_role("button", name=re.compile("引きつぐ|Hand over")).click()
        await expect(ken.page.get_by_role("radio").first).to_be_visible()
        await stands(ken, f"handover-{language}-{colours}")
        await ken.page.keyboard.press("Escape")
        await acts.get_by_role("button", name=re.compile("^(終える|Close case)$")).click()
        await stands(ken, f"close-{language}-{colours}")
        await ken.page.keyboard.press("Escape")
    await ken.page.locator(".frame > header select").select_option("ja")
    await ken.closes(case_id)
    await stands(ken, f"closed-case-{colours}")


async def test_the_guidance_page_without_script(house: House, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=True, viewport=PHONE)
    visitor = Visitor(context, await context.new_page())
    await visitor.page.goto(house.base_url + "/guidance/")
    await stands(visitor, "guidance-360")
    plain = await browser.new_context(java_script_enabled=False)
    page = await plain.new_page()
    await page.goto(house.base_url + "/")
    await page.get_by_role("link", name="電話で話せるところ").click()
    assert await page.locator("a.call").count() >= 8


async def test_a_conversation_with_the_keyboard_alone(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house, viewport=DESK, has_touch=False, is_mobile=False)
    page = mio.page
    start = page.get_by_role("button", name="チャットをはじめる")
    for _ in range(12):
        await page.keyboard.press("Tab")
        if await start.evaluate("element => element === document.activeElement"):
            break
    await page.keyboard.press("Enter")
    await expect(mio.line).to_be_focused()
    text = word("キーボードだけ")
    await page.keyboard.type(text)
    await page.keyboard.press("Enter")
    await expect(mio.mine(text).locator("time")).to_be_visible()
