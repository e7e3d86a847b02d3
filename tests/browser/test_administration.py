"""The first administrator comes in by a link, and staff by the administrator."""

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import asyncpg
from playwright.async_api import Browser, expect

from tests.browser.people import DESK, PHONE, PICTURES, Counsellor, Visitor, YoungPerson
from tests.house import House


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
    await expect(page.get_by_role("heading", name="稼働状況")).to_be_visible()
    await page.get_by_role("button", name="職員", exact=True).click()
    await expect(page.get_by_role("heading", name="職員", exact=True)).to_be_visible()

    form = page.get_by_role("form", name="職員を加える")
    await form.get_by_label("名前", exact=True).fill("直")
    await form.get_by_label("利用者名").fill("nao")
    await form.get_by_role("button", name="加える").click()
    await expect(form.get_by_text("直さんを加えました")).to_be_visible()
    _, invitation = [await code.inner_text() for code in await form.locator("code").all()]
    for language in ("en", "ja"):
        await page.locator(".frame > header select").select_option(language)
        await rika.picture(f"admin-{language}")
        assert await rika.violations() == []

    await changes_a_colleague(rika)
    await makes_a_team(rika)
    await writes_guidance(rika, house)
    await sets_the_hours(rika, house)
    await switches_a_channel(rika)
    await shows_what_was_practised(rika, house)
    await words_a_text(rika, browser, house)
    await writes_a_reply(rika)
    await changes_the_risk_words(rika)
    await every_page_stands(rika)

    nao = await is_invited(browser, invitation)
    await page.get_by_role("button", name="職員", exact=True).click()
    row = page.get_by_role("row", name="直子")
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


async def is_invited(browser: Browser, link: str) -> Counsellor:
    """Comes by the link, chooses a password and is in. The link's token is in no request but the one that uses it."""
    context = await browser.new_context(viewport=DESK, locale="ja-JP", timezone_id="Asia/Tokyo")  # type: ignore[arg-type]
    nao = Counsellor(context, await context.new_page())
    await nao.page.goto(link)
    await expect(nao.page.get_by_role("heading", name="ようこそ")).to_be_visible()
    assert "invite" not in nao.page.url
    for language in ("en", "ja"):
        await nao.page.locator(".frame > header select").select_option(language)
        for width, viewport in ((360, PHONE), (1280, DESK)):
            await nao.page.set_viewport_size(viewport)  # type: ignore[arg-type]
            assert await nao.violations() == []
            await nao.picture(f"invited-{language}-{width}")
    await nao.page.get_by_label("パスワード").fill("correct horse battery")
    await nao.page.get_by_role("button", name="はじめる").click()
    await expect(nao.page.get_by_role("heading", name="待っている人")).to_be_visible()
    return nao


async def changes_a_colleague(rika: Visitor) -> None:
    page = rika.page
    await page.get_by_role("row", name="直").get_by_role("button", name="変更").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("名前", exact=True).fill("直子")
    await dialog.get_by_label("役割").select_option("supervisor")
    await dialog.get_by_label("同時に受けられる数").fill("3")
    assert await rika.violations() == []
    await rika.picture("admin-change-staff")
    await dialog.get_by_role("button", name="保存する").click()
    await expect(dialog).to_be_hidden()
    row = page.get_by_role("row", name="直子")
    await expect(row).to_contain_text("スーパーバイザー")
    await expect(row.get_by_role("cell", name="3", exact=True)).to_be_visible()


async def makes_a_team(rika: Visitor) -> None:
    page = rika.page
    await page.get_by_role("button", name="チームを加える").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("チームの名前").fill("夕方")
    await dialog.get_by_role("checkbox", name="直子").check()
    assert await rika.violations() == []
    await rika.picture("admin-team")
    await dialog.get_by_role("button", name="保存する").click()
    await expect(dialog).to_be_hidden()
    entry = page.get_by_role("listitem").filter(has_text="夕方")
    await expect(entry).to_contain_text("直子")
    await entry.get_by_role("button", name="変更").click()
    await dialog.get_by_role("checkbox", name="里香").check()
    await dialog.get_by_role("button", name="保存する").click()
    await expect(entry).to_contain_text("里香")
    await entry.get_by_role("button", name="なくす").click()
    await dialog.get_by_role("button", name="なくす").click()
    await expect(entry).to_have_count(0)


async def writes_guidance(rika: Visitor, house: House) -> None:
    page = rika.page
    await page.get_by_role("button", name="案内").first.click()
    await expect(page.get_by_role("heading", name="24時間子供SOSダイヤル")).to_be_visible()
    await page.get_by_role("button", name="案内を加える").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("名前", exact=True).fill("市の電話相談")
    await dialog.get_by_label("英語の名前").fill("City line")
    await dialog.get_by_label("電話番号").fill("０３-１２３４-５６７８")
    await dialog.get_by_label("時間(文字で出るもの)").fill("毎日9〜17時")
    await dialog.get_by_label("から", exact=True).fill("17:00")
    await dialog.get_by_label("まで", exact=True).fill("9:00")
    await dialog.get_by_role("button", name="保存する").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("17:00–9:00")
    assert await rika.violations() == []
    await rika.picture("admin-guidance-form")
    await dialog.get_by_label("から", exact=True).fill("0:00")
    await dialog.get_by_label("まで", exact=True).fill("24:00")
    await dialog.get_by_label("番号と時間を、いま確かめました").check()
    await dialog.get_by_role("button", name="保存する").click()
    await expect(dialog).to_be_hidden()
    entry = page.get_by_role("listitem").filter(has_text="市の電話相談")
    await expect(entry).to_contain_text("03-1234-5678")
    await expect(entry).to_contain_text("いま開いています")
    await entry.get_by_role("button", name="上へ").click()
    await expect(page.get_by_role("listitem").nth(-2)).to_contain_text("市の電話相談")

    # Young people see it at once, on the page without script too.
    async with aiohttp.ClientSession() as http:

        async def shown() -> str:
            answer = await http.get(house.base_url + "/guidance/")
            assert answer.status == 200 and "script-src 'self'" in answer.headers["Content-Security-Policy"]
            return await answer.text()

        await until(shown, lambda html: "市の電話相談" in html and "City line" in html and "tel:0312345678" in html)
        await entry.get_by_role("button", name="削除").click()
        await page.get_by_role("dialog").get_by_role("button", name="削除").click()
        await expect(entry).to_have_count(0)
        await until(shown, lambda html: "市の電話相談" not in html and "0120-0-78310" in html)


async def sets_the_hours(rika: Visitor, house: House) -> None:
    page = rika.page
    await page.get_by_role("button", name="設定", exact=True).click()
    name = page.get_by_label("窓口の名前")
    await name.fill("みなとの窓口")
    await page.get_by_label("会話を残す日数").fill("0")
    await page.get_by_role("button", name="保存する").click()
    # The browser's own check; nothing was sent.
    assert await page.get_by_label("会話を残す日数").evaluate("input => input.validity.rangeUnderflow")
    await page.get_by_label("会話を残す日数").fill("1000")
    await page.get_by_role("button", name="特別な日を加える").click()
    await page.get_by_label("初日").fill("12/29")
    await page.get_by_label("最終日").fill("1/3")
    await page.get_by_role("button", name="保存する").click()
    await expect(page.get_by_role("status").get_by_text("保存しました")).to_be_visible()
    assert await rika.violations() == []
    await rika.picture("admin-settings")
    await page.reload()
    await expect(page.get_by_label("初日")).to_have_value("12-29")
    await expect(page.get_by_label("会話を残す日数")).to_have_value("1000")
    async with aiohttp.ClientSession() as http:
        facts = await (await http.get(house.base_url + "/_madoguchi/desk/v1/desk")).json()
    assert facts["name"] == "みなとの窓口"
    await page.get_by_role("button", name="取りのぞく: 12-29").click()
    await page.get_by_label("窓口の名前").fill("相談窓口")
    await page.get_by_role("button", name="保存する").click()
    await expect(page.get_by_role("status").get_by_text("保存しました")).to_be_visible()


async def switches_a_channel(rika: Visitor) -> None:
    page = rika.page
    await page.get_by_role("button", name="経路", exact=True).click()
    row = page.get_by_role("row", name="ウェブ")
    for mode, reason in (("新しい相談は受けない", "機械の点検"), ("開いています", "点検が終わった")):
        await row.get_by_role("button", name="切り替える").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_role("radio", name=mode).check()
        await expect(dialog).to_contain_text("この経路で続いている相談: 0件")
        await dialog.get_by_label("理由").fill(reason)
        assert await rika.violations() == []
        await rika.picture("admin-switch-channel")
        await dialog.get_by_role("button", name="切り替える").click()
        await expect(dialog).to_be_hidden()
        await expect(row).to_contain_text(mode)
    await row.get_by_role("button", name="経過").click()
    await expect(page.get_by_role("dialog").get_by_role("listitem").first).to_contain_text("点検が終わった")
    assert await rika.violations() == []
    await page.get_by_role("dialog").get_by_role("button", name="閉じる").click()


async def shows_what_was_practised(rika: Visitor, house: House) -> None:
    page = rika.page
    section = page.get_by_role("region", name="停止訓練")
    await expect(section).to_contain_text("まだ記録がありません")
    database = await asyncpg.connect(house.database_url)
    try:
        await database.execute(
            "INSERT INTO drills (at, by_whom, people, moved, moved_95, report)"
            " VALUES (now(), 'operator', 200, 190, 42.4, '<p>報告</p>'), (now(), 'operator', 200, 150, NULL, '')"
        )
    finally:
        await database.close()
    await page.get_by_role("button", name="稼働状況", exact=True).click()
    await page.get_by_role("button", name="経路", exact=True).click()
    practised = section.get_by_role("listitem").filter(has_text="95%まで42分")
    await expect(practised).to_contain_text("200人中190人が引っ越しました")
    await expect(section).to_contain_text("95%には届きませんでした")
    for size, viewport in (("1280", DESK), ("360", PHONE)):
        await page.set_viewport_size(viewport)
        assert await rika.violations() == []
        await section.get_by_text("年に一度").scroll_into_view_if_needed()
        await rika.picture(f"admin-drills-{size}")
    await page.set_viewport_size(DESK)
    async with page.expect_download() as download:
        await practised.get_by_role("button", name=re.compile("報告を保存")).click()
    file = await download.value
    assert re.fullmatch(r"madoguchi-drill-[\d-]{10}\.html", file.suggested_filename)
    assert Path(await file.path()).read_text() == "<p>報告</p>"


async def words_a_text(rika: Visitor, browser: Browser, house: House) -> None:
    page = rika.page
    await page.get_by_role("button", name="テキスト", exact=True).click()
    card = page.get_by_role("region", name="はじめの画面: あいさつ")
    row = card.get_by_role("listitem").filter(has_text="やさしい日本語")
    built_in = "名前は いりません。とうろくも いりません。すぐに 相談できます。"
    await expect(row).to_contain_text(built_in)
    await row.get_by_role("button", name="変える").click()
    dialog = page.get_by_role("dialog")
    words, phone = dialog.get_by_label("文 (やさしい日本語)"), dialog.locator(".phone")
    await expect(phone.locator(".lead")).to_have_text(built_in)
    save = dialog.get_by_role("button", name="保存する")
    for wrong, why in (
        ("<b>", "見えない文字"),
        ("{name}さん", "窓口の名前"),
        ("あ" * 201, "200文字まで"),
        ("", "文を書いて"),
    ):
        await words.fill(wrong)
        await expect(dialog.get_by_role("alert")).to_contain_text(why)
        await expect(save).to_be_disabled()
    await words.fill("です。ゆっくり 話してね。")
    await words.press("Home")
    await dialog.get_by_role("button", name="窓口の名前").click()
    # Seen as it would be, in the young person's own screen and language, before anybody else sees it.
    await expect(phone.locator(".lead")).to_have_text("相談窓口です。ゆっくり 話してね。")
    await expect(phone.get_by_text("チャットを はじめる")).to_be_visible()
    assert (await phone.bounding_box() or {})["width"] == 360
    for size, viewport in (("1280", DESK), ("360", PHONE)):
        await page.set_viewport_size(viewport)
        assert await rika.violations() == []
        widths = await dialog.evaluate("each => [each.scrollWidth, each.clientWidth]")
        assert widths[0] <= widths[1], (size, widths)
        await rika.picture(f"admin-text-form-{size}")
    await page.set_viewport_size(DESK)
    mio = await YoungPerson.arrives(browser, house, language="ja-x-easy")
    await expect(mio.page.locator(".lead")).to_have_text(built_in)
    await save.click()
    await expect(dialog).to_be_hidden()
    await expect(row).to_contain_text("窓口の文")
    await expect(row).to_contain_text(built_in)
    await mio.page.reload()
    await expect(mio.page.locator(".lead")).to_have_text("相談窓口です。ゆっくり 話してね。")
    await mio.picture("start-own-words-360")
    # Names and an operator's words have no readings.
    await mio.page.get_by_role("switch", name="ふりがな").check()
    await expect(mio.page.locator("h1 rt")).to_have_count(1)
    await expect(mio.page.locator(".lead rt")).to_have_count(0)
    await mio.speaks("ja")
    await expect(mio.page.locator(".lead")).not_to_contain_text("相談窓口です")
    assert mio.errors == []
    await mio.context.close()
    closed = page.get_by_role("region", name="混んでいて").get_by_role("listitem").filter(has_text="English")
    await closed.get_by_role("button", name="変える").click()
    await dialog.get_by_label("文 (English)").fill("Many are here tonight.")
    await expect(phone.locator(".notice")).to_have_text("Many are here tonight.")
    await dialog.get_by_role("button", name="やめる").click()
    await expect(closed).not_to_contain_text("Many are here tonight.")
    thanks = page.get_by_role("region", name="終わりの画面: お礼").get_by_role("listitem").filter(has_text="English")
    await thanks.get_by_role("button", name="変える").click()
    await expect(phone.get_by_role("button", include_hidden=True)).to_have_count(4)
    await dialog.get_by_role("button", name="やめる").click()
    await row.get_by_role("button", name="変える").click()
    await dialog.get_by_role("button", name="はじめからある文にもどす").click()
    await expect(row).not_to_contain_text("窓口の文")


async def writes_a_reply(rika: Visitor) -> None:
    page = rika.page
    await page.get_by_role("button", name="定型文", exact=True).click()
    await page.get_by_role("button", name="定型文を加える").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("題").fill("市の案内")
    await dialog.get_by_label("文", exact=True).fill("です。")
    await dialog.get_by_label("文", exact=True).press("Home")
    await dialog.get_by_role("button", name="窓口の名前").click()
    await expect(dialog.get_by_label("文", exact=True)).to_have_value("{desk}です。")
    assert await rika.violations() == []
    await rika.picture("admin-reply-form")
    await dialog.get_by_role("button", name="保存する").click()
    await expect(dialog).to_be_hidden()
    entry = page.get_by_role("listitem").filter(has_text="市の案内")
    await entry.get_by_role("button", name="上へ").click()
    await expect(page.get_by_role("listitem").nth(-2)).to_contain_text("{desk}です。")
    await entry.get_by_role("button", name="削除").click()
    await page.get_by_role("dialog").get_by_role("button", name="削除").click()
    await expect(entry).to_have_count(0)


async def changes_the_risk_words(rika: Visitor) -> None:
    page = rika.page
    await page.get_by_role("button", name="危険の言葉").click()
    watch = page.get_by_role("group", name="気をつける").get_by_label("日本語")
    before = await watch.input_value()
    assert "闇バイト" in before.splitlines()
    # A sentence is tried here, and goes nowhere.
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data or ""))
    sentence = page.get_by_label("ためす文")
    await sentence.fill("やみばいとに誘われた")
    await expect(page.get_by_text("提案は出ません")).to_be_visible()
    await watch.fill(before + "\n\n ヤミバイト \n死")
    await expect(page.get_by_role("alert")).to_contain_text("2回あります: 死")
    assert await rika.violations() == []
    await watch.fill(before + "\n\n ヤミバイト ")
    await expect(page.get_by_role("listitem").filter(has_text="ヤミバイト")).to_be_visible()
    await page.get_by_role("button", name="保存する").click()
    await expect(page.get_by_role("status").get_by_text("保存しました")).to_be_visible()
    await expect(watch).to_have_value(before + "\nヤミバイト")
    assert not any("誘われた" in body for body in asked)
    await page.reload()
    await expect(watch).to_have_value(before + "\nヤミバイト")
    await watch.fill(before)
    await page.get_by_role("button", name="保存する").click()
    await expect(page.get_by_role("status").get_by_text("保存しました")).to_be_visible()


async def every_page_stands(rika: Visitor) -> None:
    pages = {
        "status": "稼働状況",
        "staff": "職員",
        "channels": "経路",
        "guidance": "案内",
        "texts": "テキスト",
        "replies": "定型文",
        "risk_words": "危険の言葉",
        "settings": "設定",
        "disclosures": "開示",
        "retention": "保存と削除",
        "audit": "記録",
    }
    english = {"status": "Status", "staff": "Staff", "channels": "Channels", "guidance": "Guidance", "texts": "Texts",
               "replies": "Saved replies", "risk_words": "Risk words", "settings": "Settings",
               "disclosures": "Disclosures", "retention": "Retention",
               "audit": "Audit log"}  # fmt: skip
    for language, names in (("ja", pages), ("en", english)):
        await rika.page.locator(".frame > header select").select_option(language)
        for size, viewport in (("1280", DESK), ("360", PHONE)):
            await rika.page.set_viewport_size(viewport)
            for name, title in names.items():
                await rika.page.locator("nav button", has_text=title).first.click()
                await expect(rika.page.locator("main h2").first).to_be_visible()
                await expect(rika.page.locator("main .soon")).to_have_count(0)
                assert await rika.violations() == []
                await rika.page.screenshot(path=PICTURES / f"admin-{name}-{language}-{size}.png", full_page=True)
    await rika.page.locator(".frame > header select").select_option("ja")
    await rika.page.set_viewport_size(DESK)


async def test_an_auditor_reads_the_log_and_nothing_else(house: House, browser: Browser) -> None:
    localpart = f"audit-{secrets.token_hex(3)}"
    told = house.run("staff", "add", localpart, "--name", "監査役", "--role", "auditor").stdout
    context = await browser.new_context(viewport=DESK, locale="ja-JP", reduced_motion="reduce")
    visitor = Visitor(context, await context.new_page())
    await visitor.page.goto(house.base_url + "/admin/")
    await visitor.page.get_by_label("利用者名").fill(localpart)
    await visitor.page.get_by_label("パスワード").fill(told.split("password: ")[1].split()[0])
    await visitor.page.get_by_role("button", name="サインイン").click()
    await expect(visitor.page.get_by_role("heading", name="閲覧範囲台帳")).to_be_visible()
    await visitor.page.locator("nav button", has_text="記録").click()
    await expect(visitor.page.get_by_role("heading", name="記録", exact=True)).to_be_visible()
    row = visitor.page.get_by_role("row", name=localpart).filter(has_text="職員を加えた")
    await expect(row).to_contain_text("operator")
    await expect(visitor.page.locator("nav button")).to_have_count(2)
    assert await visitor.violations() == []
    await visitor.picture("auditor-1280")


async def until(look: Callable[[], Awaitable[str]], fits: Callable[[str], bool], within_s: float = 20) -> None:
    ends = time.monotonic() + within_s
    while not fits(await look()):
        assert time.monotonic() < ends, "did not happen"
        await asyncio.sleep(0.3)


async def test_a_counsellor_is_no_administrator(house: House, browser: Browser) -> None:
    context = await browser.new_context(viewport=DESK, locale="ja-JP")
    page = await context.new_page()
    await page.goto(house.base_url + "/admin/")
    await page.get_by_label("利用者名").fill("sato")
    await page.get_by_label("パスワード").fill(house.staff[1].password)
    await page.get_by_role("button", name="サインイン").click()
    await expect(page.get_by_text("この利用者は管理者でも監査でもありません")).to_be_visible()
    await page.get_by_label("パスワード").fill("wrong")
    await page.get_by_role("button", name="サインイン").click()
    await expect(page.get_by_text("利用者名かパスワードが違います")).to_be_visible()
