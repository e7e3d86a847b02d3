"""A young person comes back from another phone by six words, with everything that was said, before and since."""

from playwright.async_api import Browser, expect

from tests.browser.people import DESK, PHONE, PICTURES, Counsellor, Visitor, YoungPerson
from tests.browser.test_shift import a_chief
from tests.cast import DESK as DESK_API
from tests.cast import Cast
from tests.house import House
from tests.words import secret, word

LANGUAGES = ("ja-x-easy", "en", "ja")


async def speaks_behind(person: Visitor, language: str) -> None:
    """Another language while a dialog covers the rest of the page."""
    await person.page.locator(".frame > header select").evaluate(
        "(select, code) => { select.value = code; select.dispatchEvent(new Event('change', {bubbles: true})); }",
        language,
    )


async def words_of(mio: YoungPerson) -> list[str]:
    """Makes a return phrase and gives its words."""
    await mio.page.get_by_role("button", name="あとで戻るには").click()
    dialog = mio.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="言葉をつくる").click()
    await expect(dialog.locator("ol li")).to_have_count(6)
    return await dialog.locator("ol li").all_inner_texts()


async def wishes_it_deleted(mio: YoungPerson) -> None:
    """After the end, and takes it back."""
    await mio.page.get_by_role("button", name="記録について").click()
    dialog = mio.page.get_by_role("dialog")
    await expect(dialog.get_by_text("7日たつと消えます")).to_be_visible()
    for language in LANGUAGES:
        await speaks_behind(mio, language)
        assert await mio.violations() == []
        await mio.page.screenshot(path=PICTURES / f"own-{language}-360.png")
    await dialog.get_by_role("button", name="消してほしい").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("本当に消しますか")
    assert await mio.violations() == []
    await mio.picture("own-sure-360")
    await dialog.get_by_role("button", name="はい、消してください").click()
    await expect(dialog.get_by_text("受付番号")).to_be_visible()
    assert await mio.violations() == []
    await mio.picture("own-asked-360")
    await mio.page.set_viewport_size(DESK)
    await mio.picture("own-asked-1280")
    await mio.page.set_viewport_size(PHONE)
    await dialog.get_by_role("button", name="消すのを取りやめる").click()
    await expect(dialog.get_by_role("button", name="消してほしい")).to_be_visible()
    await dialog.get_by_role("button", name="閉じる").click()


async def test_six_words_open_the_conversation_on_another_phone(house: House, browser: Browser, cast: Cast) -> None:
    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    mio = await YoungPerson.arrives(browser, house, reduced_motion="reduce")
    await mio.begins()
    case_id = await mio.case_id()
    asked, answered, later = word("眠れない"), word("聞いています"), word("また話してくれますか")
    await mio.says(asked)
    await ken.accepts(case_id)
    await ken.says(case_id, answered)
    await mio.sees(answered)
    words = await words_of(mio)
    # The words themselves must lie nowhere afterwards, as little as what was said.
    secret(" ".join(words), "a return phrase")
    for language in LANGUAGES:
        await speaks_behind(mio, language)
        assert await mio.violations() == []
        await mio.page.screenshot(path=PICTURES / f"words-{language}-360.png")
    async with mio.page.expect_download() as saved:
        await mio.page.get_by_role("button", name="画像で保存").click()
    download = await saved.value
    assert download.suggested_filename == "memo.png"
    await download.save_as(PICTURES / "words-saved.png")
    await mio.page.get_by_role("button", name="書きとめました").click()
    # Shown once: who asks again has to make new ones.
    await mio.page.get_by_role("button", name="あとで戻るには").click()
    await expect(mio.page.get_by_role("dialog").get_by_role("button", name="言葉をつくる")).to_be_visible()
    await mio.context.close()

    # Nobody is signed in; a session of its own, so that its key can only wait on the server.
    await ken.page.reload()
    await ken.opens(case_id)
    await ken.says(case_id, later)

    chief = await a_chief(house, cast)
    await chief.put(f"{DESK_API}/settings/previous_cases", {"value": "with_consent"})
    again = await YoungPerson.arrives(browser, house, reduced_motion="reduce")
    await again.page.get_by_role("button", name="6つの言葉を持っている人は").click()
    dialog = again.page.get_by_role("dialog")
    line = dialog.get_by_role("textbox")
    for language in LANGUAGES:
        await speaks_behind(again, language)
        assert await again.violations() == []
        await again.page.screenshot(path=PICTURES / f"return-{language}-360.png")
    await line.fill(" ".join([*words[:5], "そんなのない"]))
    await dialog.get_by_role("button", name="続きを開く").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("そんなのない")
    await line.fill(" ".join(words[:5]))
    await dialog.get_by_role("button", name="続きを開く").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("いまは5個です")
    await line.fill(" ".join(reversed(words)))
    await dialog.get_by_role("button", name="続きを開く").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("この言葉では開けませんでした")
    assert await again.violations() == []
    await line.fill("　".join(words))
    await dialog.get_by_role("button", name="続きを開く").click()
    for text in (asked, answered, later):
        await again.sees(text)
    await expect(dialog).to_have_count(0)
    # They are the same person to the counsellor, who reads on.
    thanks = word("戻ってきました")
    await again.says(thanks)
    await ken.sees(case_id, thanks)
    await again.picture("returned-360")
    await ken.closes(case_id)
    await wishes_it_deleted(again)
    await chief.put(f"{DESK_API}/cases/{case_id}/record", {"topics": ["friends", "studies"], "risk": "watch"})
    try:
        await comes_once_more(again, ken)
    finally:
        await chief.put(f"{DESK_API}/settings/previous_cases", {"value": "off"})
    assert again.errors == ken.errors == []


async def comes_once_more(mio: YoungPerson, ken: Counsellor) -> None:
    """As the same person: staff see that they came before, and what it was about only while they want it."""
    page = mio.page
    for language in LANGUAGES:
        await mio.speaks(language)
        assert await mio.violations() == []
        await mio.picture(f"closed-again-{language}-360")
    await page.get_by_role("button", name="同じ人として").click()
    await expect(mio.line).to_be_visible()
    case_id = await mio.case_id()
    said = word("また来ました")
    await mio.says(said)
    await page.get_by_role("button", name="答えない", exact=True).click()
    for language in LANGUAGES:
        await mio.speaks(language)
        assert await mio.violations() == []
        await mio.picture(f"previous-ask-{language}-360")
    await expect(ken.ticket(case_id)).to_contain_text("2回目以上")
    await ken.accepts(case_id)
    await ken.sees(case_id, said)
    shown = ken.column(case_id).get_by_role("button", name="以前の相談")
    await expect(shown).to_have_count(0)
    await page.get_by_role("button", name="見せる", exact=True).click()
    await shown.click()
    sheet = ken.page.get_by_role("dialog")
    await expect(sheet.get_by_role("listitem")).to_contain_text("友人関係")
    for language in ("en", "ja"):
        await speaks_behind(ken, language)
        for width, viewport in ((360, PHONE), (1280, DESK)):
            await ken.page.set_viewport_size(viewport)  # type: ignore[arg-type]
            assert await ken.violations() == []
            await ken.picture(f"previous-{language}-{width}")
    # Taken back, it is gone from under the counsellor's eyes.
    await page.locator("button.lock").click()
    choice = page.get_by_role("checkbox", name="前に相談したことを、相談員に見せる")
    await choice.scroll_into_view_if_needed()
    assert await mio.violations() == []
    await mio.picture("previous-choice-360")
    await choice.uncheck()
    await expect(sheet).to_have_count(0)
    await expect(shown).to_have_count(0)
    await page.locator("dialog .close").click()
    await expect(page.get_by_text("見せてもいいですか")).to_have_count(0)
    await ken.closes(case_id)
