"""Notices in a young person's browser: one word for everything, as seldom as can be, and none once they have gone."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from madoguchi import config
from madoguchi.clock import Clock
from madoguchi.context import Context
from madoguchi.core.chat import web_push
from madoguchi.crypto import web_push as crypto
from madoguchi.work import pushes
from tests.cast import DESK, V3, Person, refused, segment
from tests.desk.conftest import Desk
from tests.desk.test_cases import accepts, invites
from tests.desk.test_jobs import a_context
from tests.standins.push_service import Browser, PushService, data, signed

SECRET = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgAEnACxyz", "session_id": "s", "device_id": "D"}
SUBSCRIPTION = DESK + "/push_subscription"


class Notices:
    """A desk whose `work` pushes, here in the test, and a push service."""

    def __init__(self, desk: Desk, service: PushService, ctx: Context) -> None:
        self.desk, self.service, self.ctx = desk, service, ctx

    def does(self, sql: str) -> str:
        return self.desk.workers.postgres.psql(sql, "madoguchi")

    async def waits_for(self) -> tuple[Person, str, Browser]:
        """A young person who wants notices: (who, their room, their browser)."""
        mio, opened = await self.desk.arrives()
        browser = self.service.browser()
        assert await mio.put(SUBSCRIPTION, browser.subscription()) == {"subscribed": True}
        return mio, opened["room_id"], browser

    def kept(self, user: Person) -> int:
        return int(self.does(f"SELECT count(*) FROM pushers WHERE user_id = '{user.user_id}'"))

    async def is_quiet(self) -> None:
        """Everything that happened has been looked at, and nothing waits to be told any more."""
        sql = "SELECT (SELECT pos FROM push_position) >= pos AND NOT EXISTS (SELECT 1 FROM pushes) FROM stream"
        for _ in range(200):
            if self.does(sql) == "t":
                return
            await asyncio.sleep(0.05)
        raise AssertionError("something still waits")


@pytest.fixture
async def notices(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Notices]:
    monkeypatch.setattr(pushes, "_NOBODY_S", 0.05)
    key = (await desk.line.call("GET", DESK + "/desk"))["push_key"]
    service = PushService(key)
    await service.opens()
    try:
        async with a_context(desk) as ctx:
            ctx.clock = Clock()
            ctx.settings = msgspec.structs.replace(ctx.settings, web_push_after=0)
            task = asyncio.create_task(pushes.run(ctx))
            yield Notices(desk, service, ctx)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    finally:
        await service.closes()
        desk.workers.postgres.psql("DELETE FROM pushers WHERE app_id = 'madoguchi.web'", "madoguchi")
    assert service.complaints == []


async def test_one_who_has_left_the_page_is_told_once_that_something_is_new(notices: Notices) -> None:
    mio, room, browser = await notices.waits_for()
    keeper = await notices.desk.keeper()
    for _ in range(3):
        await keeper.sends(room, "m.room.encrypted", SECRET)
    assert await notices.service.hears(browser) == web_push.MESSAGE
    # Not how many, and not again before they have looked.
    last = await keeper.sends(room, "m.room.encrypted", SECRET)
    await notices.is_quiet()
    assert len(browser.heard) == 1
    await mio.post(f"{V3}/rooms/{segment(room)}/receipt/m.read/{segment(last)}")
    await keeper.sends(room, "m.room.encrypted", SECRET)
    assert await notices.service.hears(browser, 2) == web_push.MESSAGE
    # Whoever has not looked for half a day has perhaps not heard it.
    await notices.is_quiet()
    notices.does("UPDATE pushers SET told_at = told_at - interval '13 hours'")
    await keeper.sends(room, "m.room.encrypted", SECRET)
    assert await notices.service.hears(browser, 3) == web_push.MESSAGE


async def test_what_is_read_at_once_and_what_they_say_themselves_sets_nothing_off(notices: Notices) -> None:
    notices.ctx.settings = msgspec.structs.replace(notices.ctx.settings, web_push_after=1)
    mio, room, browser = await notices.waits_for()
    keeper = await notices.desk.keeper()
    said = await keeper.sends(room, "m.room.encrypted", SECRET)
    await mio.post(f"{V3}/rooms/{segment(room)}/receipt/m.read/{segment(said)}")
    await mio.sends(room, "m.room.encrypted", SECRET)
    await notices.is_quiet()
    assert (browser.heard, notices.service.tries) == ([], 0)


async def test_who_waits_is_told_when_a_counsellor_comes(notices: Notices) -> None:
    mio, room, browser = await notices.waits_for()
    ken, keeper = await notices.desk.staff("健"), await notices.desk.keeper()
    waiting = (await ken.get(DESK + "/queue"))["waiting"]
    await accepts(ken, waiting[-1]["case_id"])
    await invites(keeper)
    await notices.is_quiet()
    assert browser.heard == []
    await ken.joins(room)
    await notices.service.hears(browser)
    # Back on the page they say so again, and would be told again; but another name is nobody who comes.
    await mio.put(SUBSCRIPTION, browser.subscription())
    await ken.put(f"{V3}/profile/{ken.user_id}/displayname", {"displayname": "けん"})
    await notices.is_quiet()
    assert len(browser.heard) == 1
    await keeper.sends(room, "m.room.encrypted", SECRET)
    await notices.service.hears(browser, 2)


@pytest.mark.parametrize("how", ["leaves", "is closed", "logs out", "wants none"])
async def test_a_subscription_goes_with_its_case_and_its_device(notices: Notices, how: str) -> None:
    mio, room, browser = await notices.waits_for()
    keeper = await notices.desk.keeper()
    assert notices.kept(mio) == 1
    if how == "leaves":
        await mio.post(DESK + "/cases/mine/leave")
    elif how == "is closed":
        supervisor = await notices.desk.staff("主", "supervisor")
        await supervisor.post(f"{DESK}/cases/{(await mio.get(DESK + '/cases/mine'))['case_id']}/close")
    elif how == "logs out":
        await mio.post(f"{V3}/logout")
    else:
        assert await mio.delete(SUBSCRIPTION) == {"subscribed": False}
        await mio.delete(SUBSCRIPTION)
    assert notices.kept(mio) == 0
    if how == "wants none":
        await keeper.sends(room, "m.room.encrypted", SECRET)
    await notices.is_quiet()
    assert browser.heard == []
    if how in ("leaves", "is closed"):
        await refused(mio.put(SUBSCRIPTION, browser.subscription()), 409)


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_a_subscription_that_its_service_no_longer_knows_is_forgotten(notices: Notices, status: int) -> None:
    mio, room, _ = await notices.waits_for()
    notices.service.answers = [status]
    await (await notices.desk.keeper()).sends(room, "m.room.encrypted", SECRET)
    for _ in range(200):
        if not notices.kept(mio):
            break
        await asyncio.sleep(0.05)
    assert (notices.kept(mio), notices.service.tries) == (0, 1)


async def test_a_service_that_is_not_well_is_tried_again(notices: Notices) -> None:
    mio, room, browser = await notices.waits_for()
    notices.service.answers = [503]
    keeper = await notices.desk.keeper()
    await keeper.sends(room, "m.room.encrypted", SECRET)
    for _ in range(200):
        if notices.does("SELECT attempts FROM pushes") == "1":
            break
        await asyncio.sleep(0.05)
    notices.does("UPDATE pushes SET due_at = now()")
    # What is new wakes who sends; it is told with what waits.
    await keeper.sends(room, "m.room.encrypted", SECRET)
    await notices.service.hears(browser)
    await notices.is_quiet()
    assert len(browser.heard) == 1
    assert notices.kept(mio) == 1


async def test_one_browser_tells_one_person_and_one_device_has_one(notices: Notices) -> None:
    mio, _, browser = await notices.waits_for()
    aoi, _ = await notices.desk.arrives()
    await aoi.put(SUBSCRIPTION, browser.subscription())
    assert (notices.kept(mio), notices.kept(aoi)) == (0, 1)
    await aoi.put(SUBSCRIPTION, notices.service.browser().subscription())
    assert notices.kept(aoi) == 1


async def test_a_subscription_that_has_expired_is_forgotten(notices: Notices) -> None:
    mio, opened = await notices.desk.arrives()
    await mio.put(SUBSCRIPTION, notices.service.browser().subscription(expires_at=1))
    await (await notices.desk.keeper()).sends(opened["room_id"], "m.room.encrypted", SECRET)
    await notices.is_quiet()
    assert (notices.kept(mio), notices.service.tries) == (0, 0)


async def test_only_services_that_the_operator_named_and_keys_that_are_some(notices: Notices) -> None:
    mio, _ = await notices.desk.arrives()
    good = notices.service.browser().subscription()
    for endpoint in ("https://fcm.googleapis.com/fcm/send/x", "http://127.0.0.1:1/push/x", notices.service.origin):
        await refused(mio.put(SUBSCRIPTION, good | {"endpoint": endpoint}), 403, "M_FORBIDDEN")
    await refused(mio.put(SUBSCRIPTION, good | {"p256dh": "A" * 87}), 400, "M_INVALID_PARAM")
    for wrong in ({"auth": "A" * 21}, {"p256dh": "A" * 88}, {"endpoint": "x" * 2000}):
        assert (await refused(mio.put(SUBSCRIPTION, good | wrong))).status == 400
    assert notices.kept(mio) == 0


@pytest.mark.parametrize(
    ("named", "endpoint", "service"),
    [
        ("https://fcm.example", "https://fcm.example/send/a?b=%20", "https://fcm.example"),
        ("https://fcm.example", "https://FCM.example/send/a", "https://fcm.example"),
        ("https://fcm.example", "https://fcm.example:8443/a", None),
        ("https://fcm.example", "http://fcm.example/a", None),
        ("https://fcm.example", "https://fcm.example.evil.example/a", None),
        ("https://fcm.example", "https://user@fcm.example/a", None),
        ("https://fcm.example", "https://fcm.example/a b", None),
        ("https://fcm.example", "https://fcm.example/a#b", None),
        ("https://fcm.example", "https://fcm.example", None),
        ("https://*.wns.example", "https://db5.wns.example/a", "https://db5.wns.example"),
        ("https://*.wns.example", "https://wns.example/a", None),
        ("https://*.wns.example", "https://evilwns.example/a", None),
        ("https://*.wns.example", "https://evil.example\\.wns.example/a", None),
        ("https://*.wns.example", "https://evil.example/.wns.example", None),
    ],
)
def test_a_name_in_the_settings_names_that_service_and_no_other(
    tmp_path: Path, named: str, endpoint: str, service: str | None
) -> None:
    settings = config.load({"data": str(tmp_path), "web_push_services": (named,)}, environ={"MADOGUCHI_CONFIG": ""})
    assert web_push.service_of(settings, endpoint) == service


def test_without_a_service_or_a_key_there_is_no_push(tmp_path: Path) -> None:
    flags = {"data": str(tmp_path), "web_push_services": ("https://fcm.example",)}
    assert web_push.open_sender(config.load({"data": str(tmp_path)}, environ={"MADOGUCHI_CONFIG": ""})) is None
    settings = config.load(flags, environ={"MADOGUCHI_CONFIG": ""})
    assert web_push.open_sender(settings) is None
    settings.keys.mkdir()
    (settings.keys / web_push.KEY_FILE).write_bytes(crypto.new_key())
    assert web_push.open_sender(settings) is not None


def test_what_is_sealed_is_as_the_rfc_has_it() -> None:
    # RFC 8291, appendix A.
    own = ec.derive_private_key(int.from_bytes(data("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")), ec.SECP256R1())
    theirs = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
    salt, secret = data("DGv6ra1nlYgDCS1FRnbzlw"), data("BTBZMqHH6r4Tts7J_aSIgg")
    words = b"When I grow up, I want to be a watermelon"
    body = (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3"
        "jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    assert crypto.seal(words, data(theirs), secret, own=own, salt=salt) == data(body)


def test_the_stand_in_is_not_taken_in() -> None:
    mine, other = crypto.Signer(crypto.new_key()), crypto.Signer(crypto.new_key())
    header = mine.authorization("https://push.example", "mailto:a@b.example", 1)
    assert signed(header, mine.public_key) == {"aud": "https://push.example", "sub": "mailto:a@b.example", "exp": 1}
    with pytest.raises(InvalidSignature):
        signed(header.replace(mine.public_key, other.public_key), other.public_key)
    browser = PushService(mine.public_key).browser()
    sealed = crypto.seal(b"news", browser.public, browser.secret)
    assert browser.opens(sealed) == b"news"
    with pytest.raises(Exception):  # noqa: B017 - InvalidTag has no common base
        PushService(mine.public_key).browser().opens(sealed)


@pytest.mark.parametrize("key", [b"", b"-----BEGIN PRIVATE KEY-----\n", base64.b64encode(bytes(32))])
def test_a_key_that_is_none_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError):
        crypto.Signer(key)
