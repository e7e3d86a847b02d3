"""Moving 引っ越し: from LINE into the sealed room on the same phone, with the counsellor and all that was said; from
there to Telegram, and back to LINE."""

import asyncio
import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
from playwright.async_api import Browser, expect

from tests.browser.people import DESK, Counsellor, Visitor, YoungPerson, a_browser
from tests.cast import DESK as DESK_API
from tests.cast import Cast, a_cast
from tests.standins.line import LinePerson, LineStandin
from tests.standins.telegram import TelegramStandin
from tests.stories.conftest import Setting
from tests.words import word


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as browser:
        yield browser


@pytest.fixture
async def telegram(setting: Setting) -> AsyncIterator[TelegramStandin]:
    telegram = TelegramStandin()
    await telegram.start(setting.telegram_port)
    words = ("--id", "telegram-too", "--name", "県のTelegram", "--mode", "relay", "--reason", "exercise of the tests")
    await asyncio.to_thread(setting.channel, "add", "telegram", *words, TELEGRAM_BOT_TOKEN=telegram.token)
    yield telegram
    setting.channel("set", "telegram-too", "--mode", "closed", "--reason", "the exercise is over")
    await telegram.stop()


@pytest.mark.timeout(400)
async def test_a_conversation_goes_on_in_the_sealed_room(
    setting: Setting, line: LineStandin, telegram: TelegramStandin, browser: Browser
) -> None:
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
    # LINE carries none, so none are offered.
    more = column.locator("li.line", has_text=before).get_by_role("button", name="このメッセージへの操作")
    await more.click()
    await expect(column.get_by_role("group", name="このメッセージへの操作")).to_be_visible()
    await expect(column.get_by_role("group", name="気持ちを送る")).to_have_count(0)
    await more.click()
    await column.get_by_role("button", name="引っ越しをすすめる").click()
    dialog = ken.page.get_by_role("dialog")
    await dialog.get_by_text("合い言葉を付ける").click()
    await dialog.get_by_label("相談者と決めた合い言葉").fill("カレーライス")
    assert await ken.violations() == []
    await ken.picture("offer-of-a-move-1280")
    await dialog.get_by_role("button", name="引っ越しをすすめる").click()
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
    await expect(page.mine(before)).to_be_visible()
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
    lines = page.page.get_by_role("dialog").get_by_role("listitem")
    people = lines.locator("div > p:first-child", has_text=re.compile("^(あなた|健|記録係)"))
    await expect(people).to_have_count(3)
    # Beside them: the encryption, the app, the roster.
    await expect(lines).to_have_count(6)
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
    assert stranger.errors == []
    await goes_back_to_an_app(page, ken, case_id, telegram)
    await goes_on_at_another_app(setting, ken, case_id, telegram, mio)
    assert page.errors == ken.errors == []
    await ken.closes(case_id)


async def goes_back_to_an_app(page: YoungPerson, ken: Counsellor, case_id: str, telegram: TelegramStandin) -> None:
    """By their own word, told who can read there, with a link that is good once."""
    await page.page.get_by_role("button", name=re.compile("鍵つき")).first.click()
    sheet = page.page.get_by_role("dialog")
    await sheet.get_by_role("button", name=re.compile("Telegramで続ける")).click()
    link = sheet.get_by_role("link", name="Telegramをひらく")
    await link.scroll_into_view_if_needed()
    assert await page.violations() == []
    await page.picture("back-to-an-app-360")
    url = await link.get_attribute("href")
    assert url is not None and url.startswith("https://t.me/mado_bot?start=m_")
    there = telegram.person()
    await there.says("/start " + url.partition("start=")[2])
    await there.hears("つづきは、ここで話せます")
    await expect(page.page.get_by_role("heading", name="続きは、別のところで話せます")).to_be_visible()
    assert await page.violations() == []
    await page.picture("gone-elsewhere-360")
    back, answer = word("Telegramにもどった"), word("Telegramでも聞くよ")
    said = await there.says(back)
    await ken.sees(case_id, back)
    await ken.says(case_id, answer)
    await there.hears(answer)
    # A heart from the console stands on the phone, until it is taken back.
    line = ken.column(case_id).locator("li.line", has_text=back)
    await ken.acts_on(line, "ハート")
    await there.sees(said, "❤")
    await ken.picture("reaction-in-an-app-1280")
    await line.get_by_role("button", name="ハート: あなた").click()
    await there.sees(said)
    await expect(ken.column(case_id).get_by_text("Webから引っ越し")).to_be_visible()


async def goes_on_at_another_app(
    setting: Setting, ken: Counsellor, case_id: str, telegram: TelegramStandin, mio: LinePerson
) -> None:
    """Offered by the counsellor; the code is typed where the person has been before, and the bridge dies over it."""
    house, column, dialog = setting.house, ken.column(case_id), ken.page.get_by_role("dialog")
    await knows_how_to_open(house.database_url, "line")
    await column.get_by_role("button", name="引っ越しをすすめる").click()
    await dialog.get_by_role("radio", name=re.compile("^LINE")).first.check()
    await expect(dialog.get_by_text("LINEの会社も読めます")).to_be_visible()
    for width in (360, 1280):
        await ken.page.set_viewport_size({"width": width, "height": 800})
        assert await ken.violations() == []
        await ken.picture(f"offer-of-another-app-{width}")
    await ken.page.set_viewport_size(DESK)
    await dialog.get_by_role("button", name="引っ越しをすすめる").click()
    there = telegram.phones[0].to
    offered = await telegram.person(there).hears("line.me/R/oaMessage", within_s=30)
    code = re.findall(r"[2-9A-Z]{4}-[2-9A-Z]{4}", offered.text)[-1]
    await mio.says(code)
    await asyncio.to_thread(house.kills, "bridges")
    await mio.hears("つづきは、ここで話せます", within_s=60)
    again, answer = word("LINEにもどった"), word("おかえり")
    await mio.says(again)
    await ken.sees(case_id, again)
    await ken.says(case_id, answer)
    await mio.hears(answer)
    await expect(column.get_by_text("Telegramから引っ越し")).to_be_visible()
    await ken.picture("moved-to-an-app-1280")
    await expect(column.locator("li.line", has_text=code)).to_have_count(0)
    await telegram.person(there).hears("つづきは、LINEで話せます", within_s=60)
    phone = telegram.person(there).phone
    assert sum("つづきは、LINEで話せます" in text for text in phone) == 1
    assert not any(again in text or answer in text for text in phone), "nothing of it crosses the app before"
    # Whoever writes there again is told where it goes on.
    lost = word("Telegramにまた書く")
    await telegram.person(there).says(lost)
    await telegram.person(there).hears("LINEを使えないときは")
    await expect(column.locator("li.line", has_text=lost)).to_have_count(0)
    told = house.run("doctor").stdout
    assert re.search(r"ledger +telegram-too: 3 in = 1 shown", told), told


async def knows_how_to_open(database_url: str, channel_id: str) -> None:
    """Waits until an account's bridge has asked the app how a link opens it."""
    database, asked = await asyncpg.connect(database_url), "SELECT 1 FROM bridge_accounts WHERE channel_id = $1"
    try:
        async with asyncio.timeout(90):
            while not await database.fetchval(asked, channel_id):  # noqa: ASYNC110
                await asyncio.sleep(0.5)
    finally:
        await database.close()


async def test_a_channel_is_suspended_and_nobody_is_left_behind(
    setting: Setting, line: LineStandin, browser: Browser
) -> None:
    house = setting.house
    async for cast in a_cast(house.base_url):
        await suspends(setting, line, browser, cast)


async def suspends(setting: Setting, line: LineStandin, browser: Browser, cast: Cast) -> None:
    house = setting.house
    token = str(house.facts["admin_link"]).split("link=")[1]
    own = {"localpart": "rika", "name": "里香", "password": "correct horse battery"}
    await cast.line.call("POST", DESK_API + "/admin/redeem", {"token": token, **own})
    rika = await cast.enters(f"@rika:{house.server_name}", own["password"], "rika")
    added = await rika.post(DESK_API + "/staff", {"localpart": "second", "name": "二", "role": "administrator"})
    second = await cast.enters(added["user_id"], added["password"], "second")
    people = [line.person() for _ in range(3)]
    for person in people:
        await person.says(word("まだ話したい"))
    await line.deliver(people[2].event("unfollow", replyToken=None))

    context = await browser.new_context(viewport=DESK, locale="ja-JP", timezone_id="Asia/Tokyo")
    admin = Visitor(context, await context.new_page())
    page = admin.page
    await page.goto(house.base_url + "/admin/")
    await page.get_by_label("利用者名").fill("rika")
    await page.get_by_label("パスワード").fill(own["password"])
    await page.get_by_role("button", name="サインイン").click()
    await page.get_by_role("button", name="経路", exact=True).click()
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name="line", exact=True)).first
    await row.get_by_role("button", name=re.compile("人の行き先")).click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_text("行き先のない人: 3人")).to_be_visible()
    await expect(dialog.get_by_role("listitem")).to_have_count(3)
    await page.keyboard.press("Escape")

    async def switch(mode: str) -> None:
        await row.get_by_role("button", name=re.compile("切り替える")).click()
        await dialog.get_by_text(mode, exact=True).click()
        await dialog.get_by_label("理由").fill("海外から見られることがわかった")
        if mode == "閉じています":
            await dialog.get_by_label(re.compile("続いている2件")).check()
        await dialog.get_by_role("button", name="切り替える").click()

    await switch("新しい相談は受けない")
    # Everybody is told, and the page follows by itself.
    await expect(dialog.locator("dl")).to_contain_text("知らせが届いた2")
    await expect(dialog.locator("dl")).to_contain_text("届かない1")
    link = next(text for text in (await people[0].hears("/#move=")).text.split() if "/#move=" in text)
    await cast.line.call("POST", DESK_API + "/move", {"token": link.rpartition("=")[2]})
    await expect(dialog.locator("dl")).to_contain_text("引っ越した1")
    await expect(dialog.get_by_text("行き先のない人: 2人")).to_be_visible()
    for width in (1280, 360):
        await page.set_viewport_size({"width": width, "height": 800})
        await admin.picture(f"admin-suspension-{width}")
        assert await admin.violations() == []
    await page.set_viewport_size(DESK)
    await page.keyboard.press("Escape")

    await switch("閉じています")
    await expect(dialog.get_by_role("alert")).to_contain_text("行き先のない人が2人")
    await admin.picture("admin-people-left-1280")
    await dialog.get_by_label("それでも閉じることに署名する").check()
    await dialog.get_by_role("button", name="切り替える").click()
    await expect(dialog.get_by_text("閉鎖に署名しました")).to_be_visible()
    assert await admin.violations() == []
    await admin.picture("admin-closing-signed-1280")
    body = {"mode": "closed", "reason": "二人目", "sign": True}
    await second.put(f"{DESK_API}/channels/line/mode", body)
    await expect(dialog.get_by_text("閉じています").first).to_be_visible()
    # Words stop crossing by that: whoever had been offered the page before hears so, with the hotlines.
    assert "いま話せる電話" in (await people[1].hears("続けられなくなりました")).text
    # Whoever writes now is shown the way, with the hotlines; nothing of it is carried.
    await people[1].says(word("だれかいる？"))
    await people[1].hears("いま話せる電話")
    await page.keyboard.press("Escape")
    await connects_an_app(setting, admin)
    assert admin.errors == []
    setting.channel("set", "line", "--mode", "relay", "--reason", "exercise of the tests")
    for case in (await rika.get(f"{DESK_API}/channels/line/suspension"))["people"]:
        await rika.post(f"{DESK_API}/cases/{case['case_id']}/close")


async def connects_an_app(setting: Setting, admin: Visitor) -> None:
    """An administrator gives in what opens an account; each step is looked at with LINE itself, until it is right."""
    page, dialog = admin.page, admin.page.get_by_role("dialog")
    await page.get_by_role("button", name="アプリをつなぐ").click()
    await dialog.get_by_role("radio", name="Telegram").check()
    await dialog.get_by_label("ボットのトークン").fill("no token")
    await dialog.get_by_role("button", name="つなぐ", exact=True).click()
    assert await dialog.get_by_label("ボットのトークン").evaluate("field => field.validity.patternMismatch")
    await dialog.get_by_role("radio", name="LINE").check()
    await dialog.get_by_label("職員が見る名前").fill("市のLINE")
    await dialog.get_by_label("チャネルシークレット").fill(setting.secret)
    await dialog.get_by_label("チャネルアクセストークン").fill("withdrawn")
    for language in ("en", "ja"):
        await page.locator(".frame > header select").select_option(language)
        for width in (360, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await admin.violations() == []
            await admin.picture(f"admin-connect-{language}-{width}")
    await dialog.get_by_role("button", name="つなぐ", exact=True).click()
    token = dialog.locator("li[data-step='token']")
    await expect(token).to_have_attribute("data-state", "wrong")
    await expect(token).to_contain_text("「鍵を入れ直す」")
    await page.keyboard.press("Escape")

    row = page.get_by_role("row").filter(has_text="市のLINE")
    await expect(row).to_contain_text("入口だけ")
    await row.get_by_role("button", name=re.compile("鍵を入れ直す")).click()
    await dialog.get_by_label("チャネルシークレット").fill(setting.secret)
    await dialog.get_by_label("チャネルアクセストークン").fill(setting.token)
    await dialog.get_by_role("button", name="鍵を入れ直す").click()
    await expect(token).to_have_attribute("data-state", "good")
    await expect(token).to_contain_text("県の窓口")
    # This house has no public address: LINE could not call it, and the page says so.
    await expect(dialog.locator("li[data-step='address']")).to_contain_text("public_url")
    await admin.picture("admin-connected-1280")
    await page.keyboard.press("Escape")
    assert setting.token not in await page.content()
    for width in (360, 1280):
        await page.set_viewport_size({"width": width, "height": 800})
        await admin.picture(f"admin-apps-{width}")
