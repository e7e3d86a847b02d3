"""Talking as people do: answers, corrections, a heart, a voice; and what the server gets to see of it."""

import json
from typing import Any

from playwright.async_api import Browser, Locator, expect

from tests.browser.people import Counsellor, YoungPerson
from tests.house import House
from tests.words import word

Json = dict[str, Any]


def sent_by(person: YoungPerson | Counsellor) -> list[tuple[str, Json]]:
    """What the page sends into rooms from now on: (kind of event, content) as they go over the line."""
    seen: list[tuple[str, Json]] = []

    def note(request: Any) -> None:
        parts = request.url.split("?")[0].split("/")
        if request.method == "PUT" and "rooms" in parts and ("send" in parts or "redact" in parts):
            seen.append((parts[parts.index("rooms") + 2 :][1], json.loads(request.post_data or "{}")))

    person.page.on("request", note)
    return seen


async def plays(voice: Locator) -> None:
    """It is heard: the place moves on. A second may be all there is, so each frame is looked at."""
    await voice.get_by_role("button", name="再生する").click()
    await voice.evaluate("""async group => {
        const [slider, until] = [group.querySelector('input'), Date.now() + 20_000];
        while (Number(slider.value) === 0) {
            if (Date.now() > until) throw new Error('Nothing was played.');
            await new Promise(requestAnimationFrame);
        }
    }""")


async def test_people_answer_correct_and_react(house: House, browser: Browser) -> None:
    ken = await Counsellor.signs_in(browser, house, house.staff[0], reduced_motion="reduce")
    mio = await YoungPerson.arrives(browser, house, reduced_motion="reduce")
    await mio.begins()
    case_id = await mio.case_id()
    first, asked, slip, right = word("眠れない"), word("いつから?"), word("きおとい"), word("おととい")
    await mio.says(first)
    await ken.accepts(case_id)
    await ken.sees(case_id, first)
    column = ken.column(case_id)
    lines = sent_by(mio), sent_by(ken)

    # Ken answers the first message; Mio is led to it by a tap.
    await ken.acts_on(column.locator("li.line", has_text=first), "返信")
    await expect(column.get_by_text("返信先: 相談者")).to_be_visible()
    await expect(column.get_by_label("メッセージを書く")).to_be_focused()
    assert await ken.violations() == []
    await ken.says(case_id, asked)
    answer = mio.page.locator("li.line:not(.mine)", has_text=asked)
    quoted = answer.get_by_role("button", name=first)
    await expect(quoted).to_be_visible()
    await quoted.click()
    await expect(mio.mine(first)).to_be_focused()

    # Mio makes a slip, writes it anew, and Ken sees only what is right.
    await mio.says(slip)
    await mio.acts_on(mio.mine(slip), "書き直す")
    await expect(mio.line).to_have_value(slip)
    await mio.picture("correct-360")
    assert await mio.violations() == []
    await mio.writes(right)
    corrected = column.locator("li.line", has_text=right)
    await expect(corrected.get_by_text("編集済み")).to_be_visible()
    await expect(column.get_by_text(slip)).to_have_count(0)
    await expect(mio.mine(right).locator("time")).to_be_visible()

    # A heart, from the keyboard; it stands at the message on both sides, and goes again.
    more = corrected.get_by_role("button", name="このメッセージへの操作")
    await more.focus()
    await ken.page.keyboard.press("Enter")
    await expect(corrected.get_by_role("group", name="気持ちを送る")).to_be_visible()
    await ken.picture("acts-1280")
    assert await ken.violations() == []
    await ken.page.keyboard.press("Tab")
    await ken.page.keyboard.press("Tab")
    await ken.page.keyboard.press("Enter")
    await expect(more).to_be_focused()
    await expect(mio.mine(right).get_by_role("img", name="ハート: 健")).to_be_visible()
    await answer.get_by_role("button", name="このメッセージへの操作").click()
    await mio.picture("acts-360")
    await answer.get_by_role("group", name="気持ちを送る").get_by_role("button", name="ありがとう").click()
    thanked = column.locator("li.line", has_text=asked).get_by_role("img", name="ありがとう: 相談者")
    await expect(thanked).to_be_visible()
    await mio.picture("reactions-360")
    await ken.picture("reactions-1280")
    assert await mio.violations() == []
    await corrected.get_by_role("button", name="ハート: あなた").click()
    await expect(mio.page.get_by_role("img", name="ハート: 健")).to_have_count(0)

    # A corrected message is taken back with its correction; nothing but its place is left.
    await mio.acts_on(mio.mine(right), "取り消す")
    await mio.page.get_by_role("dialog").get_by_role("button", name="取り消す").click()
    await expect(column.get_by_text(right)).to_have_count(0)
    await expect(column.get_by_text("削除されたメッセージ")).to_have_count(1)
    await mio.page.reload()
    await expect(mio.page.get_by_text("削除されたメッセージ")).to_have_count(1)
    await expect(quoted).to_be_visible()
    await ken.closes(case_id)

    # Over the line went ciphertext alone: which message is meant and which face it was are inside.
    mine, his = lines
    assert [kind for kind, _ in mine if kind.startswith("m.")] == ["m.room.encrypted"] * 3
    assert [kind for kind, _ in his if kind.startswith("m.")] == ["m.room.encrypted"] * 2
    clear = {"algorithm", "ciphertext", "sender_key", "session_id", "device_id", "jp.madoguchi.quiet"}
    for kind, content in mine + his:
        assert set(content) <= (clear if kind == "m.room.encrypted" else set()), content
    assert [bool(content.get("jp.madoguchi.quiet")) for _, content in mine[:3]] == [False, True, True]
    assert mio.errors == ken.errors == []


async def test_a_voice_is_heard_before_it_is_sent_and_by_nobody_else(house: House, browser: Browser) -> None:
    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    mio = await YoungPerson.arrives(browser, house, reduced_motion="reduce")
    page = mio.page
    await mio.begins()
    case_id = await mio.case_id()
    await mio.says(word("声がいい"))
    await ken.accepts(case_id)

    # The browser asks at the tap, not before; a no is no dead end.
    await page.get_by_role("button", name="声で送る").click()
    sheet = page.get_by_role("dialog")
    await sheet.get_by_role("button", name="録音をはじめる").click()
    await expect(sheet.get_by_role("alert")).to_contain_text("マイクを使えませんでした")
    assert await mio.violations() == []
    await mio.picture("voice-refused-360")
    await mio.context.grant_permissions(["microphone"], origin=house.base_url)
    await sheet.get_by_role("button", name="録音をはじめる").click()
    await expect(sheet.get_by_text("録音しています")).to_be_visible()
    # Until the microphone has beeped.
    await expect(sheet.locator("svg rect[height]:not([height='3'])").first).to_be_attached()
    assert await mio.violations() == []
    await mio.picture("voice-recording-360")
    await sheet.get_by_role("button", name="録音を終える").click()
    await plays(sheet.get_by_role("group", name="声のメッセージ"))
    assert await mio.violations() == []
    await mio.picture("voice-listen-360")

    # Without a connection it waits like any message.
    before = set((house.data / "media").rglob("*")) if (house.data / "media").exists() else set()
    await mio.context.set_offline(True)
    await sheet.get_by_role("button", name="送る").click()
    await expect(page.locator("li.line.mine", has_text="声のメッセージ").get_by_text("送信待ち")).to_be_visible()
    await mio.context.set_offline(False)
    await expect(page.locator("li.line.mine").get_by_role("group", name="声のメッセージ")).to_be_visible()

    heard = ken.column(case_id).locator("li.line:not(.mine)").get_by_role("group", name="声のメッセージ", exact=True)
    await plays(heard)
    assert await ken.violations() == []
    await ken.picture("voice-heard-1280")
    await mio.picture("voice-sent-360")
    # On the disk lies noise, in no format that plays.
    files = [path for path in set((house.data / "media").rglob("*")) - before if path.is_file()]
    assert files
    assert not any(path.read_bytes().startswith((b"\x1aE\xdf\xa3", b"OggS")) for path in files)
    await ken.closes(case_id)
    assert mio.errors == ken.errors == []
