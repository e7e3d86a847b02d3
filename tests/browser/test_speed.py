"""A cheap phone on a slow line: Fast 3G and a processor four times slower, at the first visit and at a later one."""

import json
import re
import time
from collections import Counter
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, Request, expect

from tests.browser.people import TOP, YoungPerson
from tests.house import House
from tests.words import word

# Chrome's own "Fast 3G": 1.6 Mbit/s down, 750 kbit/s up, 150 ms, as its devtools apply it.
FAST_3G = {
    "offline": False,
    "latency": 150 * 3.75,
    "downloadThroughput": 1.6e6 / 8 * 0.9,
    "uploadThroughput": 750e3 / 8 * 0.9,
}
MARKS = """() => ({paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0,
    usable: performance.getEntriesByName('usable')[0]?.startTime ?? 0})"""
# A short sentence, written by two thumbs.
WRITING_S = 5.0
# Until the worker has kept all of the page.
KEPT = """async () => {
    const {active} = await navigator.serviceWorker.ready;
    while (active.state !== 'activated') await new Promise(resolve => setTimeout(resolve, 50));
}"""


def operation(request: Request) -> str:
    """What the Matrix API is asked for: `keys/claim`, `send`, …; the syncs after the first one are all `sync since`."""
    address = urlsplit(request.url)
    name = re.sub(r"^/_matrix/client/v3/(rooms/[^/]+/)?|/m\.room\..*", "", address.path)
    return f"{name} since" if "since=" in address.query else name


async def slowly(page: Page) -> None:
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Network.enable")
    await devtools.send("Network.emulateNetworkConditions", FAST_3G)
    await devtools.send("Emulation.setCPUThrottlingRate", {"rate": 4})


async def opened(page: Page, house: House) -> dict[str, float]:
    """Seconds until something is painted, and until the button can be pressed."""
    await page.goto(house.base_url + "/", wait_until="commit")
    await expect(page.get_by_role("button", name="はじめる")).to_be_enabled()
    marks = await page.evaluate(MARKS)
    return {name: round(ms / 1000, 2) for name, ms in marks.items()}


async def cold(browser: Browser, house: House) -> tuple[YoungPerson, dict[str, float]]:
    """The first visit on such a phone."""
    mio = await YoungPerson.arrives(browser, house, address="about:blank")
    await slowly(mio.page)
    return mio, await opened(mio.page, house)


async def begun(mio: YoungPerson, written_in_s: float = 0) -> dict[str, float]:
    """The tap, and the first message, at once or written in so many seconds: seconds until each step after the tap,
    and from sending until it is sent."""
    began = time.monotonic()
    figures = {}
    await mio.page.get_by_role("button", name="はじめる").click()
    await expect(mio.page.locator("textarea")).to_be_visible()
    figures["click_to_writing"] = time.monotonic() - began
    text = word("はやく")
    if written_in_s:
        await mio.page.locator("textarea").press_sequentially(text, delay=written_in_s * 1000 / len(text))
    else:
        await mio.page.locator("textarea").fill(text)
    pressed = time.monotonic()
    await mio.page.locator("button.send").click()
    await expect(mio.mine(text)).to_be_visible()
    figures["click_to_written"] = time.monotonic() - began
    await expect(mio.mine(text).locator("time")).to_be_visible(timeout=60_000)
    figures["click_to_sent"] = time.monotonic() - began
    figures["pressed_to_sent"] = time.monotonic() - pressed
    return {name: round(seconds, 2) for name, seconds in figures.items()}


async def test_usable_within_two_seconds_and_the_first_message_follows(house: House, browser: Browser) -> None:
    mio, figures = await cold(browser, house)
    trips: Counter[str] = Counter()
    mio.page.on("request", lambda request: trips.update([operation(request)]))
    figures |= await begun(mio)
    await mio.context.close()
    # What can be asked without the encryption has been asked by then, and is not asked again.
    once = ("sync", "keys/upload", "keys/claim", "sendToDevice", "send")
    assert {name: trips[name] for name in once} == dict.fromkeys(once, 1)

    # The machine that tests is busy with other things now and then: the best of three loads is the page's own.
    for _ in range(2):
        if figures["usable"] > 2.0:
            again, marks = await cold(browser, house)
            await again.context.close()
            figures |= {name: min(figures[name], seconds) for name, seconds in marks.items()}

    # The same phone another day: everything of the page is there, and what is left are the ways to the server and back.
    back = await YoungPerson.arrives(browser, house, service_workers="allow")
    await back.page.evaluate(KEPT)

    async def again(slow: bool, written_in_s: float = 0) -> dict[str, float]:
        page = await back.context.new_page()
        if slow:
            await slowly(page)
        await opened(page, house)
        took = await begun(YoungPerson(back.context, page), written_in_s)
        await page.close()
        return took

    figures["warm_click_to_sent"] = (await again(slow=True))["click_to_sent"]
    figures["warm_fast_line_click_to_sent"] = (await again(slow=False))["click_to_sent"]
    # What the message needs is made ready while it is being written.
    for _ in range(3):
        took = (await again(slow=True, written_in_s=WRITING_S))["pressed_to_sent"]
        figures["warm_pressed_to_sent"] = min(took, figures.get("warm_pressed_to_sent", took))
        if took <= 2.5:
            break
    await back.context.close()

    (TOP / "artifacts").mkdir(exist_ok=True)
    (TOP / "artifacts" / "web-speed.json").write_text(json.dumps(figures, indent=2))
    print(figures)
    assert figures["usable"] <= 2.0, figures
    # In seconds a busy machine says little, as it stands for the phone, too. The trips above are what it cannot change.
    assert figures["click_to_sent"] <= 24.0, figures
    assert figures["warm_click_to_sent"] <= 16.0, figures
    assert figures["warm_pressed_to_sent"] <= 2.5, figures
