"""The first administrator comes in by a link, and staff by the administrator."""

from playwright.async_api import Browser, expect

from tests.browser.people import DESK, Counsellor, Visitor
from tests.house import House, Staff


async def test_from_the_link_to_a_colleague_at_work(house: House, browser: Browser) -> None:
    link = str(house.facts["admin_link"])
    context = await browser.new_context(viewport=DESK, locale="ja-JP", reduced_motion="reduce")
    rika = Visitor(context, await context.new_page())
    page = rika.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(link)
    await expect(page.get_by_role("heading", name="最初の管理者になる")).to_be_visible()
    # The token left the address bar and was never part of an address that was asked for.
    assert "link=" not in page.url
    token = link.split("link=")[1]
    assert not any(token in url for url in asked)
    assert await rika.violations() == []
    await rika.picture("admin-redeem")
    await page.get_by_label("表示する名前").fill("里香")
    await page.get_by_label("利用者名").fill("rika")
    await page.get_by_label("パスワード").fill("correct horse battery")
    await page.get_by_role("button", name="管理者になる").click()
    await expect(page.get_by_role("heading", name="職員", exact=True)).to_be_visible()

    form = page.get_by_role("form", name="職員を加える")
    await form.get_by_label("名前", exact=True).fill("直")
    await form.get_by_label("利用者名").fill("nao")
    await form.get_by_role("button", name="加える").click()
    await expect(form.get_by_text("直さんを加えました")).to_be_visible()
    user_id, password = [await code.inner_text() for code in await form.locator("code").all()]
    for language in ("en", "ja"):
        await page.locator("header select").select_option(language)
        await rika.picture(f"admin-{language}")
        assert await rika.violations() == []

    nao = await Counsellor.signs_in(browser, house, Staff(user_id, password, "直"))
    row = page.get_by_role("row", name="直")
    await row.get_by_role("button", name="停止する").click()
    await page.get_by_role("dialog").get_by_role("button", name="停止する").click()
    await expect(row.get_by_text("停止中")).to_be_visible()
    await expect(nao.page.get_by_text("サインインの期限が切れたか")).to_be_visible()

    # The link is used up.
    again = await context.new_page()
    await again.goto(link)
    await again.get_by_label("表示する名前").fill("だれか")
    await again.get_by_label("利用者名").fill("dareka")
    await again.get_by_label("パスワード").fill("correct horse battery")
    await again.get_by_role("button", name="管理者になる").click()
    await expect(again.get_by_text("使用済みか期限切れ")).to_be_visible()


async def test_a_counsellor_is_no_administrator(house: House, browser: Browser) -> None:
    context = await browser.new_context(viewport=DESK, locale="ja-JP")
    page = await context.new_page()
    await page.goto(house.base_url + "/admin/")
    await page.get_by_label("利用者名").fill("sato")
    await page.get_by_label("パスワード").fill(house.staff[1].password)
    await page.get_by_role("button", name="サインイン").click()
    await expect(page.get_by_text("この利用者は管理者ではありません")).to_be_visible()
    await page.get_by_label("パスワード").fill("wrong")
    await page.get_by_role("button", name="サインイン").click()
    await expect(page.get_by_text("利用者名かパスワードが違います")).to_be_visible()
