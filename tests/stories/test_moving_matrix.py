"""Moving 引っ越し from the page to a Matrix client and back: matrix-nio as it is, the pages, and the whole house."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from nio import JoinError, JoinResponse
from playwright.async_api import Browser, expect

from tests.browser.people import DESK, PHONE, Counsellor, YoungPerson, a_browser
from tests.cast import Cast
from tests.house import House
from tests.standins.counsellor import CounsellorClient
from tests.stories.test_matrix_client import at_a_client
from tests.words import word


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as browser:
        yield browser


async def test_a_conversation_goes_on_in_a_matrix_client_and_back_on_the_page(
    house: House, cast: Cast, browser: Browser, tmp_path: Path
) -> None:
    ken = await Counsellor.signs_in(browser, house, house.staff[0], viewport=DESK)
    page = await YoungPerson.arrives(browser, house)
    await page.begins()
    case_id = await page.case_id()
    first, answer = word("眠れない"), word("聞いているよ")
    await page.says(first)
    await ken.accepts(case_id)
    await ken.says(case_id, answer)
    await page.sees(answer)
    visit = await page.visit()
    assert visit is not None
    room = visit["roomId"]

    await page.page.get_by_role("button", name="あとで戻るには").click()
    await page.page.get_by_role("button", name="アプリで続けるには").click()
    dialog = page.page.get_by_role("dialog")
    for language in ("en", "ja-x-easy", "ja"):
        await page.speaks(language)
        assert await page.violations() == []
        await page.picture(f"matrix-before-{language}-360")
    await dialog.get_by_role("button", name="コードをつくる").click()
    alias = await dialog.locator("code").first.inner_text()
    link = await dialog.locator("code").last.inner_text()
    assert alias.startswith("#move-") and link.startswith("https://matrix.to/#/%23move-")
    for language in ("en", "ja-x-easy", "ja"):
        await page.speaks(language)
        assert await page.violations() == []
        await page.picture(f"matrix-code-{language}-360")
    await page.page.set_viewport_size(DESK)
    await page.picture("matrix-code-1280")
    await page.page.set_viewport_size(PHONE)

    account = await cast.person("mio")
    async with AsyncExitStack() as stack:
        # A client that knows how to take the history, and plain matrix-nio, which doesn't.
        knowing = await stack.enter_async_context(
            CounsellorClient(house.base_url, account.user_id, account.password, tmp_path / "knowing")
        )
        mio = await stack.enter_async_context(at_a_client(house, account.user_id, account.password, tmp_path / "mio"))
        told = await mio.client.join(alias)
        assert isinstance(told, JoinError) and "招待" in told.message
        await mio.until(lambda: room in mio.client.invited_rooms)
        assert mio.client.invited_rooms[room].inviter == f"@keeper:{house.server_name}"
        assert isinstance(await mio.client.join(room), JoinResponse)
        await mio.until(lambda: room in mio.client.rooms)
        await knowing.reads_history(room)
        await knowing.sees(room, first)
        await knowing.sees(room, answer)

        # The page steps aside; its account goes.
        await expect(page.page.get_by_role("heading", name="続きは、別のところで話せます")).to_be_visible()
        assert await page.violations() == []
        await page.picture("matrix-gone-on-360")
        await mio.until(lambda: visit["session"]["userId"] not in mio.client.rooms[room].users)
        column = ken.column(case_id)
        await expect(column.get_by_text("Webから引っ越し")).to_be_visible()
        spent = await mio.client.join(alias)
        assert isinstance(spent, JoinResponse) and spent.room_id == room, "said again by whoever is in"
        second, reply = word("アプリから"), word("こちらも読めます")
        await mio.says(room, second)
        await ken.sees(case_id, second)
        await ken.says(case_id, reply)
        await mio.hears(room, reply)
        await ken.picture("moved-to-matrix-1280")

        # And back: Ken's own page brings the link, sealed.
        await column.get_by_role("button", name="引っ越しをすすめる").click()
        offer = ken.page.get_by_role("dialog")
        await expect(offer.get_by_text("この部屋に暗号化して送ります")).to_be_visible()
        assert await ken.violations() == []
        await ken.picture("bring-a-move-1280")
        await offer.get_by_role("button", name="引っ越しをすすめる").click()
        brought = await mio.hears_some(room, "/#move=")
        url = next(piece for piece in brought.split() if "/#move=" in piece)
        back = await YoungPerson.arrives(browser, house, address=url)
        for language in ("en", "ja-x-easy", "ja"):
            await back.speaks(language)
            assert await back.violations() == []
            await back.picture(f"move-from-matrix-{language}-360")
        await back.page.get_by_role("button", name="ここで話す").click()
        # All of it is there, and her own words are hers, by whichever account she said them.
        for text in (first, second):
            await expect(back.mine(text)).to_be_visible()
        for text in (answer, reply):
            await back.sees(text)
        for _ in range(100):
            if room not in (await mio.client.joined_rooms()).rooms:
                break
            await asyncio.sleep(0.2)
        else:
            raise AssertionError("the client's account is still in the room")
    third, last = word("もどってきた"), word("おかえり")
    await back.says(third)
    await ken.sees(case_id, third)
    await ken.says(case_id, last)
    await back.sees(last)
    await expect(column.get_by_text("Matrixから引っ越し")).to_be_visible()
    await back.page.get_by_role("button", name=re.compile("鍵つき")).first.click()
    # No app is in between that could be told of news.
    await expect(back.page.get_by_label("前のアプリに")).to_have_count(0)
    await back.page.keyboard.press("Escape")
    await back.picture("moved-from-matrix-360")
    assert page.errors == ken.errors == back.errors == []
    await ken.closes(case_id)
