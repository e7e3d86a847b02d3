"""Pictures and second thoughts: what the camera wrote is gone, the server has noise, and words are taken back."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser, Locator, expect

from tests.browser.people import Counsellor, YoungPerson
from tests.house import House
from tests.words import word

_PASTES = """(area, png) => {
    const clipboardData = new DataTransfer();
    const bytes = Uint8Array.from(atob(png), char => char.charCodeAt(0));
    clipboardData.items.add(new File([bytes], 'image.png', {type: 'image/png'}));
    area.dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true}));
}"""
ORIENTATION, MODEL, DESCRIPTION = 0x0112, 0x0110, 0x010E


def a_photograph(secret: str) -> bytes:
    """Taken sideways, 3000 × 1000, red on the left; with a word where a camera writes its model and the place."""
    picture = Image.new("RGB", (3000, 1000), (240, 240, 240))
    picture.paste((200, 20, 20), (0, 0, 1500, 1000))
    exif = Image.Exif()
    exif[ORIENTATION], exif[MODEL], exif[DESCRIPTION] = 6, secret, secret
    made = io.BytesIO()
    picture.save(made, "JPEG", exif=exif, comment=secret.encode())
    return made.getvalue()


async def chooses(person: YoungPerson | Counsellor, scope: Locator, name: str, kind: str, content: bytes) -> None:
    await scope.locator("input[type=file]").set_input_files({"name": name, "mimeType": kind, "buffer": content})


async def drawn(picture: Locator) -> list[int]:
    """Width, height, and the colour of a point on the left at the top, of a picture on the page."""
    await expect(picture).to_be_visible()
    script = """async image => {
        await image.decode();
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const brush = canvas.getContext('2d');
        brush.drawImage(image, 0, 0);
        return [canvas.width, canvas.height, ...brush.getImageData(20, 20, 1, 1).data.slice(0, 3)];
    }"""
    found: list[int] = await picture.evaluate(script)
    return found


async def test_a_picture_arrives_without_what_the_camera_wrote(house: House, browser: Browser) -> None:
    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    mio = await YoungPerson.arrives(browser, house, reduced_motion="reduce")
    await mio.begins()
    case_id = await mio.case_id()
    await mio.says(word("見てほしい"))
    await ken.accepts(case_id)

    secret = word().replace(" ", "")
    before = set((house.data / "media").rglob("*")) if (house.data / "media").exists() else set()
    await chooses(mio, mio.page.locator("main form"), f"{secret}.jpg", "image/jpeg", a_photograph(secret))
    dialog = mio.page.get_by_role("dialog")
    # It stands upright now, and is what will be sent.
    assert (await drawn(dialog.locator("img")))[:2] == [533, 1600]
    assert await mio.violations() == []
    await mio.picture("picture-choose-360")
    await dialog.get_by_role("button", name="送る").click()
    own = mio.page.locator("li.line.mine img")
    assert (await drawn(own))[:2] == [533, 1600]

    # The counsellor decides when to look.
    seen = ken.column(case_id).locator("li.line", has=ken.page.get_by_role("button", name="見る"))
    await expect(seen).to_be_visible()
    assert await ken.violations() == []
    await seen.get_by_role("button", name="見る").click()
    width, height, red, green, blue = await drawn(ken.column(case_id).locator("li.line img"))
    assert (width, height) == (533, 1600) and red > 150 and green < 80 and blue < 80
    # The keyboard goes on where the button was.
    await expect(ken.column(case_id).locator("li.line img")).to_be_focused()
    await ken.picture("picture-seen-1280")
    await mio.picture("picture-sent-360")

    # On the disk: noise, without the name, the word, or a picture's first bytes.
    files = [path for path in set((house.data / "media").rglob("*")) - before if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        assert secret.encode() not in content and not content.startswith((b"\xff\xd8", b"\x89PNG"))
        assert secret not in path.name

    # And back the other way: a picture of the screen, pasted where one writes.
    area = ken.column(case_id).get_by_label("メッセージを書く")
    await area.evaluate(_PASTES, base64.b64encode(a_screenshot()).decode())
    await ken.page.get_by_role("dialog").get_by_role("button", name="送る").click()
    line = mio.page.locator("li.line:not(.mine)", has=mio.page.get_by_role("button", name="見る"))
    await line.get_by_role("button", name="見る").click()
    assert (await drawn(mio.page.locator("li.line:not(.mine) img")))[:2] == [300, 200]
    await ken.closes(case_id)


def a_screenshot() -> bytes:
    made = io.BytesIO()
    Image.new("RGBA", (300, 200), (0, 0, 255, 128)).save(made, "PNG")
    return made.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [("notes.txt", b"no picture at all"), ("broken.jpg", b"\xff\xd8\xff\xe0broken"), ("empty.png", b"")],
)
async def test_what_is_no_picture_is_told_and_not_sent(
    house: House, browser: Browser, name: str, content: bytes
) -> None:
    mio = await YoungPerson.arrives(browser, house)
    await mio.begins()
    await chooses(mio, mio.page.locator("main form"), name, "image/jpeg", content)
    await expect(mio.page.get_by_role("alert").get_by_text("この写真は読みこめませんでした")).to_be_visible()
    await expect(mio.page.locator("li.line")).to_have_count(0)
    assert await mio.violations() == []


async def test_a_picture_chosen_without_a_connection_goes_out_later(house: House, browser: Browser) -> None:
    mio = await YoungPerson.arrives(browser, house)
    await mio.begins()
    await mio.says(word("まって"))
    await mio.context.set_offline(True)
    await chooses(mio, mio.page.locator("main form"), "x.png", "image/png", a_screenshot())
    await mio.page.get_by_role("dialog").get_by_role("button", name="送る").click()
    await expect(mio.page.locator("li.line.mine", has_text="写真").get_by_text("送信待ち")).to_be_visible()
    await mio.context.set_offline(False)
    await expect(mio.page.locator("li.line.mine img")).to_be_visible()


async def test_a_message_is_taken_back_for_everybody(house: House, browser: Browser) -> None:
    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    mio = await YoungPerson.arrives(browser, house, reduced_motion="reduce")
    await mio.begins()
    case_id = await mio.case_id()
    slip, stays = word("まちがえた"), word("これはいい")
    await mio.says(slip)
    await mio.says(stays)
    await ken.accepts(case_id)
    await ken.sees(case_id, slip)
    line = mio.mine(slip)
    await mio.acts_on(line, "取り消す")
    assert await mio.violations() == []
    await mio.picture("take-back-360")
    await mio.page.get_by_role("dialog").get_by_role("button", name="取り消す").click()
    await expect(mio.page.get_by_text(slip)).to_have_count(0)
    await expect(ken.column(case_id).get_by_text(slip)).to_have_count(0)
    await expect(ken.column(case_id).get_by_text("削除されたメッセージ")).to_be_visible()
    await ken.sees(case_id, stays)
    # Nobody takes back what somebody else has said.
    await ken.column(case_id).locator("li.line", has_text=stays).get_by_role("button").click()
    await expect(ken.column(case_id).get_by_role("button", name="取り消す")).to_have_count(0)
    await ken.closes(case_id)
    await expect(mio.page.get_by_role("button", name="このメッセージへの操作")).to_have_count(0)


def test_the_photograph_holds_what_it_is_tried_for(tmp_path: Path) -> None:
    made = a_photograph("hakusai")
    assert made.count(b"hakusai") >= 3
    assert Image.open(io.BytesIO(made)).getexif()[ORIENTATION] == 6
