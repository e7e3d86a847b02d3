"""The record of a case in two browsers: written at its close in a minute, sent back, corrected, looked through."""

import re
import secrets
from pathlib import Path
from typing import Any

import asyncpg
from playwright.async_api import Browser, expect

from tests.browser.people import DESK, PHONE, PICTURES, Counsellor, Visitor, YoungPerson
from tests.browser.test_shift import a_supervisor
from tests.desk.test_statistics import MADE
from tests.house import House
from tests.words import word


async def stands(visitor: Visitor, name: str) -> None:
    """No violation in both languages, on a phone and on a desk; with pictures."""
    for language in ("en", "ja"):
        await visitor.page.locator(".frame > header select").evaluate(
            "(select, code) => { select.value = code; select.dispatchEvent(new Event('change', {bubbles: true})); }",
            language,
        )
        for width, viewport in ((360, PHONE), (1280, DESK)):
            await visitor.page.set_viewport_size(viewport)  # type: ignore[arg-type]
            assert await visitor.violations() == []
            await visitor.page.screenshot(path=PICTURES / f"{name}-{language}-{width}.png")


async def test_a_record_from_the_close_to_the_review(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house, reduced_motion="reduce")
    await mio.begins()
    case_id = await mio.case_id()
    await mio.says(word("家に帰りたくない"))
    await answers_while_waiting(mio)
    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    lead = await Counsellor.signs_in(browser, house, a_supervisor(house, "課長"))
    await expect(ken.ticket(case_id)).to_contain_text("いじめ、中学校 2年")
    await ken.picture("queue-answers-1280")
    await ken.accepts(case_id)
    await ken.sees(case_id, "家に帰りたくない")
    await expect(ken.column(case_id).locator("header")).to_contain_text("いじめ、中学校 2年")
    assert await ken.violations() == []
    await ken.picture("case-answers-1280")
    # Somebody has come: what was said stands in the lock, and is no longer changed here.
    await expect(mio.page.get_by_role("button", name="変える")).to_have_count(0)
    await mio.page.locator("button.lock").click()
    await expect(mio.page.get_by_role("dialog")).to_contain_text("いじめ、中学校 2年生")
    await expect(mio.page.get_by_role("dialog").get_by_role("button", name="変える")).to_have_count(0)
    await mio.page.locator("dialog .close").click()

    # Without a topic it is not saved; a digit chooses one, Ctrl and Enter save and close.
    await ken.column(case_id).get_by_role("button", name="終える").click()
    form = ken.page.get_by_role("dialog")
    await expect(form.get_by_role("radio", name="中学校")).to_be_checked()
    await expect(form.get_by_role("radio", name="2年", exact=True)).to_be_checked()
    await form.get_by_role("checkbox", name="いじめ").uncheck()
    await form.get_by_role("button", name="記録を保存して終える").click()
    await expect(form.get_by_role("alert")).to_contain_text("相談内容を1つ以上")
    await expect(form.get_by_role("checkbox", name="友人関係")).to_be_focused()
    await ken.page.keyboard.press("5")
    await expect(form.get_by_role("checkbox", name="家族")).to_be_checked()
    await form.get_by_role("radio", name="13〜15歳").check()
    await form.get_by_role("group", name="危険度").get_by_role("radio", name="高い").check()
    await form.get_by_role("checkbox", name="家出").check()
    note = word("父とけんか。今夜は祖母の家。")
    await form.get_by_label("相談のようす・所見").fill(note)
    await form.get_by_role("button", name="7日後").click()
    await stands(ken, "record-form")

    # What is begun is there again after a reload.
    await ken.page.reload()
    await ken.opens(case_id)
    await ken.column(case_id).get_by_role("button", name="終える").click()
    await expect(form.get_by_label("相談のようす・所見")).to_have_value(note)
    await ken.page.keyboard.press("Control+Enter")
    await expect(ken.column(case_id).get_by_text("この相談は終わりました")).to_be_visible()
    await expect(mio.page.get_by_role("heading", name="話してくれて、ありがとう")).to_be_visible()

    # Whoever leads the shift reads it, words too, and sends it back.
    await lead.page.get_by_role("navigation").get_by_role("button", name="記録").click()
    await lead.page.get_by_role("button", name="全員の").click()
    await lead.page.get_by_role("button", name="確認待ち").click()
    row = lead.page.locator(f"li[data-case='{case_id}']")
    await expect(row).to_contain_text("健")
    await stands(lead, "records")
    await row.get_by_role("button", name="開く").click()
    sheet = lead.page.get_by_role("dialog")
    await expect(sheet.get_by_text(note)).to_be_visible()
    await expect(sheet.get_by_text("死にたい気持ち")).to_have_count(0)
    await stands(lead, "record-review")
    asked = word("今夜の連絡先を足してください")
    await sheet.get_by_label("差しもどす理由").fill(asked)
    await sheet.get_by_role("button", name="差しもどす").click()
    await expect(row).to_have_count(0)

    # The counsellor reads why, and writes it anew.
    await ken.page.get_by_role("navigation").get_by_role("button", name="記録").click()
    await ken.page.get_by_role("button", name=re.compile("^差しもどし")).click()
    await ken.page.locator(f"li[data-case='{case_id}']").get_by_role("button", name="開く").click()
    await expect(form.get_by_text(asked)).to_be_visible()
    more = note + word("祖母宅に電話ずみ。")
    await form.get_by_label("相談のようす・所見").fill(more)
    await form.get_by_role("button", name="保存する").click()
    await expect(form).to_be_hidden()
    await lead.page.get_by_role("button", name="確認待ち").click()
    await row.get_by_role("button", name="開く").click()
    await expect(sheet.get_by_text(more)).to_be_visible()
    await sheet.get_by_role("button", name="確認した").click()
    await expect(row).to_have_count(0)
    assert mio.errors == ken.errors == lead.errors == []

    # The vault's holders can open it with the case; the young person never saw a trace of it.
    told = house.run(
        "vault", "open", case_id, "--key", str(house.data / "demo-vault-key.txt"), "--reason", "x", "--holder", "Abe"
    ).stdout
    assert (
        f"［相談記録］{more}" in told
        and f"［記録の確認］{asked}" in told
        and "0 unreadable" in told.rpartition("# Case")[2]
    )
    assert note not in await mio.page.locator("body").inner_text()


async def answers_while_waiting(mio: YoungPerson) -> None:
    """Two questions: what was chosen is seen and changed, and the line to write in was there before."""
    page, dialog = mio.page, mio.page.get_by_role("dialog")
    await page.get_by_role("button", name="答える", exact=True).click()
    await expect(dialog.get_by_text("サーバーを管理する人も見ることができます")).to_be_visible()
    await dialog.get_by_role("checkbox", name="死にたい・消えたい").check()
    await expect(dialog.get_by_role("button", name="電話で話す")).to_be_visible()
    await dialog.get_by_role("checkbox", name="死にたい・消えたい").uncheck()
    await dialog.get_by_role("checkbox", name="家族のこと").check()
    await dialog.get_by_role("button", name="伝える").click()
    await expect(dialog.get_by_text("学校はどこですか")).to_be_visible()
    await dialog.get_by_role("radio", name="中学校").check()
    await dialog.get_by_role("radio", name="2年生").check()
    assert await mio.violations() == []
    await mio.picture("questions-school-360")
    await dialog.get_by_role("button", name="とばす").click()
    told = page.locator(".said")
    await expect(told).to_contain_text("伝えたこと: 家族のこと")
    # Another time, and something else.
    await told.get_by_role("button", name="変える").click()
    await dialog.get_by_role("checkbox", name="家族のこと").uncheck()
    await dialog.get_by_role("checkbox", name="いじめ").check()
    await dialog.get_by_role("button", name="伝える").click()
    await dialog.get_by_role("radio", name="中学校").check()
    await dialog.get_by_role("radio", name="2年生").check()
    await dialog.get_by_role("button", name="伝える").click()
    await expect(told).to_contain_text("伝えたこと: いじめ、中学校 2年生")
    assert await mio.violations() == []
    await mio.picture("questions-told-360")
    await page.reload()
    await expect(told).to_contain_text("伝えたこと: いじめ、中学校 2年生")


async def test_the_statistics_and_their_files(house: House, browser: Browser) -> None:
    database: asyncpg.Connection[Any] = await asyncpg.connect(house.database_url)
    await database.execute(MADE.format(staff=house.staff[0].user_id))
    try:
        await looks_at_the_statistics(house, browser)
    finally:
        await database.execute("DELETE FROM cases WHERE id LIKE 'past-%'")
        await database.close()


async def looks_at_the_statistics(house: House, browser: Browser) -> None:
    localpart = f"boss-{secrets.token_hex(3)}"
    told = house.run("staff", "add", localpart, "--name", "所長", "--role", "administrator").stdout
    context = await browser.new_context(
        viewport=DESK, locale="ja-JP", reduced_motion="reduce", timezone_id="Asia/Tokyo"
    )
    boss = Visitor(context, await context.new_page())
    page = boss.page
    await page.goto(house.base_url + "/admin/#statistics")
    await page.get_by_label("利用者名").fill(localpart)
    await page.get_by_label("パスワード").fill(told.split("password: ")[1].split()[0])
    await page.get_by_role("button", name="サインイン").click()
    await page.get_by_label("最初の日").fill("2021-03-01")
    await page.get_by_label("最後の日").fill("2021-02-01")
    await expect(page.get_by_text("最初の日は最後の日より前")).to_be_visible()
    await expect(page.get_by_role("button", name="表示", exact=True)).to_be_disabled()
    await page.get_by_label("最後の日").fill("2021-03-28")
    await page.get_by_role("button", name="表示", exact=True).click()
    await expect(page.get_by_text("2021-03-01 から 2021-03-28 まで")).to_be_visible()
    totals = page.get_by_role("region", name="件数と人数")
    await expect(totals.locator("div", has_text="相談成立").first).to_contain_text("44")
    await expect(totals.locator("div", has_text="アクセス件数")).to_contain_text("示しません")
    row = page.get_by_role("region", name="相談内容").get_by_role("row", name="友人関係")
    await expect(row.get_by_role("cell", name="44")).to_be_visible()
    few = page.get_by_role("region", name="年齢").get_by_role("row", name="9歳以下")
    await expect(few).to_contain_text("示しません")
    await page.get_by_text("数の表").last.click()
    for language in ("en", "ja"):
        await page.locator(".frame > header select").select_option(language)
        for width, viewport in ((360, PHONE), (1280, DESK)):
            await page.set_viewport_size(viewport)  # type: ignore[arg-type]
            assert await boss.violations() == []
            assert await page.evaluate("document.documentElement.scrollWidth") == width
            await page.screenshot(path=PICTURES / f"statistics-{language}-{width}.png", full_page=True)
    async with page.expect_download() as download:
        await page.get_by_role("button", name="CSV").click()
    file = await download.value
    assert file.suggested_filename == "madoguchi-2021-03-01-2021-03-28.csv"
    content = Path(await file.path()).read_bytes()
    assert content.startswith(b"\xef\xbb\xbf") and "相談内容(複数),friends,友人関係,44,0\r\n".encode() in content
    assert boss.errors == []
