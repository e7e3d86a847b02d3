"""A shift: helpers in a case, giving it back, risk, breaks, the board, and a pause for all."""

import asyncio
import time

from tests.cast import DESK, Json, Person, refused
from tests.desk.conftest import Desk
from tests.desk.test_cases import accepts, invites, queue

ENCRYPTED = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s", "device_id": "d"}
GESTURE = ENCRYPTED | {"jp.madoguchi.quiet": True}


async def own(person: Person) -> dict[str, Json]:
    return {case["case_id"]: case for case in (await queue(person))["mine"]}


async def board_of(lead: Person, case_id: str) -> tuple[Json, Json]:
    """The board, and a case on it."""
    board = await lead.get(DESK + "/board")
    return board, next(case for case in board["cases"] if case["case_id"] == case_id)


async def test_a_helper_comes_in_beside_the_counsellor_and_steps_out_again(desk: Desk) -> None:
    ken, sato, keeper = await desk.staff("健"), await desk.staff("佐藤", capacity=1), await desk.keeper()
    mio, opened = await desk.arrives()
    _, other = await desk.arrives()
    case, room = opened["case_id"], opened["room_id"]
    await accepts(ken, case)
    # Helping takes no place of one's capacity.
    await accepts(sato, other["case_id"])
    path = f"{DESK}/cases/{case}"
    assert (await ken.post(path + "/call_in", {"to": sato.user_id}))["state"] == "talking"
    await ken.post(path + "/call_in", {"to": sato.user_id})
    await invites(keeper)
    for person in (ken, sato):
        await person.joins(room)
    mine = (await own(sato))[case]
    assert mine["helping"] and not (await own(ken))[case]["helping"]
    await sato.sends(room, "m.room.encrypted", ENCRYPTED)
    # The young person's counsellor is still the one who took the case.
    assert (await mio.get(DESK + "/cases/mine"))["counsellor"]["name"] == "健"
    assert {"健", "佐藤"} <= set(await names(mio, room))

    assert (await sato.post(path + "/give_back"))["state"] == "talking"
    await invites(keeper)
    assert (await mio.members(room))[sato.user_id] == "leave"
    assert case not in await own(sato)
    await refused(sato.post(path + "/give_back"), 403)
    steps = desk.workers.postgres.psql(f"SELECT step FROM case_steps WHERE case_id = '{case}' ORDER BY id", "madoguchi")
    assert steps.split() == ["arrived", "accepted", "called_in", "stepped_out"]


async def names(person: Person, room: str) -> list[str]:
    members = await person.get(f"/_matrix/client/v3/rooms/{room}/joined_members")
    return [one["display_name"] for one in members["joined"].values() if one.get("display_name")]


async def test_whoever_gives_a_case_back_puts_it_into_the_queue_at_its_old_place(desk: Desk) -> None:
    ken, sato = await desk.staff("健"), await desk.staff("佐藤")
    mio, opened = await desk.arrives()
    await desk.arrives()
    case = opened["case_id"]
    await accepts(ken, case)
    assert (await ken.post(f"{DESK}/cases/{case}/give_back"))["state"] == "waiting"
    told = await mio.get(DESK + "/cases/mine")
    assert (told["state"], told["place"], told["counsellor"]) == ("waiting", 1, None)
    assert (await queue(sato))["waiting"][0]["case_id"] == case
    await refused(ken.post(f"{DESK}/cases/{case}/give_back"), 403)
    await accepts(sato, case)


async def test_when_the_counsellor_goes_the_helper_goes_on(desk: Desk) -> None:
    ken, sato, lead = await desk.staff("健"), await desk.staff("佐藤"), await desk.staff("主", "supervisor")
    mio, opened = await desk.arrives()
    case = opened["case_id"]
    await accepts(ken, case)
    await refused(sato.post(f"{DESK}/cases/{case}/join"), 403)
    await lead.post(f"{DESK}/cases/{case}/join")
    await refused(sato.post(f"{DESK}/cases/{case}/call_in", {"to": sato.user_id}), 403)
    await ken.post(f"{DESK}/cases/{case}/give_back")
    told = await mio.get(DESK + "/cases/mine")
    assert (told["state"], told["counsellor"]["name"]) == ("talking", "主")
    assert not (await own(lead))[case]["helping"]


async def test_a_case_is_handed_over_to_its_helper(desk: Desk) -> None:
    ken, sato, keeper = await desk.staff("健"), await desk.staff("佐藤"), await desk.keeper()
    mio, opened = await desk.arrives()
    case, room = opened["case_id"], opened["room_id"]
    await accepts(ken, case)
    await ken.post(f"{DESK}/cases/{case}/call_in", {"to": sato.user_id})
    await invites(keeper)
    for person in (ken, sato):
        await person.joins(room)
    await ken.post(f"{DESK}/cases/{case}/hand_over", {"to": sato.user_id, "reason": "勤務時間の終わり"})
    await invites(keeper)
    assert (await mio.members(room))[ken.user_id] == "leave"
    assert not (await own(sato))[case]["helping"]
    assert (await mio.get(DESK + "/cases/mine"))["counsellor"]["name"] == "佐藤"
    await refused(sato.post(f"{DESK}/cases/{case}/hand_over", {"to": sato.user_id, "reason": "r"}), 400)


async def test_nobody_is_called_into_a_case_that_waits_or_has_ended(desk: Desk) -> None:
    ken, lead, auditor = await desk.staff("健"), await desk.staff("主", "supervisor"), await desk.staff("監", "auditor")
    _, opened = await desk.arrives()
    path = f"{DESK}/cases/{opened['case_id']}"
    await refused(lead.post(path + "/join"), 409, "M_CONFLICT")
    await accepts(ken, opened["case_id"])
    await refused(ken.post(path + "/call_in", {"to": auditor.user_id}), 400)
    await refused(ken.post(path + "/call_in", {"to": "@nobody:madoguchi.test"}), 400)
    await ken.post(path + "/close")
    await refused(lead.post(path + "/join"), 409, "M_CONFLICT")
    await refused(ken.put(path + "/risk", {"risk": "high"}), 409, "M_CONFLICT")
    await refused(ken.post(path + "/give_back"), 409, "M_CONFLICT")


async def test_risk_is_set_by_whoever_holds_the_case_and_seen_by_all_staff(desk: Desk) -> None:
    ken, sato, lead = await desk.staff("健"), await desk.staff("佐藤"), await desk.staff("主", "supervisor")
    mio, opened = await desk.arrives()
    case = opened["case_id"]
    assert (await queue(ken))["waiting"][0]["risk"] == "none"
    await accepts(ken, case)
    await refused(sato.put(f"{DESK}/cases/{case}/risk", {"risk": "high"}), 403)
    await refused(ken.put(f"{DESK}/cases/{case}/risk", {"risk": "terrible"}), 400)
    news = asyncio.create_task(queue(sato, after=(await queue(sato))["pos"], timeout=20_000))
    await ken.put(f"{DESK}/cases/{case}/risk", {"risk": "urgent"})
    await asyncio.wait_for(news, 10)
    assert (await own(ken))[case]["risk"] == "urgent"
    await lead.put(f"{DESK}/cases/{case}/risk", {"risk": "high"})
    await ken.post(f"{DESK}/cases/{case}/give_back")
    assert (await queue(sato))["waiting"][0]["risk"] == "high"
    # The young person is not told, by no way.
    assert "risk" not in await mio.get(DESK + "/cases/mine")
    assert "high" not in str(await mio.state(opened["room_id"], "jp.madoguchi.case"))


async def test_on_a_break_nobody_gets_new_cases_and_keeps_their_own(desk: Desk) -> None:
    ken, sato = await desk.staff("健"), await desk.staff("佐藤")
    _, opened = await desk.arrives()
    _, other = await desk.arrives()
    await accepts(ken, opened["case_id"])
    before = (await queue(ken))["staff_present"]
    assert (await ken.put(DESK + "/me/away", {"away": True}))["away"] is True
    await ken.put(DESK + "/me/away", {"away": True})
    told = await queue(ken)
    assert told["staff_present"] == before - 1
    assert [one["case_id"] for one in told["mine"]] == [opened["case_id"]]
    no = await refused(accepts(ken, other["case_id"]), 409, "M_CONFLICT")
    assert "break" in no.body["error"]
    [seen] = [one for one in (await sato.get(DESK + "/colleagues"))["colleagues"] if one["user_id"] == ken.user_id]
    assert seen["present"] is False
    await accepts(sato, other["case_id"])
    handing = {"to": ken.user_id, "reason": "r"}
    await refused(sato.post(f"{DESK}/cases/{other['case_id']}/hand_over", handing), 409)
    assert (await ken.put(DESK + "/me/away", {"away": False}))["away"] is False
    assert (await ken.get(DESK + "/me"))["away"] is False
    await sato.post(f"{DESK}/cases/{other['case_id']}/hand_over", handing)


async def test_the_board_tells_who_waits_who_is_unanswered_and_how_today_went(desk: Desk) -> None:
    desk.workers.postgres.psql("DELETE FROM case_steps", "madoguchi")
    ken, lead, keeper = await desk.staff("健", capacity=3), await desk.staff("主", "supervisor"), await desk.keeper()
    mio, opened = await desk.arrives()
    _, waiting = await desk.arrives()
    gone, _ = await desk.arrives()
    await gone.post(DESK + "/cases/mine/leave")
    case, room = opened["case_id"], opened["room_id"]
    await mio.sends(room, "m.room.encrypted", ENCRYPTED)
    await accepts(ken, case)
    await invites(keeper)
    await ken.joins(room)
    board, seen = await board_of(lead, case)
    first = seen["unanswered_since"]
    assert first is not None and abs(time.time() * 1000 - first) < 60_000
    assert seen["staff"] == [{"user_id": ken.user_id, "name": "健", "part": "counsellor"}]
    # What came first counts, until it is answered.
    await mio.sends(room, "m.room.encrypted", ENCRYPTED)
    assert (await board_of(lead, case))[1]["unanswered_since"] == first
    await ken.sends(room, "m.room.encrypted", ENCRYPTED)
    assert (await board_of(lead, case))[1]["unanswered_since"] is None
    # A reaction asks for no answer and is none, and what has been taken back waits no longer.
    await mio.sends(room, "m.room.encrypted", GESTURE)
    assert (await board_of(lead, case))[1]["unanswered_since"] is None
    slip = await mio.sends(room, "m.room.encrypted", ENCRYPTED)
    await ken.sends(room, "m.room.encrypted", GESTURE)
    assert (await board_of(lead, case))[1]["unanswered_since"] is not None
    await mio.redacts(room, slip)
    assert (await board_of(lead, case))[1]["unanswered_since"] is None
    await ken.put(f"{DESK}/cases/{case}/risk", {"risk": "watch"})
    await queue(ken)
    board, seen = await board_of(lead, case)
    # The dangerous one first, though the other has waited as long.
    assert [one["case_id"] for one in board["cases"]] == [case, waiting["case_id"]]
    assert board["cases"][1]["state"] == "waiting" and board["cases"][1]["accepted_at"] is None
    [load] = [(one["load"], one["capacity"], one["present"]) for one in board["staff"] if one["user_id"] == ken.user_id]
    assert load == (1, 3, True)
    assert (board["staff_present"], board["fewest_present"], board["intake"]) == (1, 2, "open")
    today = {name: sum(hour[name] for hour in board["hours"]) for name in ("arrived", "accepted", "left", "closed")}
    # Nothing is lost when midnight lies in between: then the hours of before are those of yesterday.
    if len(board["hours"]) > 1:
        assert today == {"arrived": 3, "accepted": 1, "left": 1, "closed": 1}
    assert len(board["hours"]) <= 24


async def test_who_had_hard_cases_is_seen_and_whoever_asks_is_talked_with(desk: Desk) -> None:
    ken, sato, lead = await desk.staff("健"), await desk.staff("佐藤"), await desk.staff("主", "supervisor")
    _, opened = await desk.arrives()
    _, easy = await desk.arrives()
    case = opened["case_id"]
    await accepts(ken, case)
    await accepts(ken, easy["case_id"])
    await ken.put(f"{DESK}/cases/{case}/risk", {"risk": "high"})
    await ken.put(f"{DESK}/cases/{case}/risk", {"risk": "watch"})
    await ken.post(f"{DESK}/cases/{case}/close")

    async def standing(person: Person) -> tuple[int, bool]:
        staff = (await lead.get(DESK + "/board"))["staff"]
        [seen] = [one for one in staff if one["user_id"] == person.user_id]
        return seen["dangerous"], seen["debrief_asked_at"] is not None

    assert (await standing(ken), await standing(sato)) == ((1, False), (0, False))
    talked = f"{DESK}/staff/{ken.user_id}/debriefed"
    await refused(lead.post(talked), 404, "M_NOT_FOUND")
    assert (await ken.put(DESK + "/me/debrief", {"wanted": True}))["debrief"] is True
    assert await standing(ken) == (1, True)
    await refused(sato.post(talked), 403, "M_FORBIDDEN")
    await lead.post(talked)
    assert await standing(ken) == (1, False) and not (await ken.get(DESK + "/me"))["debrief"]
    await lead.put(DESK + "/me/debrief", {"wanted": True})
    await refused(lead.post(f"{DESK}/staff/{lead.user_id}/debriefed"), 403, "M_FORBIDDEN")
    await lead.put(DESK + "/me/debrief", {"wanted": False})
    desk.workers.postgres.psql("UPDATE case_staff SET since = since - interval '8 days'", "madoguchi")
    assert await standing(ken) == (0, False)


async def test_a_pause_sends_newcomers_to_the_guidance_and_nobody_away(desk: Desk) -> None:
    ken, lead = await desk.staff("健"), await desk.staff("主", "supervisor")
    _, opened = await desk.arrives()
    mio = await desk.person("mio")
    await refused(lead.put(DESK + "/intake", {"intake": "shut"}), 400)
    await lead.put(DESK + "/intake", {"intake": "paused"})
    try:
        told = await desk.line.call("GET", DESK + "/desk")
        assert (told["open"], told["reason"]) == (False, "paused")
        no = await refused(mio.post(DESK + "/cases", {"channel": "web"}), 403, "JP_MADOGUCHI_CLOSED")
        assert no.body["reason"] == "paused" and no.body["guidance"]
        assert (await lead.get(DESK + "/board"))["intake"] == "paused"
        await accepts(ken, opened["case_id"])
    finally:
        await lead.put(DESK + "/intake", {"intake": "open"})
    assert (await desk.line.call("GET", DESK + "/desk"))["open"] is True
