"""Called back by the browser: asked for, neutral, told once, and gone with whoever leaves."""

import asyncio
import json
from typing import Any

import asyncpg
from playwright.async_api import Browser, BrowserContext, Page, Worker, expect

from tests.browser.people import DESK, PHONE, Counsellor, YoungPerson, becomes
from tests.browser.test_offline import NOTHING, TRACES, is_kept
from tests.house import House
from tests.standins.push_service import Browser as Subscriber
from tests.standins.push_service import PushService
from tests.words import word

LANGUAGES = ("ja-x-easy", "en", "ja")
# Headless Chromium has no push service of its own: here the page gets the subscription of the stand-in.
SUBSCRIBES = """(() => {
    const told = %s;
    const key = () => localStorage.getItem('test.key');
    const subscription = () => key() && {
        endpoint: told.endpoint, expirationTime: null,
        options: {applicationServerKey: Uint8Array.from(atob(key().replaceAll('-', '+').replaceAll('_', '/')),
            each => each.charCodeAt(0)).buffer},
        toJSON: () => ({endpoint: told.endpoint, expirationTime: null, keys: {p256dh: told.p256dh, auth: told.auth}}),
        unsubscribe: async () => { localStorage.removeItem('test.key'); return true; },
    };
    PushManager.prototype.getSubscription = async () => subscription();
    PushManager.prototype.subscribe = async options => {
        if (!options.userVisibleOnly) throw new DOMException('silent', 'NotAllowedError');
        localStorage.setItem('test.key', options.applicationServerKey);
        return subscription();
    };
})()"""
# What the worker finds there, and that it gave it back (a database that nothing else would make).
GIVES_BACK = """() => { PushManager.prototype.getSubscription = async () => ({
    unsubscribe: async () => { indexedDB.open('given back'); return true; },
}); }"""
CLICKS = """() => new Promise(done => {
    Clients.prototype.openWindow = async address => done(address);
    self.registration.getNotifications().then(([notification]) =>
        self.dispatchEvent(new NotificationEvent('notificationclick', {notification})));
})"""
SHOWN = """async () => (await (await navigator.serviceWorker.ready).getNotifications()).map(
    ({title, body, tag, icon, badge, data}) => ({title, body, tag, icon, badge, data}))"""


async def pushers(house: House) -> int:
    connection = await asyncpg.connect(house.database_url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM pushers WHERE app_id = 'madoguchi.web'"))
    finally:
        await connection.close()


async def pushed(page: Page, house: House) -> None:
    """The browser brings a message of its push service to the worker."""
    session = await page.context.new_cdp_session(page)
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def registered(event: dict[str, Any]) -> None:
        for each in event["registrations"]:
            if each["scopeURL"] == house.base_url + "/" and not found.done():
                found.set_result(each["registrationId"])

    session.on("ServiceWorker.workerRegistrationUpdated", registered)
    await session.send("ServiceWorker.enable")
    told = {"origin": house.base_url, "registrationId": await found, "data": "news"}
    await session.send("ServiceWorker.deliverPushMessage", told)
    await session.detach()


def worker_of(context: BrowserContext) -> Worker:
    [worker] = context.service_workers
    return worker


async def wants_notices(mio: YoungPerson) -> None:
    """Looks at the choice in every language, and takes it."""
    await mio.page.get_by_role("button", name="あとで戻るには").click()
    dialog = mio.page.get_by_role("dialog")
    choice = dialog.get_by_role("checkbox").nth(1)
    # Nothing is asked, and nothing can be had, before they are remembered here.
    await expect(choice).to_be_disabled()
    await dialog.get_by_role("checkbox", name="この端末で覚えておく").check()
    await expect(choice).to_be_enabled()
    await expect(choice).not_to_be_checked()
    for language in LANGUAGES:
        await mio.page.locator(".frame > header select").evaluate(
            "(select, code) => { select.value = code; select.dispatchEvent(new Event('change', {bubbles: true})); }",
            language,
        )
        assert await mio.violations() == []
        for width, size in ((1280, DESK), (360, PHONE)):
            await mio.page.set_viewport_size(size)  # type: ignore[arg-type]
            await choice.scroll_into_view_if_needed()
            await mio.page.locator("#notices-why").scroll_into_view_if_needed()
            await mio.picture(f"notices-{language}-{width}")
    await expect(dialog.get_by_text("家の人と一緒に使っている端末では、入れないでください").last).to_be_visible()
    await dialog.get_by_role("checkbox", name="新しいことがあったら知らせてもらう").check()
    await expect(choice).to_be_checked()
    await mio.page.locator("dialog .close").click()


async def test_who_has_left_the_page_is_called_back_by_a_neutral_word(house: House, browser: Browser) -> None:
    address = house.base_url + "/"
    facts_page = await browser.new_page()
    facts = await (await facts_page.goto(address + "_madoguchi/desk/v1/desk")).json()  # type: ignore[union-attr]
    await facts_page.close()
    service = PushService(facts["push_key"])
    await service.opens()
    try:
        phone = service.browser()
        mio = await arrives(browser, house, phone)
        await mio.page.get_by_role("button", name="だれが読めるの").click()
        await expect(mio.page.get_by_role("dialog").get_by_text("お知らせを運ぶブラウザーの会社")).to_be_visible()
        await mio.page.locator("dialog .close").click()
        await mio.begins()
        await mio.says(word("呼んでくれますか"))
        await is_kept(mio.page)
        await wants_notices(mio)
        case_id = await mio.case_id()
        await mio.page.close()

        ken = await Counsellor.signs_in(browser, house, house.staff[0])
        await ken.accepts(case_id)
        hello = word("来ましたよ")
        await ken.says(case_id, hello)
        assert await service.hears(phone) == b"news"

        # Another page of the browser is open: the notice is shown, with nothing in it.
        mio.page = await mio.context.new_page()
        await mio.page.goto(address + "guidance/")
        assert await mio.page.evaluate(SHOWN) == []
        await pushed(mio.page, house)
        icons = {"icon": address + "icons/192.png", "badge": address + "icons/badge.png"}
        notice = {"title": "お知らせがあります", "body": "", "tag": "news", "data": None} | icons
        await becomes(mio.page, SHOWN, [notice])
        # A second one takes the place of the first; a tap leads to the page.
        await pushed(mio.page, house)
        await becomes(mio.page, SHOWN, [notice])
        assert await worker_of(mio.context).evaluate(CLICKS) == "/"

        # Whoever has the page before them sees it there.
        await mio.page.goto(address)
        await mio.sees(hello)
        await becomes(mio.page, SHOWN, [])
        await pushed(mio.page, house)
        await mio.says(word("ただいま"))
        assert await mio.page.evaluate(SHOWN) == []
        assert await pushers(house) == 1

        await worker_of(mio.context).evaluate(GIVES_BACK)
        await mio.page.get_by_role("button", name="すぐに離れる").click()
        await mio.page.wait_for_url(lambda url: not url.startswith(address))
        await mio.page.goto(address + "favicon.svg")
        await becomes(mio.page, TRACES, NOTHING | {"stores": ["given back"]})
        for _ in range(50):
            if await pushers(house) == 0:
                break
            await asyncio.sleep(0.1)
        assert await pushers(house) == 0
        assert len(phone.heard) == 1
        await ken.closes(case_id)
        assert mio.errors == ken.errors == service.complaints == []
    finally:
        await service.closes()


async def arrives(browser: Browser, house: House, phone: Subscriber) -> YoungPerson:
    """Somebody whose browser has the stand-in for its push service."""
    mio = await YoungPerson.arrives(
        browser, house, address="about:blank", service_workers="allow", reduced_motion="reduce",
        permissions=["notifications"],
    )  # fmt: skip
    await mio.context.add_init_script(SUBSCRIBES % json.dumps(phone.subscription()))
    await mio.page.goto(house.base_url + "/")
    await mio.speaks("ja")
    return mio
