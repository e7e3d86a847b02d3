"""Moving 引っ越し: from an app into the sealed room, once, by the person's own word, with nobody else let in."""

import asyncio
import secrets
from collections.abc import Callable
from datetime import timedelta

import pytest

from madoguchi.core.desk import moves
from tests.cast import DESK, Json, Person, refused, segment
from tests.desk.conftest import Desk
from tests.desk.test_channels import ghost

V3 = "/_matrix/client/v3"


def a_channel(desk: Desk, mode: str = "relay") -> str:
    """A LINE channel that needs no secrets, because no bridge runs here."""
    channel_id = f"line-{secrets.token_hex(3)}"
    values = f"'{channel_id}', 'line', '県のLINE', '{mode}', 'agreed'"
    desk.workers.postgres.psql(f"INSERT INTO channels (id, kind, name, mode, reason) VALUES ({values})", "madoguchi")
    return channel_id


async def on_line(desk: Desk, channel_id: str) -> tuple[Person, Json]:
    """Somebody on LINE with a case: (their ghost, the case)."""
    mio = await ghost(desk)
    body = {"channel": "line", "channel_id": channel_id}
    return mio, await mio.post(DESK + "/cases", body, user_id=mio.user_id)


async def ticket(mio: Person) -> tuple[str, str]:
    """(token, code) as the bridge fetches them."""
    given = await mio.post(f"{DESK}/bridge/ticket", {}, user_id=mio.user_id)
    return given["url"].rpartition("#move=")[2], given["code"]


async def errands(mio: Person) -> list[Json]:
    found: Json = await mio.get(DESK + "/bridge/errands")
    return [errand for errand in found["errands"] if errand["user_id"] == mio.user_id]


async def tells(mio: Person, case_id: str, what: str) -> None:
    await mio.post(f"{DESK}/bridge/cases/{case_id}/told", {"what": what}, user_id=mio.user_id)


async def keeper_does(desk: Desk) -> None:
    """What the keeper is asked for, without the history."""
    keeper = await desk.keeper()
    wishes = await keeper.get(DESK + "/keeper/invitations")
    for wish, action in [(w, "invite") for w in wishes["invitations"]] + [(w, "kick") for w in wishes["removals"]]:
        await keeper.post(f"{V3}/rooms/{segment(wish['room_id'])}/{action}", {"user_id": wish["user_id"]})


async def own_case(ken: Person, case_id: str) -> Json:
    mine: list[Json] = (await ken.get(DESK + "/queue"))["mine"]
    return next(case for case in mine if case["case_id"] == case_id)


async def test_a_case_moves_with_its_counsellor_and_the_ghost_goes(desk: Desk) -> None:
    ken, channel_id = await desk.staff("健"), a_channel(desk)
    mio, opened = await on_line(desk, channel_id)
    case_id, room = opened["case_id"], opened["room_id"]
    await ken.post(f"{DESK}/cases/{case_id}/accept")
    await keeper_does(desk)
    await ken.joins(room)
    assert (await own_case(ken, case_id))["move"] is None
    assert await errands(mio) == []
    await ken.post(f"{DESK}/cases/{case_id}/move", {})
    assert await errands(mio) == [{"kind": "offer", "case_id": case_id, "user_id": mio.user_id}]
    token, code = await ticket(mio)
    assert await errands(mio) != [], "as long as the bridge has not said that it will not forget it"
    for what, standing in (("queued", "asked"), ("unreachable", "unreachable"), ("notified", "notified")):
        await tells(mio, case_id, what)
        assert (await own_case(ken, case_id))["move"] == standing
    assert await errands(mio) == []
    # Whoever only looks, a preview too, spends nothing.
    line = desk.some_line()
    for way in ({"token": token}, {"code": code}, {"code": code.replace("-", " ").lower()}, {"token": token}):
        seen = await line.call("POST", DESK + "/move/look", way)
        assert seen["passphrase"] is False
    assert (await own_case(ken, case_id))["move"] == "opened"
    await line.call("POST", DESK + "/move/decline", {"token": token})
    assert (await own_case(ken, case_id))["move"] == "declined"
    moved = await line.call("POST", DESK + "/move", {"token": token, "with_password": True})
    assert (moved["case_id"], moved["room_id"]) == (case_id, room) and moved["password"]
    person = Person(line, "Mio", moved["password"], moved)
    mine = await own_case(ken, case_id)
    assert (mine["move"], mine["channel"], mine["came_by"], mine["ghost"]) == ("moved", "web", "line", False)
    assert mine["user_id"] == person.user_id
    assert (await person.get(DESK + "/cases/mine"))["state"] == "talking"
    # The ghost stays until the person is there, so that nobody talks into an empty room.
    await keeper_does(desk)
    assert mio.user_id in await ken.members(room)
    await person.joins(room)
    await keeper_does(desk)
    assert {user for user, state in (await ken.members(room)).items() if state == "join"} == {
        person.user_id, ken.user_id, (await desk.keeper()).user_id,
    }  # fmt: skip
    assert (await ken.state(room, "jp.madoguchi.case"))["channel"] == "web"
    told = await refused(mio.post(DESK + "/cases", {"channel": "line", "channel_id": channel_id}, user_id=mio.user_id))
    assert (told.status, told.errcode, told.body["case_id"]) == (409, "JP_MADOGUCHI_MOVED", case_id)
    steps = desk.workers.postgres.psql(
        f"SELECT step FROM case_steps WHERE case_id = '{case_id}' ORDER BY id", "madoguchi"
    )
    assert steps.split() == ["arrived", "accepted", "move_offered", "move_declined", "moved"]


@pytest.mark.parametrize("way", ["token", "code"])
async def test_a_link_is_good_once(desk: Desk, way: str) -> None:
    mio, opened = await on_line(desk, a_channel(desk))
    token, code = await ticket(mio)
    other, _ = await ticket(mio)
    body = {"token": token} if way == "token" else {"code": code}
    tries = [desk.some_line().call("POST", DESK + "/move", body) for _ in range(5)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(answer, dict) for answer in answers) == 1
    for spent in ({"token": token}, {"code": code}, {"token": other}):
        for path in ("/move", "/move/look", "/move/decline"):
            told = await refused(desk.line.call("POST", DESK + path, spent), 410, "JP_MADOGUCHI_LINK_SPENT")
            assert told.body["reason"] == "used"
    # Whoever lost only the answer asks once more under the same key.
    fourth, _ = await ticket(mio)
    key = {"token": fourth, "arrival_key": secrets.token_urlsafe(24), "with_password": True}
    lost, found = [await desk.line.call("POST", DESK + "/move", key) for _ in range(2)]
    assert lost["user_id"] == found["user_id"] and lost["device_id"] != found["device_id"] and found["password"]
    # Whoever lost the page asks on the app again, and comes back as somebody new; the one before leaves the room.
    again, _ = await ticket(mio)
    back = await desk.line.call("POST", DESK + "/move", {"token": again})
    assert back["case_id"] == opened["case_id"]
    first = next(answer for answer in answers if isinstance(answer, dict))
    assert back["user_id"] != first["user_id"]
    await refused(Person(desk.line, "", "", first).get(DESK + "/cases/mine"), 409, "JP_MADOGUCHI_MOVED")


async def test_what_opens_nothing_says_how_to_go_on(
    desk: Desk, a_clock_ahead: Callable[[str, timedelta], None]
) -> None:
    mio, opened = await on_line(desk, a_channel(desk))
    case_id = opened["case_id"]
    token, code = await ticket(mio)
    for wrong in ({"token": token[:-1] + "!"}, {"code": "2222-2222"}, {"code": "-"}):
        for path in ("/move", "/move/look", "/move/decline"):
            await refused(desk.line.call("POST", DESK + path, wrong), 403, "M_FORBIDDEN")
    for bad in ({}, {"token": token, "code": code}, {"token": ""}, {"token": 1}):
        assert (await refused(desk.line.call("POST", DESK + "/move", bad))).status == 400
    a_clock_ahead(case_id, moves.LINK_FOR)
    told = await refused(desk.line.call("POST", DESK + "/move", {"token": token}), 410)
    assert told.body["reason"] == "expired"
    token, _ = await ticket(mio)
    stranger = await ghost(desk)
    await refused(stranger.post(f"{DESK}/bridge/ticket", {}, user_id=stranger.user_id), 404)
    await refused(stranger.post(f"{DESK}/bridge/cases/{case_id}/told", {"what": "news"}, user_id=stranger.user_id), 404)
    await refused(mio.post(f"{DESK}/bridge/ticket", {}), 400, "M_MISSING_PARAM")
    await refused(stranger.post(DESK + "/move", {"token": token}, user_id=stranger.user_id), 403)
    ken = await desk.staff("健")
    await refused(ken.post(DESK + "/move", {"token": token}), 403)
    aoi, _ = await desk.arrives()
    await refused(aoi.post(DESK + "/move", {"token": token}), 409, "M_CONFLICT")
    await ken.post(f"{DESK}/cases/{case_id}/accept")
    await ken.post(f"{DESK}/cases/{case_id}/close")
    told = await refused(desk.line.call("POST", DESK + "/move", {"token": token}), 410)
    assert told.body["reason"] == "ended"
    await refused(mio.post(f"{DESK}/bridge/ticket", {}, user_id=mio.user_id), 404)
    await refused(ken.post(f"{DESK}/cases/{case_id}/move", {}), 409)
    logged = "".join(path.read_text() for path in desk.workers.directory.glob("serve-*.log"))
    written = [line for line in logged.splitlines() if "move refused" in line]
    for reason in ("unknown", "expired", "ended"):
        assert any(reason in line for line in written), "and whoever looks after the server can see it"
    assert not any(secret in line for line in written for secret in (token, code, "2222-2222"))


@pytest.fixture
def a_clock_ahead(desk: Desk) -> Callable[[str, timedelta], None]:
    """Lets the links of a case grow old."""

    def older(case_id: str, by: timedelta) -> None:
        seconds = round(by.total_seconds()) + 1
        desk.workers.postgres.psql(
            f"UPDATE move_links SET expires_at = expires_at - interval '{seconds} s' WHERE case_id = '{case_id}'",
            "madoguchi",
        )

    return older


async def test_a_passphrase_keeps_others_of_the_same_phone_out(desk: Desk) -> None:
    ken = await desk.staff("健")
    mio, opened = await on_line(desk, a_channel(desk))
    case_id = opened["case_id"]
    await ken.post(f"{DESK}/cases/{case_id}/accept")
    await ken.post(f"{DESK}/cases/{case_id}/move", {"passphrase": "ねこの クロ"})
    token, code = await ticket(mio)
    assert (await desk.line.call("POST", DESK + "/move/look", {"code": code}))["passphrase"] is True
    told = await refused(desk.line.call("POST", DESK + "/move", {"token": token}), 403, "JP_MADOGUCHI_PASSPHRASE")
    assert told.body["tries_left"] == 5, "the first question is no try"
    for left in (4, 3):
        body = {"token": token, "passphrase": "いぬ"}
        told = await refused(desk.line.call("POST", DESK + "/move", body), 403, "JP_MADOGUCHI_PASSPHRASE")
        assert told.body["tries_left"] == left
    moved = await desk.line.call("POST", DESK + "/move", {"token": token, "passphrase": "ねこのクロ "})
    assert moved["case_id"] == case_id
    everything = desk.workers.postgres.psql("SELECT * FROM moves", "madoguchi")
    assert "クロ" not in everything and token not in everything


async def test_too_many_wrong_passphrases_close_the_link_until_the_counsellor_offers_again(desk: Desk) -> None:
    ken = await desk.staff("健")
    mio, opened = await on_line(desk, a_channel(desk))
    case_id = opened["case_id"]
    await ken.post(f"{DESK}/cases/{case_id}/accept")
    await ken.post(f"{DESK}/cases/{case_id}/move", {"passphrase": "ねこ"})
    token, _ = await ticket(mio)
    for _ in range(5):
        await refused(desk.line.call("POST", DESK + "/move", {"token": token, "passphrase": "いぬ"}), 403)
    told = await refused(desk.line.call("POST", DESK + "/move", {"token": token, "passphrase": "ねこ"}), 410)
    assert told.body["reason"] == "locked"
    await ken.post(f"{DESK}/cases/{case_id}/move", {})
    await desk.line.call("POST", DESK + "/move", {"token": token})


async def test_somebody_with_an_account_moves_as_themselves(desk: Desk) -> None:
    ken = await desk.staff("健")
    mio, opened = await on_line(desk, a_channel(desk))
    await ken.post(f"{DESK}/cases/{opened['case_id']}/accept")
    token, _ = await ticket(mio)
    aoi, other = await desk.arrives()
    await aoi.post(DESK + "/cases/mine/leave")
    moved = await aoi.post(DESK + "/move", {"token": token})
    place = {"case_id": opened["case_id"], "room_id": opened["room_id"]}
    assert moved == place | {"user_id": aoi.user_id, "before": [mio.user_id]}
    assert other["case_id"] != moved["case_id"]
    assert (await own_case(ken, opened["case_id"]))["channel"] == "matrix"


async def test_the_app_says_only_that_there_is_news_and_not_even_that_if_it_is_not_wanted(desk: Desk) -> None:
    ken = await desk.staff("健")
    mio, opened = await on_line(desk, a_channel(desk))
    case_id, room = opened["case_id"], opened["room_id"]
    await ken.post(f"{DESK}/cases/{case_id}/accept")
    token, _ = await ticket(mio)
    moved = await desk.line.call("POST", DESK + "/move", {"token": token})
    person = Person(desk.line, "Mio", "", moved)
    await keeper_does(desk)
    await ken.joins(room)
    await person.joins(room)
    await ken.sends(
        room, "m.room.encrypted", {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s"}
    )
    assert await errands(mio) == [], "it is only just said: the person may be looking"
    longer_ago = "at = at - 120000"
    desk.workers.postgres.psql(f"UPDATE events SET {longer_ago} WHERE room_id = '{room}'", "madoguchi")
    seen = f"UPDATE devices SET last_seen_at = last_seen_at - 600000 WHERE user_id = '{person.user_id}'"
    desk.workers.postgres.psql(seen, "madoguchi")
    assert await errands(mio) == [{"kind": "news", "case_id": case_id, "user_id": mio.user_id}]
    assert await person.put(DESK + "/cases/mine/news", {"wanted": False}) == {"wanted": False}
    assert await errands(mio) == []
    await person.put(DESK + "/cases/mine/news", {"wanted": True})
    desk.workers.postgres.psql(seen, "madoguchi")
    await tells(mio, case_id, "news")
    assert await errands(mio) == []
    aoi, _ = await desk.arrives()
    await refused(aoi.put(DESK + "/cases/mine/news", {"wanted": False}), 404)
