"""The lock is evidence: who may be sure of whom, and what the pages do when a server lies."""

from pathlib import Path
from typing import Any

from nacl.signing import SigningKey
from nacl.utils import random
from playwright.async_api import Browser, expect

from tests import lost_keeper
from tests.browser.people import Counsellor, YoungPerson
from tests.cast import V3, Cast, Person, password_login
from tests.house import House
from tests.standins.liar import Liar, public, signed, unpadded
from tests.words import word

Json = dict[str, Any]


async def test_a_counsellor_stays_who_they_are_at_another_workplace(house: House, browser: Browser) -> None:
    staff = house.staff[1]
    here = await Counsellor.signs_in(browser, house, staff)
    await here.picture("words-to-write-down")
    words = await here.writes_the_words_down()
    await expect(here.page.get_by_role("button", name="言葉を見る")).to_be_hidden()
    before = await here.master_key(staff.user_id)
    there = await Counsellor.signs_in(browser, house, staff, words=words)
    assert await there.master_key(staff.user_id) == before
    # Where the words were once, the password does.
    await there.page.get_by_role("button", name="サインアウト").click()
    await there.signs_in_here(staff)
    assert await there.master_key(staff.user_id) == before


def another_identity(user_id: str, answer: Json) -> None:
    """Somebody else's keys in the place of an account's, right in themselves."""
    master, signing = SigningKey.generate(), SigningKey.generate()

    def key(usage: str, made: SigningKey) -> Json:
        return {"user_id": user_id, "usage": [usage], "keys": {f"ed25519:{public(made)}": public(made)}}

    answer["master_keys"][user_id] = key("master", master)
    answer["self_signing_keys"][user_id] = signed(key("self_signing", signing), user_id, public(master), master)


def another_device(user_id: str, answer: Json) -> None:
    """A device that the account's owner never had, and has not signed."""
    key, curve = SigningKey.generate(), unpadded(random(32))
    keys = {"ed25519:ROGUE": public(key), "curve25519:ROGUE": curve}
    algorithms = ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"]
    device = {"user_id": user_id, "device_id": "ROGUE", "algorithms": algorithms, "keys": keys}
    answer["device_keys"][user_id]["ROGUE"] = signed(device, user_id, "ROGUE", key)


async def leaves_all_workplaces(house: House, cast: Cast) -> None:
    """What other stories have signed in as Ken and never signed is rightly told of."""
    staff, line = house.staff[0], cast.line_to(house.base_url)
    login = await line.call("POST", f"{V3}/login", password_login(staff.user_id, staff.password))
    await Person(line, "ken", staff.password, login).post(f"{V3}/logout/all")


async def test_a_server_that_lies_is_sent_nothing(house: House, browser: Browser, cast: Cast, tmp_path: Path) -> None:
    await leaves_all_workplaces(house, cast)
    ken = await Counsellor.signs_in(browser, house, house.staff[0])
    ken_id, keeper = house.staff[0].user_id, f"@keeper:{house.server_name}"
    staff = [
        {"user_id": ken_id, "name": "健", "role": "counsellor", "master_key": await ken.master_key(ken_id)},
        {"user_id": keeper, "name": "記録係", "role": "keeper", "master_key": await ken.master_key(keeper)},
    ]
    liar = Liar()
    liar.roster = liar.issues(house.server_name, 3, staff)
    mio = await YoungPerson.arrives(browser, house, before=liar.comes_between)
    await mio.begins()
    case_id = await mio.case_id()
    visit = await mio.visit()
    assert visit is not None
    first = word("眠れない")
    await mio.says(first)
    await ken.accepts(case_id)
    await ken.sees(case_id, first)
    await ken.says(case_id, "ここにいます")
    lock = mio.page.get_by_role("button", name="だれが読めるか見る")
    await expect(lock).to_contain_text("鍵つき・確かめました")
    await lock.click()
    await expect(mio.page.get_by_text("職員の名簿の署名を確かめました。第3号")).to_be_visible()
    assert await mio.violations() == []
    await mio.picture("lock-sure")
    await mio.page.get_by_role("dialog").get_by_role("button", name="閉じる").click()
    refused = mio.page.get_by_role("alert").filter(has_text="いまは送っていません")

    def changed(answer: Json) -> None:
        answer.setdefault("device_lists", {}).setdefault("changed", []).append(ken_id)

    # A device in Ken's name that he has not signed: he reads on, it is given no key, the page and the desk are told.
    liar.keys = lambda answer: another_device(ken_id, answer) if ken_id in answer["device_keys"] else None
    async with mio.page.expect_response("**/lock_reports") as told:
        async with mio.page.expect_response("**/keys/query*"):
            liar.once.append(changed)
            await ken.says(case_id, "聞いています")
        second = word("まだ起きてる")
        await mio.says(second)
        await ken.sees(case_id, second)
        await expect(lock).not_to_contain_text("確かめました")
        await lock.click()
        await expect(mio.page.get_by_text("健の名前で、本人が認めていない端末があります")).to_be_visible()
        assert await mio.violations() == []
        await mio.picture("lock-device")
        await mio.page.get_by_role("dialog").get_by_role("button", name="閉じる").click()
    report = (await told.value).request.post_data_json
    assert (report["kind"], report["about"]) == ("device", ken_id)
    assert not [who for who in liar.given_keys if who[1] == "ROGUE"]

    # Another identity in Ken's name: nothing is sent, the page says so, the desk is told.
    liar.keys = lambda answer: another_identity(ken_id, answer) if ken_id in answer["device_keys"] else None
    async with mio.page.expect_response("**/lock_reports") as told:
        liar.once.append(changed)
        await ken.says(case_id, "どうしましたか")
        third = word("だれにも言わないで")
        await mio.writes(third)
    assert (await (await told.value).json()) == {"kept": True}
    await expect(refused).to_contain_text("名簿と違う鍵")
    await mio.picture("lock-refused")
    assert await mio.violations() == []
    await expect(mio.mine(third).locator("time")).to_have_count(0)
    # It is mended, and what was held goes on its way by itself.
    liar.keys = lambda answer: None
    await ken.sees(case_id, third)
    await expect(refused).to_be_hidden()

    # Somebody in the room of whom the roster knows nothing.
    def joins(answer: Json) -> None:
        impostor = {"type": "m.room.member", "state_key": "@impostor:" + house.server_name, "sender": keeper}
        impostor |= {"content": {"membership": "join", "displayname": "健"}, "event_id": "$impostor"}
        room = answer["rooms"]["join"][visit["roomId"]]
        impostor |= {"origin_server_ts": 1, "room_id": visit["roomId"]}
        for part in ("timeline", "org.matrix.msc4222.state_after"):
            room[part]["events"].append(impostor)

    async with mio.page.expect_response("**/lock_reports") as told:
        liar.once.append(joins)
        await ken.says(case_id, "大丈夫")
    assert (await told.value).ok
    await expect(refused).to_contain_text("名簿にない人")
    await lock.click()
    await mio.picture("lock-stranger")
    await mio.page.get_by_role("dialog").get_by_role("button", name="閉じる").click()

    # After a reload, without the impostor: an older roster.
    liar.roster = liar.issues(house.server_name, 2, staff)
    await mio.page.reload()
    await expect(refused).to_contain_text("古い職員の名簿")
    fourth = word("もう寝ます")
    await mio.writes(fourth)
    # The operator has another key by now. The page knows the old one, which has signed that.
    liar.hands_over(house.server_name)
    liar.roster = liar.issues(house.server_name, 4, staff)
    await ken.sees(case_id, fourth)

    # The keeper's machine is lost. It comes back as itself on another device, and the page gives it its keys.
    before = {device for user, device in liar.given_keys if user == keeper}
    await lost_keeper.prepares(house, tmp_path / "recovery.key", visit["roomId"])
    lost_keeper.loses(house)
    await lost_keeper.recovers(house, "--key", str(tmp_path / "recovery.key"))
    for text in ("おはよう", "起きました", "学校に行きます"):
        # The first may be under way before the page has heard of the device.
        fifth = word(text)
        await mio.says(fifth)
        await ken.sees(case_id, fifth)
        if {device for user, device in liar.given_keys if user == keeper} - before:
            break
    else:
        raise AssertionError("the page gives the keeper that came back no key")
    await expect(lock).to_contain_text("鍵つき・確かめました")
    assert {user for user, _ in liar.given_keys} <= {ken_id, keeper, visit["session"]["userId"]}
    assert mio.errors == []
