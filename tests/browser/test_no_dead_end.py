"""Closed, full, unreachable, broken: every screen has a way on, and the phone numbers are one tap away."""

import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, Route, expect

from madoguchi.core.desk import hours
from tests.browser.people import PICTURES, TOP, YoungPerson
from tests.house import House
from tests.words import word

DESK = "**/_madoguchi/desk/v1/desk"
CASES = "**/_madoguchi/desk/v1/cases"


def answered(status: int, body: dict[str, Any]) -> Callable[[Route], Coroutine[Any, Any, None]]:
    async def answer(route: Route) -> None:
        await route.fulfill(status=status, json=body)

    return answer


async def numbers_are_one_tap_away(mio: YoungPerson) -> None:
    await mio.page.locator("header .phone").click()
    await expect(mio.page.get_by_role("dialog").locator("a[href='tel:0120078310']")).to_be_visible()
    await mio.page.locator("dialog .close").click()


@pytest.mark.parametrize("language", ["ja-x-easy", "ja", "en"])
async def test_a_closed_desk_says_when_it_opens(house: House, browser: Browser, language: str) -> None:
    mio = await YoungPerson.arrives(browser, house, language=language)

    async def closed(route: Route) -> None:
        facts = await (await route.fetch()).json()
        await route.fulfill(json=facts | {"open": False, "reason": "hours", "next_opening": 1_791_000_000_000})

    await mio.page.route(DESK, closed)
    await mio.page.reload()
    await expect(mio.page.locator(".words .notice")).to_contain_text(re.compile("10月|October"))
    assert await mio.violations() == []
    await mio.picture(f"desk-closed-{language}-360")
    await numbers_are_one_tap_away(mio)


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (429, {"errcode": "M_LIMIT_EXCEEDED"}, "混み合っています"),
        (500, {"errcode": "M_UNKNOWN"}, "窓口につながりません"),
        (403, {"errcode": "JP_MADOGUCHI_CLOSED"}, "チャットをはじめられませんでした"),
    ],
)
async def test_a_refused_start_can_be_tried_again(
    house: House, browser: Browser, status: int, body: dict[str, Any], says: str
) -> None:
    mio = await YoungPerson.arrives(browser, house)
    await mio.page.route(CASES, answered(status, body))
    await mio.page.get_by_role("button", name="チャットをはじめる").click()
    await expect(mio.page.get_by_role("alert")).to_contain_text(says)
    assert await mio.violations() == []
    await numbers_are_one_tap_away(mio)
    await mio.page.unroute(CASES)
    await mio.begins()


async def test_without_the_server_the_numbers_are_still_there(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house)
    await mio.page.route("**/_madoguchi/**", lambda route: route.abort())
    await mio.page.reload()
    await expect(mio.page.get_by_role("alert")).to_contain_text("窓口につながりません")
    await mio.picture("desk-unreachable-360")
    assert await mio.violations() == []
    await numbers_are_one_tap_away(mio)


async def test_an_encryption_that_does_not_load_can_be_tried_again(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house, address="about:blank")
    await mio.page.route("**/assets/client-*.js", lambda route: route.abort())
    await mio.page.goto(house.base_url + "/")
    await mio.speaks("ja")
    await mio.begins()
    await expect(mio.page.get_by_role("alert")).to_contain_text("鍵の準備ができませんでした")
    text = word("書いておく")
    await mio.writes(text)
    await expect(mio.mine(text).get_by_text("送信待ち")).to_be_visible()
    assert await mio.violations() == []
    await mio.picture("keys-failed-360")
    await mio.page.unroute("**/assets/client-*.js")
    await mio.page.get_by_role("alert").get_by_role("button", name="もう一度").click()
    await expect(mio.mine(text).locator("time")).to_be_visible()


async def test_the_page_and_the_desk_know_the_same_numbers(house: House) -> None:
    stored = json.loads((TOP / "client-web" / "guidance" / "guidance.json").read_text())
    async with aiohttp.ClientSession() as http:
        facts = await (await http.get(house.base_url + "/_madoguchi/desk/v1/desk")).json()
    names = ("id", "name", "name_easy", "phone", "hours_text", "url")

    def said(entry: dict[str, Any]) -> list[object]:
        times = entry.get("hours")
        return [entry.get(name) for name in names] + [times and hours.parse(json.dumps(times))]

    assert [said(entry) for entry in stored] == [said(entry) for entry in facts["guidance"]]


async def test_after_the_end_there_are_thanks_three_taps_and_a_way_back(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house, reduced_motion="reduce")
    await mio.begins()
    await mio.says(word("ありがとう"))
    await mio.page.get_by_role("button", name="相談を終える").click()
    await mio.page.get_by_role("dialog").get_by_role("button", name="終える", exact=True).click()
    await expect(mio.page.get_by_role("heading", name="話してくれて、ありがとう")).to_be_visible()
    send = mio.page.get_by_role("button", name="答えを送る")
    await expect(send).to_be_disabled()
    for question, answer in (("話を聞いてもらえた", "すこし"), ("いまの気持ちは", "楽になった")):
        await mio.page.get_by_role("group", name=question).get_by_text(answer, exact=True).click()
    assert await mio.violations() == []
    await mio.page.screenshot(path=PICTURES / "survey-360.png", full_page=True)
    await mio.page.route("**/cases/mine/survey", lambda route: route.abort())
    await send.click()
    await expect(mio.page.get_by_role("alert").get_by_text("送れませんでした")).to_be_visible()
    await mio.page.unroute("**/cases/mine/survey")
    await send.click()
    await expect(mio.page.get_by_text("教えてくれて、ありがとうございました")).to_be_visible()
    assert await mio.violations() == []
    await mio.page.get_by_role("button", name="もう一度相談する", exact=True).click()
    await expect(mio.page.get_by_role("button", name="チャットをはじめる")).to_be_visible()
