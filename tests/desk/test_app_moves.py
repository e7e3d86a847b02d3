"""From app to app: by a token or a code that is good once, there alone; and back from the page to an app."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from tests.cast import DESK, Json, Person, refused
from tests.desk.conftest import Desk
from tests.desk.test_channels import ghost
from tests.desk.test_moves import a_channel, errands, keeper_does, on_line, own_case, tells, ticket


@pytest.fixture(autouse=True)
async def _nothing_left_to_be_done(desk: Desk) -> AsyncIterator[None]:
    yield
    desk.workers.postgres.psql("UPDATE cases SET state = 'closed' WHERE state <> 'purged'", "madoguchi")
    await keeper_does(desk)


def an_app(desk: Desk, mode: str = "relay") -> str:
    """A channel to Telegram whose bridge has said how its bot is opened."""
    channel_id = f"telegram-{secrets.token_hex(3)}"
    values = f"'{channel_id}', 'telegram', '県のTelegram', '{mode}', 'agreed'"
    for statement in (
        f"INSERT INTO channels (id, kind, name, mode, reason) VALUES ({values})",
        f"INSERT INTO bridge_accounts VALUES ('{channel_id}', 'https://t.me/bot?start={{token}}')",
    ):
        desk.workers.postgres.psql(statement, "madoguchi")
    return channel_id


async def talking(desk: Desk) -> tuple[Person, Person, Json]:
    """Somebody on LINE with whom Ken talks: (their ghost, Ken, the case)."""
    ken = await desk.staff("健")
    mio, opened = await on_line(desk, a_channel(desk))
    await ken.post(f"{DESK}/cases/{opened['case_id']}/accept")
    await keeper_does(desk)
    await ken.joins(opened["room_id"])
    return mio, ken, opened


async def offered(mio: Person, ken: Person, case_id: str, to: str) -> Json:
    """What the bridge brings to the phone."""
    await ken.post(f"{DESK}/cases/{case_id}/move", {"to": to})
    found: Json = await mio.post(f"{DESK}/bridge/app_ticket", {}, user_id=mio.user_id)
    return found


async def redeems(there: Person, channel_id: str, event: str | None = None, **way: str) -> Json:
    body = {"channel_id": channel_id, "event": event or secrets.token_hex(8), **way}
    found: Json = await there.post(f"{DESK}/bridge/redeem", body, user_id=there.user_id)
    return found


async def test_a_case_goes_on_at_another_app_and_the_ghost_before_goes(desk: Desk) -> None:
    mio, ken, opened = await talking(desk)
    case_id, room, to = opened["case_id"], opened["room_id"], an_app(desk)
    an_app(desk, "draining")
    apps = (await ken.get(f"{DESK}/cases/{case_id}/move/apps"))["apps"]
    assert apps == [{"channel_id": to, "kind": "telegram", "name": "県のTelegram", "mode": "relay"}]
    given = await offered(mio, ken, case_id, to)
    assert await errands(mio) == [{"kind": "app_offer", "case_id": case_id, "user_id": mio.user_id}]
    await tells(mio, case_id, "queued")
    await tells(mio, case_id, "notified")
    assert (await own_case(ken, case_id))["move"] == "notified"
    token = given["url"].removeprefix("https://t.me/bot?start=")
    assert given["url"] != token and len(token) <= 64 and given["kind"] == "telegram"
    page, _ = await ticket(mio)

    there, event = await ghost(desk, "telegram"), secrets.token_hex(8)
    moved = await redeems(there, to, event, token=token)
    assert (moved["outcome"], moved["case_id"], moved["room_id"]) == ("moved", case_id, room)
    # Killed before it could read the answer: asked again, it is the same one.
    assert await redeems(there, to, event, token=token) == moved
    assert (await redeems(there, to, token=token))["outcome"] == "used"
    mine = await own_case(ken, case_id)
    assert (mine["move"], mine["channel"], mine["came_by"], mine["ghost"]) == ("moved", "telegram", "line", True)
    # The one before stays until the new one is there, and the keeper gives that one no history.
    wishes = (await (await desk.keeper()).get(DESK + "/keeper/invitations"))["invitations"]
    assert [wish["history"] for wish in wishes if wish["user_id"] == there.user_id] == [False]
    await keeper_does(desk)
    assert (await ken.members(room))[mio.user_id] == "join"
    await there.post(f"/_matrix/client/v3/join/{room}", {}, user_id=there.user_id)
    await keeper_does(desk)
    members = await ken.members(room)
    assert (members[mio.user_id], members[there.user_id]) == ("leave", "join")
    # Who writes on the app before is shown the way, the links of before are spent, and nothing is asked of it any more.
    body = {"channel": "line", "channel_id": "line"}
    told = await refused(mio.post(DESK + "/cases", body, user_id=mio.user_id), 409, "JP_MADOGUCHI_MOVED")
    assert told.body["case_id"] == case_id
    await refused(desk.line.call("POST", DESK + "/move", {"token": page}), 410, "JP_MADOGUCHI_LINK_SPENT")
    assert await errands(mio) == await errands(there) == []
    # Of the channel before they have been moved, of the new one nobody has offered them anything, until it is drained.
    admin, line = await desk.administrator(), opened_before(desk, case_id)
    assert [await standings(admin, channel) for channel in (line, to)] == [[(case_id, "moved")], [(case_id, None)]]
    await admin.put(f"{DESK}/channels/{to}/mode", {"mode": "draining", "reason": "exercise"})
    assert [await standings(admin, channel) for channel in (line, to)] == [[(case_id, "moved")], [(case_id, "asked")]]
    assert await errands(there) == [{"kind": "offer", "case_id": case_id, "user_id": there.user_id}]
    # From there it goes on to the page like from any app.
    await ken.post(f"{DESK}/cases/{case_id}/move", {})
    assert (await own_case(ken, case_id))["move"] == "asked"
    assert await errands(there) == [{"kind": "offer", "case_id": case_id, "user_id": there.user_id}]
    page, _ = await ticket(there)
    await desk.line.call("POST", DESK + "/move", {"token": page})
    mine = await own_case(ken, case_id)
    assert (mine["move"], mine["channel"], mine["came_by"]) == ("moved", "web", "telegram")


def opened_before(desk: Desk, case_id: str) -> str:
    """By which channel a case came that has moved."""
    asked = f"SELECT channel_id FROM past_persons WHERE case_id = '{case_id}' AND number = 1"
    return desk.workers.postgres.psql(asked, "madoguchi").strip()


async def standings(admin: Person, channel_id: str) -> list[tuple[str, str | None]]:
    people = (await admin.get(f"{DESK}/channels/{channel_id}/suspension"))["people"]
    return [(person["case_id"], person["standing"]) for person in people]


async def test_what_is_no_key_here_says_why_and_nothing_more(desk: Desk) -> None:
    mio, ken, opened = await talking(desk)
    case_id, to, other = opened["case_id"], an_app(desk), an_app(desk)
    given = await offered(mio, ken, case_id, to)
    code = given["code"]
    there = await ghost(desk, "telegram")
    # At another account, also of the same app, it is unknown; where the person is, they are told where it belongs.
    assert (await redeems(there, other, code=code))["outcome"] == "unknown"
    here = opened_on(desk, case_id)
    assert (await redeems(mio, here, code=code))["outcome"] == "elsewhere"
    assert (await redeems(there, to, code="2222-222A")) == {
        "outcome": "unknown", "case_id": None, "room_id": None, "at": None,
    }  # fmt: skip
    # One case at a time; the code stays good.
    busy = await ghost(desk, "telegram")
    await busy.post(DESK + "/cases", {"channel": "telegram", "channel_id": to}, user_id=busy.user_id)
    assert (await redeems(busy, to, code=code))["outcome"] == "busy"
    desk.workers.postgres.psql(f"UPDATE channels SET mode = 'draining' WHERE id = '{to}'", "madoguchi")
    assert (await redeems(there, to, code=code))["outcome"] == "closed"
    await refused(mio.post(f"{DESK}/bridge/app_ticket", {}, user_id=mio.user_id), 409)
    await refused(ken.post(f"{DESK}/cases/{case_id}/move", {"to": to}), 409)
    desk.workers.postgres.psql(f"UPDATE channels SET mode = 'relay' WHERE id = '{to}'", "madoguchi")
    await refused(ken.post(f"{DESK}/cases/{case_id}/move", {"to": "web"}), 409)
    # Guessing gets nobody anywhere: after ten wrong ones not even the right one is looked at, for an hour.
    for number in range(8):
        assert (await redeems(there, to, f"{case_id}{number}", code=f"2222-22A{number + 2}"))["outcome"] == "unknown"
    assert (await redeems(there, to, f"{case_id}0", code="2222-22A2"))["outcome"] == "unknown", "repeated, not counted"
    assert (await redeems(there, to, code=code))["outcome"] == "often"
    desk.workers.postgres.psql("UPDATE app_tries SET at = at - interval '1 h'", "madoguchi")
    typed = code.replace("-", "").lower()
    desk.workers.postgres.psql(f"UPDATE app_tickets SET expires_at = now() WHERE case_id = '{case_id}'", "madoguchi")
    assert (await redeems(there, to, code=typed))["outcome"] == "expired"
    given = await offered(mio, ken, case_id, to)
    await ken.post(f"{DESK}/cases/{case_id}/close")
    assert (await redeems(there, to, code=given["code"]))["outcome"] == "ended"
    await refused(mio.post(f"{DESK}/bridge/app_ticket", {}, user_id=mio.user_id), 404)
    for bad in ({}, {"token": "m_x", "code": code}):
        await refused(redeems(there, to, **bad), 400)
    everything = desk.workers.postgres.psql("SELECT * FROM app_tickets", "madoguchi")
    assert code not in everything and given["code"] not in everything


def opened_on(desk: Desk, case_id: str) -> str:
    return desk.workers.postgres.psql(f"SELECT channel_id FROM cases WHERE id = '{case_id}'", "madoguchi").strip()


async def test_of_many_who_bring_the_same_code_one_goes_on(desk: Desk) -> None:
    mio, ken, opened = await talking(desk)
    to = an_app(desk)
    given = await offered(mio, ken, opened["case_id"], to)
    people = [await ghost(desk, "telegram") for _ in range(4)]
    answers = await asyncio.gather(*(redeems(each, to, code=given["code"]) for each in people))
    assert sorted(answer["outcome"] for answer in answers) == ["moved", "used", "used", "used"]


async def test_from_the_page_one_goes_back_to_an_app_only_if_one_came_from_one(desk: Desk) -> None:
    mio, ken, opened = await talking(desk)
    case_id, room, back = opened["case_id"], opened["room_id"], opened_on(desk, opened["case_id"])
    desk.workers.postgres.psql(
        f"INSERT INTO bridge_accounts VALUES ('{back}', 'https://line.me/R/oaMessage/%40x/?{{code}}')", "madoguchi"
    )
    an_app(desk, "contact_point")
    page, _ = await ticket(mio)
    moved = await desk.line.call("POST", DESK + "/move", {"token": page})
    person = Person(desk.line, "Mio", "", moved)
    await keeper_does(desk)
    await person.joins(room)
    await keeper_does(desk)
    apps = (await person.get(DESK + "/cases/mine/apps"))["apps"]
    assert [app["channel_id"] for app in apps] == [back], "a contact point carries no words"
    given = await person.post(DESK + "/cases/mine/app_ticket", {"channel_id": back})
    assert given["url"] == f"https://line.me/R/oaMessage/%40x/?{given['code']}"
    await person.put(DESK + "/cases/mine/previous", {"shown": False})
    assert (await redeems(mio, back, code=given["code"]))["outcome"] == "moved"
    # What they said to that on the page could not be changed on the app.
    kept = f"SELECT previous_shown IS NULL FROM cases WHERE id = '{case_id}'"
    assert desk.workers.postgres.psql(kept, "madoguchi").strip() == "t"
    await keeper_does(desk)
    await mio.post(f"/_matrix/client/v3/join/{room}", {}, user_id=mio.user_id)
    await keeper_does(desk)
    members = await ken.members(room)
    assert (members[mio.user_id], members[person.user_id]) == ("join", "leave")
    assert (await own_case(ken, case_id))["channel"] == "line"
    await refused(person.get(DESK + "/cases/mine"), 409, "JP_MADOGUCHI_MOVED")
    # As from any app, the way to the page stays open; the statistics know where the person came from first.
    page, _ = await ticket(mio)
    await desk.line.call("POST", DESK + "/move", {"token": page})
    # Whoever has been on the page from the first is not led to an app.
    aoi, _ = await desk.arrives()
    assert await aoi.get(DESK + "/cases/mine/apps") == {"apps": []}
    await refused(aoi.post(DESK + "/cases/mine/app_ticket", {"channel_id": back}), 409)
    nobody = await desk.person("dare")
    await refused(nobody.post(DESK + "/cases/mine/app_ticket", {"channel_id": back}), 404)
