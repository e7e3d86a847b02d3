"""The lock is evidence: who may be sure of whom, and what the pages do when a server lies."""

from playwright.async_api import Browser, expect

from tests.browser.people import Counsellor
from tests.house import House


async def test_a_counsellor_stays_who_they_are_at_another_workplace(house: House, browser: Browser) -> None:
    staff = house.staff[1]
    here = await Counsellor.signs_in(browser, house, staff)
    await here.picture("words-to-write-down")
    words = await here.writes_the_words_down()
    await expect(here.page.get_by_role("button", name="言葉を見る")).to_be_hidden()
    before = await here.master_key(staff.user_id)
    there = await Counsellor.signs_in(browser, house, staff, words=words)
    assert await there.master_key(staff.user_id) == before
    # Where the words were once, the password does.
    await there.page.get_by_role("button", name="サインアウト").click()
    await there.signs_in_here(staff)
    assert await there.master_key(staff.user_id) == before
