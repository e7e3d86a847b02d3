"""Disclosures 開示 at the pages: a life at risk, one's own copy, and a court; whoever asks never decides."""

import re
import secrets

from playwright.async_api import Browser, expect

from tests.browser.people import DESK, PHONE, PICTURES, SPEAKS, Counsellor, Visitor, YoungPerson
from tests.house import SERVER_NAME, House, Staff
from tests.words import word


def a_chief(house: House) -> Staff:
    """A new administrator, added by the operator."""
    localpart = f"chief-{secrets.token_hex(3)}"
    told = house.run("staff", "add", localpart, "--name", "長", "--role", "administrator").stdout
    return Staff(f"@{localpart}:{SERVER_NAME}", told.split("password: ")[1].split()[0], "長")


async def stands(person: Visitor, name: str, *, full: bool = False) -> None:
    """No violation on a phone and at a desk; with pictures."""
    for width, viewport in (("360", PHONE), ("1280", DESK)):
        await person.page.set_viewport_size(viewport)  # type: ignore[arg-type]
        assert await person.violations() == []
        await person.page.screenshot(path=PICTURES / f"{name}-{width}.png", full_page=full)


async def test_somebody_asks_and_another_one_decides(house: House, browser: Browser) -> None:
    chief = a_chief(house)
    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    mio = await YoungPerson.arrives(browser, house)
    await mio.begins()
    said = word("もう消えたい")
    await mio.says(said)
    case_id = await mio.case_id()
    await asks_for_their_own(mio)
    await ken.accepts(case_id)
    await ken.sees(case_id, said)
    lead = await Counsellor.signs_in(browser, house, chief)
    await two_see_who_it_is(ken, lead, case_id, said)
    await decides_on_the_page_of_administrators(lead, house, chief, case_id)
    await reads_the_answer(mio)


async def asks_for_their_own(mio: YoungPerson) -> None:
    await mio.page.get_by_role("button", name="記録について").click()
    own = mio.page.get_by_role("dialog")
    await own.get_by_text("自分の記録がほしい").click()
    await expect(own.get_by_role("button", name="写しを求める")).to_be_visible()
    assert await mio.violations() == []
    await mio.picture("own-copy-ask-360")
    await own.get_by_role("button", name="写しを求める").click()
    await expect(own.get_by_text("窓口の返事を待っています")).to_be_visible()
    await expect(own.get_by_role("button", name="写しを求める")).to_have_count(0)
    await own.get_by_role("button", name="閉じる").click()


async def two_see_who_it_is(ken: Counsellor, lead: Counsellor, case_id: str, said: str) -> None:
    """Only in danger is there a way to ask; what both see, and what goes on paper, has no word of the conversation."""
    column = ken.column(case_id)
    await expect(column.get_by_role("button", name="本人の手がかりを求める")).to_have_count(0)
    await column.get_by_role("combobox", name="危険度").select_option("urgent")
    await column.get_by_role("button", name="本人の手がかりを求める").click()
    dialog = ken.page.get_by_role("dialog")
    await dialog.get_by_label("理由").fill("今夜の危険")
    await dialog.get_by_label("何時間").select_option("3")
    await stands(ken, "ask-who")
    await dialog.get_by_role("button", name="承認を求める").click()
    await expect(dialog.get_by_text("承認待ち")).to_be_visible()
    await expect(dialog.get_by_role("button", name="手がかりを見る")).to_have_count(0)
    # Whoever leads the shift is told wherever they are, and decides.
    await lead.page.get_by_role("button", name=re.compile("^全体.*1.*確かめてください")).click()
    request = lead.page.locator(f"li[data-disclosure][data-case='{case_id}']")
    await request.get_by_role("button", name="決める").click()
    await request.get_by_role("button", name="承認する").click()
    assert await request.get_by_role("checkbox").evaluate("input => input.validity.valueMissing")
    await stands(lead, "decide-who")
    await request.get_by_role("checkbox").check()
    await request.get_by_role("button", name="承認する").click()
    await expect(dialog.get_by_text("承認済み")).to_be_visible()
    await dialog.get_by_role("button", name="手がかりを見る").click()
    sheet = ken.page.get_by_role("dialog", name=re.compile("本人の手がかり$"))
    await expect(sheet.get_by_text("接続元")).to_be_visible()
    assert said not in await sheet.inner_text()
    await stands(ken, "identity")
    form = ken.page.locator(".police-form")
    await expect(form).to_be_hidden()
    await ken.page.emulate_media(media="print")
    await expect(form.get_by_role("heading", name="緊急通報票")).to_be_visible()
    paper = await ken.page.locator("body").inner_text()
    assert "今夜の危険" in paper and "接続元" in paper and case_id in paper and said not in paper
    await ken.page.screenshot(path=PICTURES / "police-form.png", full_page=True)
    await ken.page.emulate_media(media="screen")
    await sheet.get_by_role("button", name="もう見ない").click()
    await expect(dialog.get_by_text("済み", exact=True)).to_be_visible()
    await expect(sheet).to_have_count(0)
    await expect(request).to_have_count(0)


async def decides_on_the_page_of_administrators(lead: Counsellor, house: House, chief: Staff, case_id: str) -> None:
    page = await lead.context.new_page()
    admin = Visitor(lead.context, page)
    await page.goto(house.base_url + "/admin/#disclosures")
    await page.get_by_label("利用者名").fill(chief.user_id)
    await page.get_by_label("パスワード").fill(chief.password)
    await page.get_by_role("button", name="サインイン").click()
    own = page.locator(f"li[data-disclosure][data-case='{case_id}']", has_text="本人の開示請求")
    await own.get_by_role("button", name="決める").click()
    await own.get_by_label("渡し方").select_option("in_conversation")
    await own.get_by_role("checkbox").check()
    await stands(admin, "admin-disclosures-decide", full=True)
    await own.get_by_role("button", name="承認する").click()
    await expect(own.get_by_text("madoguchi vault open --disclosure")).to_be_visible()
    form = page.get_by_role("form", name="裁判所などの求め")
    await form.get_by_label("相談のID").fill("nosuchcase")
    await form.get_by_label("事件番号").fill("令和8年(ワ)12")
    await form.get_by_label("理由").fill("文書提出命令")
    await form.get_by_role("button", name="書きとめる").click()
    await expect(page.get_by_role("alert")).to_contain_text("There is no such case")
    await form.get_by_label("相談のID").fill(case_id)
    await form.get_by_role("button", name="書きとめる").click()
    await expect(form.get_by_text("書きとめました")).to_be_visible()
    court = page.locator("li[data-disclosure]", has_text="令和8年")
    await expect(court.get_by_role("button", name="取り下げる")).to_be_visible()
    await expect(court.get_by_role("button", name="決める")).to_have_count(0)
    await stands(admin, "admin-disclosures", full=True)
    # The hold stays; it is released by hand.
    await court.get_by_role("button", name="取り下げる").click()
    await expect(court.get_by_text("求めた人が取り下げた")).to_be_visible()
    house.run("case", "release", case_id)


async def reads_the_answer(mio: YoungPerson) -> None:
    await mio.page.get_by_role("button", name="記録について").click()
    own = mio.page.get_by_role("dialog")
    await own.get_by_text("自分の記録がほしい").click()
    answers = {"en": "as a file in this conversation", "ja-x-easy": "ファイルで 送ります", "ja": "ファイルで送ります"}
    for language, answer in answers.items():
        await mio.page.locator(".frame > header select").evaluate(SPEAKS, language)
        told = own.get_by_role("status").last
        await expect(told).to_contain_text(answer)
        await told.scroll_into_view_if_needed()
        assert await mio.violations() == []
        await mio.picture(f"own-copy-{language}-360")
