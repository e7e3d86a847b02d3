"""Leaving fast, and what stays behind on a shared phone: nothing that can be read."""

import re
from pathlib import Path

from playwright.async_api import Browser, async_playwright, expect

from tests.browser.people import GOES_HOME, Counsellor, OwnBrowser, YoungPerson, becomes
from tests.house import House
from tests.search import Search
from tests.words import word

TRACES = """async () => ({
    session: Object.keys(sessionStorage), local: Object.keys(localStorage),
    stores: (await indexedDB.databases()).map(each => each.name), cookies: document.cookie, caches: await caches.keys(),
})"""
NOTHING = {"session": [], "local": [], "stores": [], "cookies": "", "caches": []}


async def test_the_button_empties_everything_and_the_case_goes_on(house: House, tmp_path: Path) -> None:
    async with async_playwright() as playwright:
        phone, console = (OwnBrowser(playwright, tmp_path / whose) for whose in ("phone", "console"))
        mio = await YoungPerson.arrives(phone, house, service_workers="allow")
        before = await mio.page.evaluate("history.length")
        await mio.begins()
        text, waiting = word("見られたくない"), word("まだ送れていない")
        await mio.says(text)
        case_id = await mio.case_id()
        # Something waits in the outbox, something is not even sent.
        await mio.context.set_offline(True)
        await mio.writes(waiting)
        await expect(mio.mine(waiting)).to_be_visible()
        await mio.line.fill(word("書きかけ"))
        await mio.context.set_offline(False)
        await expect(mio.mine(waiting).locator("time")).to_be_visible()
        async with mio.page.expect_request("**/logout") as asked:
            await mio.page.get_by_role("button", name="すぐに離れる").click()
        await mio.page.wait_for_url(lambda url: not url.startswith(house.base_url))
        assert (await asked.value).method == "POST"
        assert await mio.page.evaluate("history.length") == before

        await mio.page.goto(house.base_url + "/favicon.svg")
        # The browser takes a store away as soon as the page that had it open is gone for good.
        await becomes(mio.page, TRACES, NOTHING)
        await mio.page.goto(house.base_url + "/")
        await expect(mio.page.get_by_text(text)).to_have_count(0)
        await expect(mio.page.get_by_role("button", name="はじめる")).to_be_visible()

        ken = await Counsellor.signs_in(console, house, house.staff[0])
        await ken.accepts(case_id)
        await ken.sees(case_id, text)
        await ken.sees(case_id, waiting)
        await ken.says(case_id, word("まだいますか"))
        await ken.column(case_id).get_by_label("メッセージを書く").fill(word("もう一言"))
        await ken.closes(case_id)
        await ken.page.get_by_role("button", name="サインアウト").click()
        await expect(ken.page.get_by_role("heading", name="相談員のサインイン")).to_be_visible()
        # Another visit breaks off with something in the outbox: a browser that ends writes all that its tabs keep.
        await mio.speaks("ja")
        await mio.begins()
        await mio.context.route(re.compile("/send/"), lambda route: route.abort())
        await mio.writes(word("ここで切れた"))
        await becomes(mio.page, "'madoguchi.unsent' in sessionStorage", True)
        await mio.page.evaluate(GOES_HOME)
        for each in (mio, ken):
            await each.context.close()
        # Nor does a word of it stand in the browsers' own files, whoever looks into them.
        search = Search()
        for own in (phone, console):
            search.folder("browser", own.folder)
        assert any("Session Storage" in place for place in search.found)
        search.ends()


async def test_escape_twice_does_the_same_even_over_a_dialog(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house)
    await mio.begins()
    await mio.page.get_by_role("button", name="電話").click()
    await expect(mio.page.get_by_role("dialog")).to_be_visible()
    await mio.page.keyboard.press("Escape")
    await expect(mio.page.get_by_role("dialog")).to_be_hidden()
    assert mio.page.url.startswith(house.base_url)
    await mio.page.wait_for_timeout(1_200)
    await mio.page.keyboard.press("Escape")
    await mio.page.keyboard.press("Escape")
    await mio.page.wait_for_url(lambda url: not url.startswith(house.base_url))


async def test_a_closed_tab_leaves_nothing_that_can_be_read(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house)
    await mio.begins()
    await mio.says(word("だれにも言えない"))
    await mio.page.close()
    next_one = await mio.context.new_page()
    await next_one.goto(house.base_url + "/favicon.svg")
    left = await next_one.evaluate(TRACES)
    # The encrypted store is still there; its key went with the tab.
    assert (left["session"], left["local"]) == ([], [])
    await next_one.goto(house.base_url + "/")
    await expect(next_one.get_by_role("button", name="はじめる")).to_be_visible()
    await becomes(next_one, "indexedDB.databases()", [])


async def test_keys_that_are_gone_lead_to_a_new_device_and_a_plain_word(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house)
    await mio.begins()
    early, late = word("さっきの"), word("いまの")
    await mio.says(early)
    before = await mio.visit()
    await mio.page.goto(house.base_url + "/favicon.svg")
    await mio.page.evaluate(
        "indexedDB.databases().then(all => Promise.all(all.map(each => new Promise(done => {"
        "const asked = indexedDB.deleteDatabase(each.name); asked.onsuccess = asked.onblocked = done})))"
        ")"
    )
    await mio.page.goto(house.base_url + "/")
    await expect(mio.page.get_by_text("新しい鍵で続けます")).to_be_visible()
    await expect(mio.page.get_by_text("前のメッセージは、この画面では表示できません。相談員")).to_be_visible()
    after = await mio.visit()
    assert before is not None and after is not None
    assert after["session"]["deviceId"] != before["session"]["deviceId"]
    await mio.says(late)
    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    case_id = await mio.case_id()
    await ken.accepts(case_id)
    await ken.sees(case_id, early)
    await ken.sees(case_id, late)
    await ken.closes(case_id)


async def test_a_second_tab_asks_before_it_takes_over(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house)
    await mio.begins()
    text = word("ふたつのタブ")
    await mio.says(text)
    kept = await mio.page.evaluate("JSON.stringify({...sessionStorage})")
    twin = await mio.context.new_page()
    # What a browser does when a tab is duplicated.
    await twin.add_init_script(
        f"if (!sessionStorage.length) Object.entries({kept}).forEach(([name, value]) => sessionStorage[name] = value)"
    )
    await twin.goto(house.base_url + "/")
    await expect(twin.get_by_role("heading", name="別のタブで開いています")).to_be_visible()
    await twin.get_by_role("button", name="ここで続ける").click()
    await expect(twin.locator("li.line.mine", has_text=text)).to_be_visible()
    await expect(mio.page.get_by_role("heading", name="別のタブで開いています")).to_be_visible()


async def test_whoever_wants_to_be_remembered_is_until_they_leave(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house, reduced_motion="reduce")
    await mio.begins()
    text = word("またあした")
    await mio.says(text)
    await mio.page.get_by_role("button", name="あとで戻るには").click()
    choice = mio.page.get_by_role("dialog").get_by_role("checkbox", name="この端末で覚えておく")
    # Off unless somebody switches it on, and it says what that means.
    await expect(choice).not_to_be_checked()
    await expect(mio.page.get_by_text("この端末を使う人はだれでも開けます")).to_be_visible()
    await choice.check()
    assert await mio.violations() == []
    await mio.picture("remember-360")
    await mio.page.close()

    mio.page = await mio.context.new_page()
    await mio.page.goto(house.base_url + "/")
    await mio.sees(text)
    await mio.says(word("きたよ"))
    await mio.page.get_by_role("button", name="すぐに離れる").click()
    await mio.page.wait_for_url(lambda url: not url.startswith(house.base_url))
    await mio.page.goto(house.base_url + "/favicon.svg")
    assert (await mio.page.evaluate(TRACES))["local"] == []
    await mio.page.goto(house.base_url + "/")
    await expect(mio.page.get_by_role("button", name="はじめる")).to_be_visible()
