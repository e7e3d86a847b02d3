"""The README's pictures, taken anew: `python -m tests.browser.pictures` starts a house and writes docs/images/."""

import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import expect

from tests.browser.people import TOP, Counsellor, YoungPerson, a_browser
from tests.house import House

IMAGES = TOP / "docs" / "images"
EVENING = [
    ("mio", "こんばんは。眠れなくて…"),
    ("ken", "こんばんは、健です。来てくれてありがとう。"),
    ("mio", "学校のことを考えると、おなかが痛くなる"),
    ("ken", "それはつらいですね。いつごろからですか?"),
    ("mio", "先週から。だれにも言ってない"),
    ("ken", "話してくれて、うれしいです。ゆっくりで大丈夫。今日はどんな一日でしたか?"),
]


async def take(house: House) -> None:
    async with a_browser() as browser:
        ken = await Counsellor.signs_in(browser, house, house.staff[0], device_scale_factor=1.5)
        mio = await YoungPerson.arrives(browser, house, device_scale_factor=2)
        await mio.begins()
        case_id = await mio.case_id()
        await mio.says(EVENING[0][1])
        await ken.accepts(case_id)
        for who, text in EVENING[1:]:
            if who == "mio":
                await mio.says(text)
                await ken.sees(case_id, text)
            else:
                await ken.says(case_id, text)
                await mio.sees(text)
        others = [await YoungPerson.arrives(browser, house) for _ in range(3)]
        for other in others:
            await other.begins()
        await others[0].says("友だちのことで相談したいです")
        second = await others[0].case_id()
        await ken.accepts(second)
        await ken.sees(second, "友だち")
        await ken.says(second, "はい、聞かせてください。")
        await others[0].says("グループから外されたみたいで、明日学校に行きたくない")
        await ken.opens(case_id, beside=True)
        await expect(ken.column(case_id).get_by_text("ゆっくりで大丈夫")).to_be_visible()
        await mio.line.press_sequentially("きょう")
        await expect(ken.column(case_id).get_by_text("書いています")).to_be_visible()
        IMAGES.mkdir(parents=True, exist_ok=True)
        await ken.page.screenshot(path=IMAGES / "counsellor.png")
        await mio.line.fill("")
        await mio.page.screenshot(path=IMAGES / "young-person.png")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mado-") as directory:
        house = House(Path(directory) / "data")
        house.opens()
        try:
            asyncio.run(take(house))
        finally:
            house.closes()


if __name__ == "__main__":
    main()
