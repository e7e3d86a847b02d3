"""Moving 引っ越し: from LINE into the sealed room on the same phone, with the counsellor and all that was said."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from tests.browser.people import DESK, Counsellor, YoungPerson, a_browser
from tests.standins.line import LineStandin
from tests.stories.conftest import Setting
from tests.words import word


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as browser:
        yield browser


async def test_a_conversation_goes_on_in_the_sealed_room(setting: Setting, line: LineStandin, browser: Browser) -> None:
    house = setting.house
    ken = await Counsellor.signs_in(browser, house, house.staff[0], viewport=DESK)
    mio = line.person()
    before = word("眠れない")
    await mio.says(before)
    waiting = ken.page.locator("aside ol li[data-case]").last
    case_id = str(await waiting.get_attribute("data-case"))
    await ken.accepts(case_id)
    await ken.sees(case_id, before)
    answer = word("聞いているよ")
    await ken.says(case_id, answer)
    await mio.hears(answer)

    column = ken.column(case_id)
    await column.get_by_role("button", name="ページへの引っ越しをすすめる").click()
    dialog = ken.page.get_by_role("dialog")
    await dialog.get_by_text("合い言葉を付ける").click()
    await dialog.get_by_label("相談者と決めた合い言葉").fill("カレーライス")
    assert await ken.violations() == []
    await ken.picture("offer-of-a-move-1280")
    await dialog.get_by_role("button", name="ページへの引っ越しをすすめる").click()
    link = (await mio.hears("/#move=")).text
    url = next(text for text in link.split() if "/#move=" in text)
    await expect(column.get_by_text("リンク届いた")).to_be_visible()

    page = await YoungPerson.arrives(browser, house, address=url)
    assert "move" not in page.page.url, "what opens the link does not stay in the address"
    for language in ("en", "ja-x-easy", "ja"):
        await page.speaks(language)
        assert await page.violations() == []
        await page.picture(f"move-{language}-360")
    await expect(column.get_by_text("ページを開いた")).to_be_visible()
    await page.page.get_by_label("合い言葉").fill("ラーメン")
    await page.page.get_by_role("button", name="ここで話す").click()
    await expect(page.page.get_by_role("alert")).to_contain_text("あと4回")
    await page.page.get_by_label("合い言葉").fill("カレー ライス")
    await page.page.get_by_role("button", name="ここで話す").click()
    # Everything is there, and goes on.
    await page.sees(before)
    await page.sees(answer)
    onward = word("ここでも話せる")
    await page.says(onward)
    await ken.sees(case_id, onward)
    await expect(column.get_by_text("LINEから引っ越し")).to_be_visible()
    await ken.picture("moved-1280")
    sealed = word("ここなら二人だけ")
    await ken.says(case_id, sealed)
    await page.sees(sealed)
    await page.picture("moved-360")
    assert not any(onward in text or sealed in text for text in mio.phone), "nothing of it crosses the app"
    # The ghost has gone; only the three are in the room.
    await page.page.get_by_role("button", name=re.compile("鍵つき")).first.click()
    await expect(page.page.get_by_role("dialog").get_by_role("listitem")).to_have_count(3)
    await page.page.get_by_label("前のアプリに").uncheck()
    assert await page.violations() == []
    await page.picture("moved-lock-360")
    await page.page.keyboard.press("Escape")

    # The link is spent. Whoever writes on the app again is shown the way back, and nothing is handed on.
    stranger = await YoungPerson.arrives(browser, house, address=url)
    await stranger.speaks("ja")
    await expect(stranger.page.get_by_role("alert")).to_contain_text("もう使われました")
    assert await stranger.violations() == []
    await stranger.picture("move-spent-360")
    lost = word("LINEにまた書く")
    await mio.says(lost)
    await mio.hears("ここに書いたことは、相談員には届きません")
    await expect(column.locator("li.line", has_text=lost)).to_have_count(0)
    assert page.errors == ken.errors == stranger.errors == []
    await ken.closes(case_id)
