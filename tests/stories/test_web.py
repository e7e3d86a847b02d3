"""One evening in two browsers: a young person at a phone, counsellors at their consoles, the whole house in between."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from tests.browser.people import Counsellor, YoungPerson, a_browser
from tests.house import House
from tests.standins.line import LineStandin
from tests.stories.conftest import Setting
from tests.words import word


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as opened:
        yield opened


async def test_an_evening(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house)
    await mio.begins()
    waiting, hello, thanks = word("眠れない"), word("こんばんは、健です。"), word("来てくれてありがとう")
    await expect(mio.page.get_by_role("heading", name="つながるのを待っています")).to_be_visible()
    await mio.says(waiting)

    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    case_id = await mio.case_id()
    await ken.accepts(case_id)
    await ken.sees(case_id, waiting)
    await expect(mio.page.get_by_role("heading", name="健さんと話しています")).to_be_visible()
    await expect(mio.mine(waiting).get_by_text("読まれました")).to_be_visible()

    await ken.says(case_id, hello)
    await mio.sees(hello)
    await mio.line.press_sequentially("ん")
    await expect(ken.column(case_id).get_by_text("書いています")).to_be_visible()
    await mio.says(thanks)
    await ken.sees(case_id, thanks)
    await expect(ken.column(case_id).get_by_text("書いています")).to_be_hidden()

    await ken.closes(case_id)
    await expect(mio.page.get_by_role("heading", name="話してくれて、ありがとう")).to_be_visible()
    await mio.page.get_by_role("button", name="会話を読み返す").click()
    await mio.sees(hello)
    await expect(mio.line).to_be_hidden()
    assert mio.errors == ken.errors == []


async def test_the_page_is_loaded_again(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house)
    await mio.begins()
    first, second, third = word("ひとつめ"), word("ふたつめ"), word("みっつめ")
    await mio.says(first)
    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    case_id = await mio.case_id()
    await ken.accepts(case_id)
    await ken.says(case_id, second)
    await mio.sees(second)

    await mio.page.reload()
    await mio.sees(first)
    await mio.sees(second)
    await mio.says(third)
    await ken.sees(case_id, third)

    await ken.page.reload()
    await ken.opens(case_id)
    for text in (first, second, third):
        await ken.sees(case_id, text)
    await ken.closes(case_id)


async def test_offline_and_back(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house)
    await mio.begins()
    before, meanwhile, answer = word("いる?"), word("つながらない"), word("いますよ")
    await mio.says(before)
    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    case_id = await mio.case_id()
    await ken.accepts(case_id)
    await ken.sees(case_id, before)

    await mio.context.set_offline(True)
    await mio.writes(meanwhile)
    await expect(mio.page.get_by_text("インターネットにつながっていません")).to_be_visible()
    await expect(mio.mine(meanwhile).get_by_text(re.compile("送信待ち|送信中"))).to_be_visible()
    await ken.says(case_id, answer)

    await mio.context.set_offline(False)
    await mio.sees(answer)
    await expect(mio.mine(meanwhile).locator("time")).to_be_visible()
    await ken.sees(case_id, meanwhile)
    await expect(ken.column(case_id).locator("li.line", has_text=meanwhile)).to_have_count(1)
    await ken.closes(case_id)


async def test_the_next_counsellor_sees_the_conversation_from_its_start(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house)
    await mio.begins()
    asked, answered = word("学校に行けない"), word("聞いています")
    await mio.says(asked)
    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    sato = await Counsellor.signs_in(browser, house, house.staff[1])
    case_id = await mio.case_id()
    await expect(sato.ticket(case_id)).to_be_visible()
    await ken.accepts(case_id)
    await expect(sato.ticket(case_id)).to_be_hidden()
    await ken.says(case_id, answered)

    await ken.hands_over(case_id, "佐藤")
    await sato.opens(case_id)
    await sato.sees(case_id, asked)
    await sato.sees(case_id, answered)
    await expect(mio.page.get_by_role("heading", name="佐藤さんと話しています")).to_be_visible()
    await expect(ken.entry(case_id)).to_contain_text("佐藤さんに引きつぎました")
    await expect(ken.column(case_id).locator("header")).to_contain_text("佐藤さんに引きつぎました")
    goes_on = word("続きを話しましょう")
    await sato.says(case_id, goes_on)
    await mio.sees(goes_on)
    await sato.closes(case_id)


async def test_of_two_counsellors_one_is_told_who_was_faster(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house)
    await mio.begins()
    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    # Her page does not hear that the case is gone before she clicks.
    sato = await Counsellor.signs_in(browser, house, house.staff[1], deaf=True)
    case_id = await mio.case_id()
    await expect(sato.ticket(case_id)).to_be_visible()
    await expect(ken.ticket(case_id)).to_be_visible()
    await ken.accepts(case_id)
    await expect(ken.entry(case_id)).to_be_visible()
    await sato.accepts(case_id)
    await expect(sato.page.get_by_text("健さんが先に受けました。")).to_be_visible()
    await ken.closes(case_id)


async def test_who_writes_from_line_is_marked_as_readable_by_the_app(
    setting: Setting, line: LineStandin, browser: Browser
) -> None:
    mio = line.person()
    asked, answered = word("LINEから"), word("届いていますよ")
    await mio.says(asked)
    ken = await Counsellor.signs_in(browser, setting.house, setting.house.staff[0])
    ticket = ken.page.locator("aside ol li")
    await expect(ticket).to_have_count(1)
    await expect(ticket.get_by_text("LINE社も読めます")).to_be_visible()
    case_id = str(await ticket.get_attribute("data-case"))
    await ken.accepts(case_id)
    await ken.sees(case_id, asked)
    column = ken.column(case_id)
    await expect(column.get_by_text("LINE社も読めます")).to_be_visible()
    await expect(column.get_by_text("鍵つき")).to_have_count(0)
    await ken.says(case_id, answered)
    await mio.hears(answered)
    await expect(column.get_by_text("LINEに渡しました")).to_be_visible()
    # The bridge has fetched it; whether the person has read it, LINE does not tell.
    await expect(column.get_by_text("既読")).to_have_count(0)
    await ken.picture("console-line")
    await ken.closes(case_id)


async def test_the_server_dies_in_the_middle_and_the_conversation_goes_on(setting: Setting, browser: Browser) -> None:
    house = setting.house  # this file's own: what is killed must not be shared
    mio = await YoungPerson.arrives(browser, house)
    await mio.begins()
    before, meanwhile, answer = word("聞いてほしい"), word("切れた?"), word("だいじょうぶ、います")
    await mio.says(before)
    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    case_id = await mio.case_id()
    await ken.accepts(case_id)
    await ken.sees(case_id, before)
    process = house.process("serve")
    process.kill()
    await mio.writes(meanwhile)
    await ken.sees(case_id, meanwhile)
    await ken.says(case_id, answer)
    await mio.sees(answer)
    await expect(ken.column(case_id).locator("li.line", has_text=meanwhile)).to_have_count(1)
    await ken.closes(case_id)
