"""A shift in the console: risk, a colleague called in, a case given back, the board, a pause, the end of the day."""

import re
import secrets

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.browser.people import DESK, PHONE, PICTURES, SPEAKS, Counsellor, YoungPerson
from tests.cast import DESK as DESK_API
from tests.cast import Cast, Person
from tests.house import SERVER_NAME, House, Staff
from tests.words import word

TABLET = {"width": 768, "height": 1024}
# What the browser would show and sound, and that nobody has the page before their eyes.
_LISTENS = """() => {
    window.told = {shown: [], sounds: 0};
    document.hasFocus = () => false;
    const Real = window.Notification;
    window.Notification = class {
        static get permission() { return Real.permission; }
        static requestPermission() { return Real.requestPermission(); }
        constructor(title, {body = null}) { told.shown.push([title, body]); }
        close() {}
    };
    const made = AudioContext.prototype.createOscillator;
    AudioContext.prototype.createOscillator = function () { told.sounds += 1; return made.call(this); };
}"""
WIDTHS = {"360": PHONE, "768": TABLET, "1280": DESK}


def a_supervisor(house: House, name: str) -> Staff:
    """A new supervisor, added by the operator; each story's has a name of their own, since all see all."""
    localpart = f"lead-{secrets.token_hex(3)}"
    told = house.run("staff", "add", localpart, "--name", name, "--role", "supervisor").stdout
    return Staff(f"@{localpart}:{SERVER_NAME}", told.split("password: ")[1].split()[0], name)


async def a_chief(house: House, cast: Cast) -> Person:
    """A new administrator, over HTTP."""
    localpart = f"chief-{secrets.token_hex(3)}"
    told = house.run("staff", "add", localpart, "--name", "長", "--role", "administrator").stdout
    return await cast.enters(f"@{localpart}:{SERVER_NAME}", told.split("password: ")[1].split()[0])


async def a_team(house: House, cast: Cast, member: Staff) -> None:
    """The desk has a team for the night."""
    chief = await a_chief(house, cast)
    team = {"id": "night", "name": "夜間", "members": [member.user_id]}
    await chief.put(f"{DESK_API}/settings/teams", {"value": [team]})


@pytest.mark.timeout(300)  # a whole evening of a shift
async def test_a_shift_from_risk_to_the_end_of_the_day(house: House, browser: Browser, cast: Cast) -> None:
    supervisor = a_supervisor(house, "主任")
    await a_team(house, cast, supervisor)
    lead = await Counsellor.signs_in(browser, house, supervisor)
    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    await chooses_to_be_told(ken)
    mio = await YoungPerson.arrives(browser, house)
    await mio.begins()
    case_id = await mio.case_id()
    asked = word("もう消えたい")
    await mio.says(asked)
    await ken.accepts(case_id)
    await ken.sees(case_id, asked)
    await is_told_without_a_word_of_it(ken, mio)

    own = await saved_replies_are_put_in_and_not_sent(ken, mio, case_id)
    await a_word_suggests_and_a_human_decides(ken, mio, case_id, asked)
    await one_s_own_replies_outlive_a_reload(ken, case_id, own)

    # Risk is set by the counsellor and seen by whoever leads the shift, not by the young person.
    column = ken.column(case_id)
    await column.get_by_role("combobox", name="危険度").select_option("urgent")
    await expect(ken.entry(case_id).get_by_text("緊急")).to_be_visible()
    await lead.page.get_by_role("button", name="全体").click()
    row = lead.page.locator(f"tr[data-case='{case_id}']")
    await expect(row.get_by_text("緊急")).to_be_visible()
    await expect(row).to_contain_text("健")
    assert "緊急" not in await mio.page.locator("body").inner_text()
    await tells_that_something_was_not_right(mio, lead)
    await stands_everywhere(lead, "shift")
    await lead.page.get_by_role("button", name="確かめた").click()
    await expect(lead.page.get_by_role("heading", name="相談者からの知らせ")).to_have_count(0)

    await lead.page.set_viewport_size(DESK)
    await the_staff_among_themselves(ken, lead, mio, case_id)

    # The supervisor comes in openly and reads from the beginning.
    await lead.page.get_by_role("button", name="全体").click()
    await row.get_by_role("button", name="入る").click()
    await lead.sees(case_id, asked)
    await expect(mio.page.get_by_text("主任さんが入りました")).to_be_visible()
    await expect(lead.entry(case_id).get_by_text("応援")).to_be_visible()
    assert await lead.violations() == []
    await lead.picture("helping-1280")

    # The counsellor's shift ends: the helper goes on, and the young person is not sent back to wait.
    await ken.page.get_by_role("button", name="サインアウト").click()
    dialog = ken.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("1件の相談を受けています")
    assert await ken.violations() == []
    await ken.picture("end-of-shift-1280")
    await dialog.get_by_role("button", name="すべてもどしてサインアウト").click()
    await expect(ken.page.get_by_role("heading", name="相談員のサインイン")).to_be_visible()
    await expect(lead.entry(case_id).get_by_text("応援")).to_have_count(0)
    answered = word("ここにいます")
    await lead.says(case_id, answered)
    await mio.sees(answered)

    await calls_in_and_gives_back(lead, browser, house, case_id, mio)
    await takes_a_break(lead)
    await pauses(lead, browser, house)


async def chooses_to_be_told(ken: Counsellor) -> None:
    await ken.page.evaluate(_LISTENS)
    await ken.page.get_by_role("button", name="通知").click()
    dialog = ken.page.get_by_role("dialog")
    notify = dialog.get_by_role("checkbox", name="ブラウザーの通知")
    await expect(notify).not_to_be_checked()
    # The browser asks, and here the answer is no.
    await notify.click()
    await expect(dialog.get_by_text("止められています")).to_be_visible()
    await expect(notify).not_to_be_checked()
    assert await ken.violations() == []
    await ken.picture("notices-1280")
    await ken.context.grant_permissions(["notifications"])
    await ken.page.reload()
    await ken.page.evaluate(_LISTENS)
    await ken.page.get_by_role("button", name="通知").click()
    await notify.check()
    await dialog.get_by_role("checkbox", name="音").check()
    await dialog.get_by_role("button", name="閉じる").click()
    assert await ken.page.evaluate("told.sounds") == 2


async def is_told_without_a_word_of_it(ken: Counsellor, mio: YoungPerson) -> None:
    await mio.says(word("聞いてますか"))
    told = await ken.page.evaluate(
        "new Promise(done => (function look() { told.shown.length > 1 ? done(told) : setTimeout(look, 50); })())"
    )
    assert told["shown"] == [["新しい相談", None], ["返信があります", None]]
    assert told["sounds"] > 2


async def saved_replies_are_put_in_and_not_sent(ken: Counsellor, mio: YoungPerson, case_id: str) -> str:
    column, page = ken.column(case_id), ken.page
    line = column.get_by_label("メッセージを書く")
    await line.press_sequentially("/")
    options = column.get_by_role("listbox", name="定型文").get_by_role("option")
    await expect(options.first).to_contain_text("はじめのあいさつ")
    await line.press_sequentially("待って")
    await expect(options).to_have_count(2)
    await page.keyboard.press("Escape")
    await expect(options).to_have_count(0)
    await line.fill("/はじめ")
    await page.keyboard.press("Enter")
    await expect(line).to_have_value(re.compile("^こんにちは。相談窓口の健です。"))
    await expect(column.locator("li.line.mine")).to_have_count(0)
    await page.keyboard.press("Enter")
    await mio.sees("相談窓口の健です")

    # One of the counsellor's own, written here, with the button; the server keeps a sealed box.
    own = word("わたしの文")
    await column.get_by_role("button", name="定型文を入れる").click()
    await column.get_by_role("button", name="自分の定型文…").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="定型文を加える").click()
    await dialog.get_by_label("題").fill("じぶんの")
    await dialog.get_by_label("文", exact=True).fill(own + " {neme}")
    await expect(dialog.get_by_role("alert")).to_contain_text("{neme}")
    await dialog.get_by_label("文", exact=True).fill(own)
    assert await ken.violations() == []
    await ken.picture("own-reply-1280")
    await dialog.get_by_role("button", name="保存する").click()
    await expect(dialog.get_by_role("listitem")).to_contain_text(own)
    await dialog.get_by_role("button", name="閉じる").click()
    return own


async def one_s_own_replies_outlive_a_reload(ken: Counsellor, case_id: str, own: str) -> None:
    column = ken.column(case_id)
    await column.get_by_role("button", name="定型文を入れる").click()
    await column.get_by_role("combobox", name="定型文をさがす").fill("ジブン")
    await expect(column.get_by_role("listbox").get_by_role("option")).to_contain_text(own)
    await ken.page.keyboard.press("Enter")
    line = column.get_by_label("メッセージを書く")
    await expect(line).to_have_value(own)
    await expect(line).to_be_focused()
    await line.fill("")


async def a_word_suggests_and_a_human_decides(ken: Counsellor, mio: YoungPerson, case_id: str, asked: str) -> None:
    hints = ken.column(case_id).get_by_role("group", name="危険度の提案")
    await expect(hints.get_by_role("listitem")).to_contain_text("「消えたい」")
    await expect(ken.entry(case_id)).to_contain_text("提案: 高い")
    await mio.says(word("消えたいわけじゃないよ。リスカした"))
    await hints.get_by_role("button", name="ほか1件").click()
    await expect(hints.get_by_role("listitem")).to_have_count(2)
    line = ken.column(case_id).get_by_label("メッセージを書く")
    await line.press_sequentially("/")
    await stands_everywhere(ken, "helped")
    await line.fill("")
    # It shows the words that it was made of.
    await hints.get_by_role("button", name="「消えたい」のあるメッセージを見る").click()
    await expect(ken.column(case_id).locator("li.line:focus")).to_contain_text(asked)

    # A false alarm is put aside for this case, also after a reload.
    await hints.get_by_role("button", name="「リスカ」の提案を見送る").click()
    await hints.get_by_role("button", name="もどす").click()
    await expect(hints.get_by_role("listitem")).to_have_count(2)
    await hints.get_by_role("button", name="「リスカ」の提案を見送る").click()
    await expect(hints.get_by_role("listitem")).to_have_count(1)
    assert await ken.violations() == []
    await ken.page.reload()
    await ken.opens(case_id)
    await expect(hints.get_by_role("listitem")).to_contain_text("「消えたい」")
    await expect(hints).not_to_contain_text("リスカ")
    # Neither the word nor the case stands readable in the browser's storage.
    kept = await ken.page.evaluate("localStorage.getItem('madoguchi.staff.hints')")
    assert kept and case_id not in kept and "リスカ" not in kept

    await hints.get_by_role("button", name="「高い」にする").click()
    await expect(ken.column(case_id).get_by_role("combobox", name="危険度")).to_have_value("high")
    await expect(hints.get_by_role("listitem")).to_have_count(0)


async def tells_that_something_was_not_right(mio: YoungPerson, lead: Counsellor) -> None:
    """By a tap and no words, to those who lead the desk."""
    await mio.acts_on(mio.page.locator("li.line", has_text="相談窓口の健です"), "よくないと知らせる")
    dialog = mio.page.get_by_role("dialog")
    send = dialog.get_by_role("button", name="知らせる", exact=True)
    await expect(send).to_be_disabled()
    await dialog.get_by_role("radio", name="ひどいことを言われた").check()
    await stands_at_every_size(mio, "report", ("en", "ja-x-easy", "ja"))
    await mio.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    await send.click()
    await expect(dialog.get_by_text("責任者が確かめます")).to_be_visible()
    await mio.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    told = lead.page.get_by_role("listitem").filter(has_text="ひどいことを言われた")
    await expect(told).to_contain_text("健について")


async def the_staff_among_themselves(ken: Counsellor, lead: Counsellor, mio: YoungPerson, case_id: str) -> None:
    """A supervisor advises in the room of the staff, which the young person can't see, and nobody takes for theirs."""
    await lead.page.locator(f"tr[data-case='{case_id}']").get_by_role("button", name="助言する").click()
    advising = lead.page.locator("section[data-side]")
    advice = word("まず今夜の安全を一緒に確かめましょう")
    await advising.get_by_label("職員に書く").fill(advice)
    await advising.get_by_role("button", name="職員に送る").click()
    await expect(lead.page.locator("li.line", has_text=advice).locator("time")).to_be_visible()
    assert await lead.violations() == []
    await lead.picture("advising-1280")

    column = ken.column(case_id)
    await expect(column.get_by_text("読んでいないメッセージが1件あります")).to_be_visible()
    await column.get_by_role("button", name="開く").click()
    side = column.locator("section[data-side]")
    await expect(side.get_by_text(advice)).to_be_visible()
    await expect(side.get_by_text("相談者には見えません", exact=True)).to_be_visible()
    # Side by side on a desk: each has its own line, its own words and its own key.
    asked = word("家族に連絡してもいいですか")
    await side.get_by_label("職員に書く").fill(asked)
    await expect(side.get_by_text("Enterで職員だけに送ります")).to_be_visible()
    await expect(column.get_by_label("メッセージを書く")).to_have_value("")
    await ken.page.keyboard.press("Enter")
    await expect(side.locator("li.line.mine", has_text=asked).locator("time")).to_be_visible()
    await expect(advising.get_by_text(asked)).to_be_visible()
    for language in ("en", "ja"):
        await ken.page.locator(".frame > header select").select_option(language)
        for width, viewport in ((360, PHONE), (1280, DESK)):
            await ken.page.set_viewport_size(viewport)  # type: ignore[arg-type]
            # On a phone the one room stands in the place of the other.
            await expect(column.locator("textarea")).to_have_count(1 if width == 360 else 2)
            assert await ken.violations() == []
            await side.scroll_into_view_if_needed()
            await ken.picture(f"side-room-{language}-{width}")
    shown = await mio.page.locator("body").inner_text()
    assert asked not in shown and advice not in shown and "職員だけ" not in shown
    await side.get_by_role("button", name="閉じる").click()
    await lead.page.locator("section[data-side]").get_by_role("button", name="閉じる").click()
    await expect(advising).to_have_count(0)


async def calls_in_and_gives_back(
    lead: Counsellor, browser: Browser, house: House, case_id: str, mio: YoungPerson
) -> None:
    sato = await Counsellor.signs_in(browser, house, house.staff[1])
    column = lead.column(case_id)
    await column.get_by_role("button", name="応援を呼ぶ").click()
    dialog = lead.page.get_by_role("dialog")
    await dialog.get_by_role("radio", name="佐藤").check()
    assert await lead.violations() == []
    await lead.picture("call-in-1280")
    await dialog.get_by_role("button", name="呼ぶ", exact=True).click()
    await expect(sato.entry(case_id).get_by_text("応援")).to_be_visible()
    await sato.opens(case_id)
    await sato.column(case_id).get_by_role("button", name="部屋から出る").click()
    await sato.page.get_by_role("dialog").get_by_role("button", name="部屋から出る").click()
    await expect(sato.entry(case_id)).to_have_count(0)
    await goes_on(sato)

    await column.get_by_role("button", name="待ち列にもどす").click()
    await lead.page.get_by_role("dialog").get_by_role("button", name="待ち列にもどす").click()
    ticket: Locator = sato.ticket(case_id)
    await expect(ticket.get_by_text("緊急")).to_be_visible()
    await expect(lead.column(case_id)).to_have_count(0)
    await is_asked_after_a_hard_case(lead)
    later = word("まだいますか")
    await mio.says(later)
    await sato.accepts(case_id)
    await sato.sees(case_id, later)
    await hands_over_warmly(sato, lead, case_id)
    await lead.hands_over(case_id, "佐藤")
    await goes_on(lead)
    await is_blocked_for_a_while(sato, lead, mio, case_id)


async def hands_over_warmly(sato: Counsellor, lead: Counsellor, case_id: str) -> None:
    """To a team; what the next one has to know goes ahead, sealed, into the room of the staff."""
    await sato.column(case_id).get_by_role("button", name="引きつぐ").click()
    dialog = sato.page.get_by_role("dialog")
    await dialog.get_by_role("radio", name="チーム「夜間」").check()
    summary = word("夜になるとつらくなるそうです。お母さんには話していません")
    await dialog.get_by_label("申し送り").fill(summary)
    await stands_at_every_size(sato, "handover")
    await dialog.get_by_role("button", name="引きつぐ").click()
    await expect(dialog).to_be_hidden()
    await expect(sato.column(case_id).get_by_text("チーム「夜間」を待っています")).to_be_visible()
    await sato.picture("waits-for-team-1280")

    ticket = lead.ticket(case_id)
    await expect(ticket).to_contain_text("チーム「夜間」への引きつぎ")
    await lead.picture("queue-team-1280")
    await lead.accepts(case_id)
    column = lead.column(case_id)
    await column.get_by_role("button", name="開く").click()
    await expect(column.locator("section[data-side]").get_by_text(summary)).to_be_visible()
    await lead.picture("handed-over-1280")
    await expect(sato.column(case_id).get_by_text("チーム「夜間」に引きつぎました")).to_be_visible()
    await goes_on(sato)
    await column.locator("section[data-side]").get_by_role("button", name="閉じる").click()


async def goes_on(person: Counsellor) -> None:
    """After a case of high risk the console asks whether that is possible."""
    await (
        person.page.get_by_role("dialog", name="おつかれさまでした")
        .get_by_role("button", name="このまま続ける")
        .click()
    )


async def is_asked_after_a_hard_case(lead: Counsellor) -> None:
    dialog = lead.page.get_by_role("dialog", name="おつかれさまでした")
    await expect(dialog).to_be_visible()
    await stands_at_every_size(lead, "care")
    await dialog.get_by_role("button", name="振り返りを頼む").click()
    await goes_on(lead)
    await expect(lead.page.get_by_text("振り返りを頼んでいます")).to_be_visible()
    await lead.page.get_by_role("button", name="全体").click()
    mine = lead.page.locator("section[aria-labelledby='shift-staff'] li", has_text="主任")
    await expect(mine).to_contain_text("振り返りの希望")
    await expect(mine).to_contain_text("危険度の高い相談")
    # Somebody else talks with them.
    await expect(mine.get_by_role("button")).to_have_count(0)
    await lead.page.get_by_role("button", name="もういい").click()
    await expect(mine).not_to_contain_text("振り返りの希望")
    await lead.page.get_by_role("button", name="相談", exact=True).click()


async def is_blocked_for_a_while(sato: Counsellor, lead: Counsellor, mio: YoungPerson, case_id: str) -> None:
    """Nobody in danger is; whoever is sees until when, and whom to call; somebody else reviews it."""
    column, dialog = sato.column(case_id), sato.page.get_by_role("dialog")
    opens = column.get_by_role("button", name="終える")
    risk = column.get_by_role("combobox", name="危険度")
    await risk.select_option("high")
    await opens.click()
    await dialog.get_by_role("button", name="暴言などでブロックする…").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("危険度が高い")
    await dialog.get_by_role("radio", name="暴言・いやがらせ").check()
    await expect(dialog.get_by_role("button", name="ブロックして終える")).to_be_disabled()
    await dialog.get_by_role("button", name="やめる").click()
    await risk.select_option("none")
    await opens.click()
    await dialog.get_by_role("button", name="暴言などでブロックする…").click()
    await dialog.get_by_role("radio", name="暴言・いやがらせ").check()
    await stands_at_every_size(sato, "block")
    await dialog.get_by_role("button", name="ブロックして終える").click()
    await expect(column.get_by_text("この相談は終わりました")).to_be_visible()

    await expect(mio.page.get_by_text("新しい相談は始められません")).to_be_visible()
    await expect(mio.page.get_by_role("button", name="電話で話せるところ")).to_be_visible()
    await expect(mio.page.get_by_role("button", name=re.compile("もう一度相談する"))).to_have_count(0)
    await expect(mio.page.get_by_text("いつでも")).to_have_count(0)
    assert await mio.violations() == []
    await mio.picture("blocked-ja-360")

    await lead.page.get_by_role("button", name="全体").click()
    block = lead.page.locator(f"li[data-block='{case_id}']")
    await expect(block).to_contain_text("まだ見直していません")
    await block.get_by_role("button", name="続ける").click()
    await expect(block).to_contain_text("見直し: 主任")
    await stands_everywhere(lead, "blocks")
    await block.get_by_role("button", name="すぐに解く").click()
    await expect(block).to_contain_text("に終わりました")
    await mio.page.reload()
    await expect(mio.page.get_by_role("button", name="もう一度相談する", exact=True)).to_be_visible()


async def takes_a_break(lead: Counsellor) -> None:
    await lead.page.get_by_role("button", name="休憩する").click()
    await expect(lead.page.get_by_role("status").get_by_text("休憩中です")).to_be_visible()
    assert await lead.violations() == []
    await lead.page.get_by_role("button", name="休憩を終える").click()
    await expect(lead.page.get_by_text("休憩中です")).to_have_count(0)


async def pauses(lead: Counsellor, browser: Browser, house: House) -> None:
    await lead.page.get_by_role("button", name="全体").click()
    await lead.page.get_by_role("button", name="受付を止める").click()
    await lead.page.get_by_role("dialog").get_by_role("button", name="受付を止める").click()
    await expect(lead.page.get_by_text("止めています")).to_be_visible()
    try:
        aoi = await YoungPerson.arrives(browser, house)
        await expect(aoi.page.get_by_text("いまは混みあっていて")).to_be_visible()
        await aoi.page.locator("main").get_by_role("button", name="電話で話せるところ").click()
        await expect(aoi.page.get_by_role("link", name="0120-0-78310")).to_be_visible()
        assert await aoi.violations() == []
        await aoi.picture("paused-360")
    finally:
        await lead.page.get_by_role("button", name="受付を再開する").click()
        await expect(lead.page.get_by_text("受付中")).to_be_visible()


async def stands_at_every_size(
    person: Counsellor | YoungPerson, name: str, languages: tuple[str, ...] = ("en", "ja")
) -> None:
    """No violation of what stands in a dialog, on a phone and at a desk; with pictures."""
    for language in languages:
        await person.page.locator(".frame > header select").evaluate(SPEAKS, language)
        for width, viewport in ((360, PHONE), (1280, DESK)):
            await person.page.set_viewport_size(viewport)  # type: ignore[arg-type]
            assert await person.violations() == []
            await person.picture(f"{name}-{language}-{width}")


async def stands_everywhere(lead: Counsellor, name: str) -> None:
    """No violation in both languages, on a phone, a tablet and a desk; with pictures."""
    for language in ("en", "ja"):
        await lead.page.locator(".frame > header select").select_option(language)
        for width, viewport in WIDTHS.items():
            await lead.page.set_viewport_size(viewport)  # type: ignore[arg-type]
            assert await lead.violations() == []
            await lead.page.screenshot(path=PICTURES / f"{name}-{language}-{width}.png", full_page=True)
