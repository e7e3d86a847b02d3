"""Moving 引っ越し between the page and a Matrix client: by a code that is said there, by a link that is brought."""

import asyncio
import json
from datetime import timedelta

import pytest

from madoguchi.core.desk import moves
from tests.cast import DESK, V3, Json, Person, Refusal, refused, segment
from tests.desk.conftest import Desk
from tests.desk.test_moves import a_channel, keeper_does, on_line, own_case, ticket
from tests.house import SERVER_NAME

MINE = DESK + "/cases/mine"
INVITE = DESK + "/cases/mine/move/matrix"


def address(code: str) -> str:
    return segment(f"#move-{code}:{SERVER_NAME}")


async def says(person: Person, code: str) -> Refusal:
    """Joins the code's alias, which is never what brings one in."""
    return await refused(person.post(f"{V3}/join/{address(code)}"))


async def talking(desk: Desk) -> tuple[Person, Person, Json]:
    """Somebody on the page with Ken: (the person, Ken, the case)."""
    ken = await desk.staff("健")
    web, opened = await desk.arrives(with_password=True)
    await ken.post(f"{DESK}/cases/{opened['case_id']}/accept")
    await keeper_does(desk)
    await ken.joins(opened["room_id"])
    return web, ken, opened


async def joined(ken: Person, room: str) -> set[str]:
    return {user for user, state in (await ken.members(room)).items() if state == "join"}


async def test_a_case_goes_on_in_a_matrix_client_and_back_on_the_page(desk: Desk) -> None:
    web, ken, opened = await talking(desk)
    case_id, room = opened["case_id"], opened["room_id"]
    keeper = (await desk.keeper()).user_id
    made = await web.post(INVITE)
    code = made["code"]
    assert made["alias"] == f"#move-{code}:{SERVER_NAME}"
    assert made["link"] == f"https://matrix.to/#/%23move-{code}%3A{SERVER_NAME}"
    assert (await own_case(ken, case_id))["move"] is None, "nobody has offered anything"
    mio = (await desk.person("mio")).through(desk.some_line())
    # To look at where it leads tells and spends nothing, whatever the code.
    known = await desk.line.call("GET", f"{V3}/directory/room/{address(code)}")
    assert known["room_id"] == f"!move-{code}:{SERVER_NAME}"
    assert (await desk.line.call("GET", f"{V3}/directory/room/{address('2222-2222')}"))["room_id"] != room
    await refused(mio.get(f"/_matrix/client/v1/room_summary/{address(code)}"), 404)
    told = await says(mio, code)
    assert (told.status, told.errcode) == (403, "M_FORBIDDEN") and "招待" in told.body["error"]
    # Again, by the id that the alias is said to have, typed in another way, and by knocking: no more happens.
    await refused(mio.post(f"{V3}/rooms/{segment(known['room_id'])}/join"), 403, "M_FORBIDDEN")
    assert "招待" in (await says(mio, code.lower().replace("-", ""))).body["error"]
    assert (await mio.post(f"{V3}/knock/{address(code)}"))["room_id"] == room
    mine = await own_case(ken, case_id)
    assert (mine["channel"], mine["came_by"], mine["state"]) == ("matrix", "web", "talking")
    assert mine["user_id"] == mio.user_id
    # Whoever is still on the page stays until the newcomer is there, and is told where it goes on.
    await refused(web.get(MINE), 409, "JP_MADOGUCHI_MOVED")
    await keeper_does(desk)
    assert await joined(ken, room) == {web.user_id, ken.user_id, keeper}
    await mio.joins(room)
    assert (await mio.post(f"{V3}/join/{address(code)}"))["room_id"] == room
    await keeper_does(desk)
    assert await joined(ken, room) == {mio.user_id, ken.user_id, keeper}
    assert (await mio.get(MINE))["counsellor"]["user_id"] == ken.user_id
    assert (await ken.state(room, "jp.madoguchi.case"))["channel"] == "matrix"

    # And back, by a link that Ken's own client brings into the room.
    brought = await ken.post(f"{DESK}/cases/{case_id}/move/bring", {})
    token = brought["url"].rpartition("#move=")[2]
    seen = await desk.line.call("POST", DESK + "/move/look", {"code": brought["code"]})
    assert (seen["channel"], seen["passphrase"]) == ("matrix", False)
    back = await desk.line.call("POST", DESK + "/move", {"token": token, "with_password": True})
    assert (back["case_id"], back["room_id"], back["before"]) == (case_id, room, [web.user_id, mio.user_id])
    page = Person(desk.line, "Mio", back["password"], back)
    await keeper_does(desk)
    await page.joins(room)
    await keeper_does(desk)
    assert await joined(ken, room) == {page.user_id, ken.user_id, keeper}
    assert (await own_case(ken, case_id))["channel"] == "web"
    assert (await page.get(MINE))["state"] == "talking"
    await refused(mio.get(MINE), 409, "JP_MADOGUCHI_MOVED")
    steps = desk.workers.postgres.psql(
        f"SELECT step, by_whom, to_whom FROM case_steps WHERE case_id = '{case_id}' AND step = 'moved' ORDER BY id",
        "madoguchi",
    )
    assert steps.split() == [f"moved|{web.user_id}|{mio.user_id}", f"moved|{mio.user_id}|{page.user_id}"]
    audited = [
        (entry["actor"], json.loads(entry["detail"]))
        for entry in (await (await desk.administrator()).get(DESK + "/audit", limit=500))["entries"]
        if entry["act"] == "case.moved" and entry["subject"] == case_id
    ]
    ways = [(page.user_id, ("matrix", "web")), (mio.user_id, ("web", "matrix"))]
    assert audited == [(who, {"before": before, "after": after}) for who, (before, after) in ways]
    everything = desk.workers.postgres.psql("SELECT * FROM move_links; SELECT * FROM events", "madoguchi")
    assert code not in everything and token not in everything and brought["code"] not in everything


async def test_a_code_is_good_once_and_says_in_the_client_how_to_go_on(desk: Desk) -> None:
    web, ken, opened = await talking(desk)
    code = (await web.post(INVITE))["code"]
    mio, aoi = await desk.person("mio"), await desk.person("aoi")
    answers = await asyncio.gather(says(mio, code), says(aoi, code))
    assert sorted(told.status for told in answers) == [403, 410]
    used = next(told for told in answers if told.status == 410)
    assert (used.errcode, used.body["reason"]) == ("JP_MADOGUCHI_LINK_SPENT", "used")
    assert "新しいコード" in used.body["error"] and "new one" in used.body["error"]
    now = (await own_case(ken, opened["case_id"]))["user_id"]
    assert now in (mio.user_id, aoi.user_id)
    other = aoi if now == mio.user_id else mio
    # A guess tells nothing, and many are not looked at.
    for wrong in ("2222-2222", "222-22222", "moVE2345"):
        assert (await says(other, wrong)).status in (403, 404)

    second, opened = await desk.arrives()
    old = (await second.post(INVITE))["code"]
    age = f"expires_at - interval '{moves.LINK_FOR.total_seconds() + 1} s'"
    desk.workers.postgres.psql(
        f"UPDATE move_links SET expires_at = {age} WHERE case_id = '{opened['case_id']}'", "madoguchi"
    )
    told = await says(other, old)
    assert (told.status, told.body["reason"]) == (410, "expired")
    # One conversation at a time; staff and whom a bridge stands for come by no code.
    fresh = (await second.post(INVITE))["code"]
    busy = mio if other is aoi else aoi
    assert (await says(busy, fresh)).status == 409
    assert (await says(ken, fresh)).status == 403
    bridged, _ = await on_line(desk, a_channel(desk))
    path = f"{V3}/join/{address(fresh)}"
    await refused(bridged.post(path, {}, user_id=bridged.user_id), 403)
    await second.post(MINE + "/leave")
    told = await says(other, fresh)
    assert (told.status, told.body["reason"]) == (410, "ended")
    await refused(second.post(INVITE), 404, "M_NOT_FOUND")
    await refused(ken.post(INVITE), 403, "M_FORBIDDEN")
    alias = {"room_id": await ken.opens_a_room()}
    await refused(ken.put(f"{V3}/directory/room/{address('2345-2345')}", alias), 400, "M_EXCLUSIVE")


async def test_a_closed_matrix_channel_takes_nobody(desk: Desk) -> None:
    web, _ = await desk.arrives()
    code = (await web.post(INVITE))["code"]
    mio = await desk.person("mio")
    desk.workers.postgres.psql("UPDATE channels SET mode = 'notice_only' WHERE id = 'matrix'", "madoguchi")
    try:
        await refused(web.post(INVITE), 409, "M_CONFLICT")
        assert (await says(mio, code)).status == 409
    finally:
        desk.workers.postgres.psql("UPDATE channels SET mode = 'open' WHERE id = 'matrix'", "madoguchi")
    assert (await says(mio, code)).status == 403


async def test_a_passphrase_of_an_app_goes_on_guarding_its_links(desk: Desk) -> None:
    ken = await desk.staff("健")
    line, opened = await on_line(desk, a_channel(desk))
    await ken.post(f"{DESK}/cases/{opened['case_id']}/accept")
    await ken.post(f"{DESK}/cases/{opened['case_id']}/move", {"passphrase": "ねこのクロ"})
    token, code = await ticket(line)
    mio = await desk.person("mio")
    told = await says(mio, code)
    assert told.status == 403 and "合い言葉" in told.body["error"]
    moved = await desk.line.call("POST", DESK + "/move", {"token": token, "passphrase": "ねこのクロ"})
    page = Person(desk.line, "Mio", "", moved)
    later, _ = await ticket(line)
    made = await page.post(INVITE)
    assert (await desk.line.call("POST", DESK + "/move/look", {"code": made["code"]}))["passphrase"] is False
    await refused(desk.line.call("POST", DESK + "/move", {"token": later}), 403, "JP_MADOGUCHI_PASSPHRASE")
    assert (await says(mio, made["code"])).status == 403
    mine = await own_case(ken, opened["case_id"])
    assert (mine["user_id"], mine["channel"], mine["came_by"]) == (mio.user_id, "matrix", "web")


@pytest.mark.parametrize("who", ["page", "stranger"])
async def test_a_link_is_brought_only_to_a_matrix_client_by_whoever_has_the_case(desk: Desk, who: str) -> None:
    ken = await desk.staff("健")
    if who == "page":
        _, opened = await desk.arrives()
        await ken.post(f"{DESK}/cases/{opened['case_id']}/accept")
        await refused(ken.post(f"{DESK}/cases/{opened['case_id']}/move/bring", {}), 409, "M_CONFLICT")
        return
    mio = await desk.person("mio")
    opened = await mio.post(DESK + "/cases", {"channel": "matrix"})
    bring = f"{DESK}/cases/{opened['case_id']}/move/bring"
    await refused(ken.post(bring, {}), 403)
    await ken.post(f"{DESK}/cases/{opened['case_id']}/accept")
    given = await ken.post(bring, {"passphrase": "ねこ"})
    assert (await own_case(ken, opened["case_id"]))["move"] == "notified"
    assert timedelta(milliseconds=given["expires_at"]) > moves.LINK_FOR
    await desk.line.call("POST", DESK + "/move/decline", {"code": given["code"]})
    assert (await own_case(ken, opened["case_id"]))["move"] == "declined"
    await refused(desk.line.call("POST", DESK + "/move", {"code": given["code"]}), 403, "JP_MADOGUCHI_PASSPHRASE")
    await ken.post(f"{DESK}/cases/{opened['case_id']}/close")
    await refused(ken.post(bring, {}), 409, "M_CONFLICT")
