"""Cases from arrival to close, over real HTTP, through two server processes."""

import asyncio
import secrets
from datetime import UTC, datetime

import asyncpg

from madoguchi.storage import cases
from tests.cast import DESK, Json, Person, refused, segment
from tests.desk.conftest import KEEPER, Desk


async def queue(counsellor: Person, **query: object) -> Json:
    return await counsellor.get(DESK + "/queue", **query)


async def accepts(counsellor: Person, case_id: str) -> Json:
    return await counsellor.post(f"{DESK}/cases/{case_id}/accept")


async def invites(keeper: Person) -> None:
    """Does what the keeper process does in the rooms, without the keys."""
    wanted = await keeper.get(DESK + "/keeper/invitations")
    for seat in wanted["invitations"]:
        await keeper.post(f"/_matrix/client/v3/rooms/{segment(seat['room_id'])}/invite", {"user_id": seat["user_id"]})
    for seat in wanted["removals"]:
        await keeper.post(f"/_matrix/client/v3/rooms/{segment(seat['room_id'])}/kick", {"user_id": seat["user_id"]})


async def test_a_young_person_arrives_without_a_name_and_waits(desk: Desk) -> None:
    mio, opened = await desk.arrives(language="ja", with_password=True)
    assert opened["password"]
    assert opened["user_id"] == (await mio.get("/_matrix/client/v3/account/whoami"))["user_id"]
    mine = await mio.get(DESK + "/cases/mine")
    assert (mine["state"], mine["place"], mine["ahead"], mine["counsellor"]) == ("waiting", 1, 0, None)
    assert mine["estimate_minutes"] is None
    room = opened["room_id"]
    assert await mio.members(room) == {mio.user_id: "join", KEEPER: "join"}
    assert (await mio.state(room, "m.room.encryption"))["algorithm"] == "m.megolm.v1.aes-sha2"
    assert (await mio.state(room, "m.room.history_visibility"))["history_visibility"] == "shared"
    assert (await mio.state(room, "m.room.join_rules"))["join_rule"] == "invite"
    assert (await mio.state(room, "m.room.name"))["name"] == "相談"
    powers = await mio.state(room, "m.room.power_levels")
    assert (powers["users"], powers["users_default"]) == ({KEEPER: 100}, 0)
    assert await mio.state(room, "jp.madoguchi.case") == {
        "case_id": opened["case_id"],
        "state": "waiting",
        "channel": "web",
    }


async def test_arriving_again_gives_the_same_case(desk: Desk) -> None:
    mio, opened = await desk.arrives()
    again = await asyncio.gather(*(mio.post(DESK + "/cases", {"channel": "web"}) for _ in range(4)))
    assert {(answer["case_id"], answer["room_id"]) for answer in again} == {(opened["case_id"], opened["room_id"])}
    assert "access_token" not in again[0]


async def test_an_arrival_whose_answer_was_lost_is_repeated_and_opens_no_second_case(desk: Desk) -> None:
    key = secrets.token_urlsafe(24)
    people = await asyncio.gather(*(desk.arrives(arrival_key=key, with_password=True) for _ in range(4)))
    assert len({opened["case_id"] for _, opened in people}) == 1
    # Whichever of the answers came through: it is good.
    assert len({opened["device_id"] for _, opened in people}) == 4
    for person, opened in people:
        assert (await person.get(DESK + "/cases/mine"))["case_id"] == opened["case_id"]
    other, _ = await desk.arrives(arrival_key=secrets.token_urlsafe(24))
    assert other.user_id != people[0][0].user_id
    await refused(desk.arrives(arrival_key="guessable"), 400)
    assert key not in desk.workers.postgres.psql("SELECT * FROM arrivals", "madoguchi")


async def test_many_first_arrivals_of_one_person_at_once_make_one_case(desk: Desk) -> None:
    mio = await desk.person("mio")
    other = mio.through(desk.line_to(desk.workers.base_urls[1]))
    answers = await asyncio.gather(*(p.post(DESK + "/cases", {"channel": "matrix"}) for p in [mio, other] * 4))
    assert len({answer["case_id"] for answer in answers}) == 1


async def test_of_two_counsellors_who_accept_together_exactly_one_gets_the_case(desk: Desk) -> None:
    people = [await desk.staff(name) for name in ("健", "佐藤", "鈴木", "高橋")]
    for _ in range(4):
        _, opened = await desk.arrives()
        answers = await asyncio.gather(*(accepts(p, opened["case_id"]) for p in people), return_exceptions=True)
        [(winner, won)] = [(p, a) for p, a in zip(people, answers, strict=True) if isinstance(a, dict)]
        assert won == {"case_id": opened["case_id"], "room_id": opened["room_id"]}
        for person in people:
            if person is not winner:
                told = await refused(accepts(person, opened["case_id"]), 409, "JP_MADOGUCHI_ALREADY_TAKEN")
                assert told.body["by"] == {"user_id": winner.user_id, "name": winner.name}
        # The winner's request again, after an answer that was lost, changes nothing.
        assert await accepts(winner, opened["case_id"]) == won


async def test_who_holds_a_case_keeps_nobody_from_writing_of_it(desk: Desk) -> None:
    """Otherwise, under load, accepting and the staff room's bot wait for each other until one of them fails."""
    _, case = await desk.arrives()
    url = desk.workers.postgres.url("madoguchi")
    holding, writing = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        async with holding.transaction(), writing.transaction():
            assert await cases.lock_case(holding, case["case_id"]) is not None
            await writing.execute("SET LOCAL lock_timeout = '5s'")
            await cases.insert_step(writing, case["case_id"], datetime.now(UTC), "risk", "somebody")
    finally:
        await asyncio.gather(holding.close(), writing.close())


async def test_capacity_holds_even_when_several_are_accepted_together(desk: Desk) -> None:
    ken = await desk.staff("健", capacity=2)
    cases = [(await desk.arrives())[1]["case_id"] for _ in range(5)]
    answers = await asyncio.gather(*(accepts(ken, case) for case in cases), return_exceptions=True)
    assert sum(isinstance(answer, dict) for answer in answers) == 2
    [first, *_] = [case for case, answer in zip(cases, answers, strict=True) if isinstance(answer, dict)]
    waiting = (await queue(ken))["waiting"]
    assert [ticket["place"] for ticket in waiting] == [1, 2, 3]
    await refused(accepts(ken, waiting[0]["case_id"]), 409, "JP_MADOGUCHI_FULL")
    await ken.post(f"{DESK}/cases/{first}/close")
    await accepts(ken, waiting[0]["case_id"])


async def test_the_queue_keeps_its_order_and_tells_who_is_next(desk: Desk) -> None:
    ken = await desk.staff("健")
    people = [await desk.arrives() for _ in range(3)]
    told = await queue(ken)
    assert [t["case_id"] for t in told["waiting"]] == [opened["case_id"] for _, opened in people]
    assert [(t["place"], t["channel"], t["mode"], t["locked"]) for t in told["waiting"]] == [
        (1, "web", "open", True),
        (2, "web", "open", True),
        (3, "web", "open", True),
    ]
    assert told["staff_present"] == 1
    await accepts(ken, people[0][1]["case_id"])
    mine = await people[2][0].get(DESK + "/cases/mine")
    assert (mine["place"], mine["ahead"], mine["staff_present"]) == (2, 1, 1)
    own = (await queue(ken))["mine"]
    assert [(case["case_id"], case["state"], case["ghost"]) for case in own] == [
        (people[0][1]["case_id"], "talking", False)
    ]


async def test_whoever_waits_is_told_at_once_when_a_counsellor_comes(desk: Desk) -> None:
    ken = await desk.staff("健")
    mio, opened = await desk.arrives()
    before = await mio.get(DESK + "/cases/mine")
    waiting = asyncio.create_task(mio.get(DESK + "/cases/mine", after=before["pos"], timeout=20_000))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await accepts(ken, opened["case_id"])
    told = await asyncio.wait_for(waiting, 3)
    assert told["state"] == "talking"
    assert told["counsellor"] == {"user_id": ken.user_id, "name": "健"}
    assert told["place"] is None and told["pos"] > before["pos"]


async def test_the_console_is_told_at_once_when_somebody_arrives(desk: Desk) -> None:
    ken = await desk.staff("健")
    before = await queue(ken)
    waiting = asyncio.create_task(queue(ken, after=before["pos"], timeout=20_000))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    _, opened = await desk.arrives()
    told = await asyncio.wait_for(waiting, 3)
    assert [ticket["case_id"] for ticket in told["waiting"]] == [opened["case_id"]]
    # Nothing was missed between the answer and the next question.
    _, second = await desk.arrives()
    told = await asyncio.wait_for(queue(ken, after=told["pos"], timeout=20_000), 3)
    assert [ticket["case_id"] for ticket in told["waiting"]] == [opened["case_id"], second["case_id"]]


async def test_a_long_poll_ends_after_its_time(desk: Desk) -> None:
    ken = await desk.staff("健")
    before = await queue(ken)
    told = await asyncio.wait_for(queue(ken, after=before["pos"], timeout=200), 5)
    assert told["waiting"] == before["waiting"]


async def test_a_counsellor_comes_in_by_the_keepers_invitation(desk: Desk) -> None:
    ken, keeper = await desk.staff("健"), await desk.keeper()
    mio, opened = await desk.arrives()
    before = await keeper.get(DESK + "/keeper/invitations")
    asking = asyncio.create_task(keeper.get(DESK + "/keeper/invitations", after=before["pos"], timeout=20_000))
    await asyncio.sleep(0.2)
    await accepts(ken, opened["case_id"])
    told = await asyncio.wait_for(asking, 5)
    seat = {"case_id": opened["case_id"], "room_id": opened["room_id"], "user_id": ken.user_id}
    assert seat in told["invitations"]
    # Asked again, for instance after a crash, it says the same.
    assert seat in (await keeper.get(DESK + "/keeper/invitations"))["invitations"]
    await invites(keeper)
    assert seat not in (await keeper.get(DESK + "/keeper/invitations"))["invitations"]
    await ken.joins(opened["room_id"])
    powers = await mio.state(opened["room_id"], "m.room.power_levels")
    assert powers["users"] == {KEEPER: 100, ken.user_id: 50}
    assert (await ken.state(opened["room_id"], "jp.madoguchi.case"))["state"] == "talking"


async def test_nobody_but_the_keeper_brings_anybody_into_a_case_room(desk: Desk) -> None:
    ken, keeper, aoi = await desk.staff("健"), await desk.keeper(), await desk.person("aoi")
    mio, opened = await desk.arrives()
    await accepts(ken, opened["case_id"])
    await invites(keeper)
    await ken.joins(opened["room_id"])
    await refused(ken.invites(opened["room_id"], aoi), 403, "M_FORBIDDEN")
    await refused(mio.invites(opened["room_id"], aoi), 403, "M_FORBIDDEN")
    await refused(aoi.joins(opened["room_id"]), 403, "M_FORBIDDEN")
    await refused(ken.kicks(opened["room_id"], mio), 403, "M_FORBIDDEN")


async def test_a_case_is_handed_over_and_the_old_counsellor_leaves_once_the_new_one_is_there(desk: Desk) -> None:
    ken, sato, keeper = await desk.staff("健"), await desk.staff("佐藤"), await desk.keeper()
    mio, opened = await desk.arrives()
    case, room = opened["case_id"], opened["room_id"]
    await accepts(ken, case)
    await invites(keeper)
    await ken.joins(room)
    await ken.post(f"{DESK}/cases/{case}/hand_over", {"to": sato.user_id, "reason": "end of shift"})
    await invites(keeper)
    assert (await mio.members(room))[ken.user_id] == "join"
    assert [own["handing_over"] for own in (await queue(ken))["mine"]] == [True]
    await sato.joins(room)
    await invites(keeper)
    assert await mio.members(room) == {
        mio.user_id: "join",
        KEEPER: "join",
        sato.user_id: "join",
        ken.user_id: "leave",
    }
    assert (await queue(ken))["mine"] == []
    assert (await mio.get(DESK + "/cases/mine"))["counsellor"]["name"] == "佐藤"
    await refused(ken.post(f"{DESK}/cases/{case}/close"), 403, "M_FORBIDDEN")
    # And back again: whoever had the case before may have it once more.
    await sato.post(f"{DESK}/cases/{case}/hand_over", {"to": ken.user_id, "reason": "morning shift"})
    await invites(keeper)
    await ken.joins(room)
    await invites(keeper)
    members = await mio.members(room)
    assert (members[ken.user_id], members[sato.user_id]) == ("join", "leave")


async def test_a_handover_needs_somebody_who_can_take_it(desk: Desk) -> None:
    ken, full, auditor = await desk.staff("健"), await desk.staff("満", capacity=0), await desk.staff("監", "auditor")
    aoi, sato = await desk.person("aoi"), await desk.staff("佐藤")
    _, opened = await desk.arrives()
    path = f"{DESK}/cases/{opened['case_id']}/hand_over"
    await refused(ken.post(path, {"to": sato.user_id, "reason": "r"}), 403, "M_FORBIDDEN")  # not accepted yet
    await accepts(ken, opened["case_id"])
    for to in (full.user_id, auditor.user_id, aoi.user_id, ken.user_id, "@nobody:madoguchi.test"):
        await refused(ken.post(path, {"to": to, "reason": "r"}), 400, "M_INVALID_PARAM")
    await refused(ken.post(path, {"to": sato.user_id, "reason": " "}), 400, "M_INVALID_PARAM")
    await refused(ken.post(path, {"to": sato.user_id}), 400)
    await refused(sato.post(path, {"to": sato.user_id, "reason": "mine"}), 403, "M_FORBIDDEN")
    busy = await desk.staff("忙", capacity=1)
    _, other = await desk.arrives()
    await accepts(busy, other["case_id"])
    await refused(ken.post(path, {"to": busy.user_id, "reason": "r"}), 409, "JP_MADOGUCHI_FULL")


async def test_a_supervisor_hands_over_for_a_colleague_who_has_gone(desk: Desk) -> None:
    ken, sato, lead = await desk.staff("健"), await desk.staff("佐藤"), await desk.staff("主任", "supervisor")
    mio, opened = await desk.arrives()
    await accepts(ken, opened["case_id"])
    path = f"{DESK}/cases/{opened['case_id']}/hand_over"
    await lead.post(path, {"to": sato.user_id, "reason": "Ken's machine is broken"})
    assert (await mio.get(DESK + "/cases/mine"))["counsellor"]["user_id"] == sato.user_id


async def test_a_closed_case_can_be_read_and_not_written_in(desk: Desk) -> None:
    ken, keeper = await desk.staff("健"), await desk.keeper()
    mio, opened = await desk.arrives()
    case, room = opened["case_id"], opened["room_id"]
    await accepts(ken, case)
    await invites(keeper)
    await ken.joins(room)
    content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s", "device_id": "d"}
    await mio.sends(room, "m.room.encrypted", content)
    closed = await ken.post(f"{DESK}/cases/{case}/close")
    assert closed["state"] == "closed"
    await ken.post(f"{DESK}/cases/{case}/close")
    for person in (mio, ken):
        await refused(person.sends(room, "m.room.encrypted", content), 403, "M_FORBIDDEN")
        assert (await person.state(room, "jp.madoguchi.case"))["state"] == "closed"
    assert (await mio.get(DESK + "/cases/mine"))["state"] == "closed"
    await refused(accepts(ken, case), 409)
    again = await mio.post(DESK + "/cases", {"channel": "web"})
    assert again["case_id"] != case
    assert [(t["case_id"], t["repeat"]) for t in (await queue(ken))["waiting"]] == [(again["case_id"], True)]


async def test_the_young_person_leaves_while_waiting(desk: Desk) -> None:
    ken = await desk.staff("健")
    mio, opened = await desk.arrives()
    assert (await mio.post(DESK + "/cases/mine/leave"))["state"] == "closed"
    await mio.post(DESK + "/cases/mine/leave")
    assert (await queue(ken))["waiting"] == []
    await refused(accepts(ken, opened["case_id"]), 409, "M_CONFLICT")


async def test_leaving_and_accepting_together_leave_no_half_state(desk: Desk) -> None:
    ken = await desk.staff("健", capacity=100)
    for _ in range(6):
        mio, opened = await desk.arrives()
        await asyncio.gather(
            mio.post(DESK + "/cases/mine/leave"), accepts(ken, opened["case_id"]), return_exceptions=True
        )
        assert (await mio.get(DESK + "/cases/mine"))["state"] == "closed"
    told = await queue(ken)
    assert told["waiting"] == [] and told["mine"] == []


async def test_disabling_a_counsellor_ends_everything_at_once_and_their_cases_wait_again(desk: Desk) -> None:
    admin, ken, sato, keeper = await desk.administrator(), await desk.staff("健"), await desk.staff("佐藤"), None
    keeper = await desk.keeper()
    mio, opened = await desk.arrives()
    later, _ = await desk.arrives()
    await accepts(ken, opened["case_id"])
    await invites(keeper)
    await ken.joins(opened["room_id"])
    waiting = asyncio.create_task(queue(ken, after=(await queue(ken))["pos"], timeout=20_000))
    await asyncio.sleep(0.2)
    await admin.post(f"{DESK}/staff/{segment(ken.user_id)}/disable")
    await refused(asyncio.wait_for(waiting, 5), 403, "M_FORBIDDEN")
    await refused(ken.get(DESK + "/queue"), 401, "M_UNKNOWN_TOKEN")
    await refused(ken.through(desk.some_line()).get(DESK + "/me"), 401, "M_UNKNOWN_TOKEN")
    mine = await mio.get(DESK + "/cases/mine")
    assert (mine["state"], mine["place"], mine["counsellor"]) == ("waiting", 1, None)
    assert (await later.get(DESK + "/cases/mine"))["place"] == 2
    await invites(keeper)
    assert (await mio.members(opened["room_id"]))[ken.user_id] == "leave"
    await accepts(sato, opened["case_id"])
    await refused(desk.enters(ken.user_id, "whatever"), 403)
    await admin.post(f"{DESK}/staff/{segment(ken.user_id)}/disable")


async def test_staff_do_not_come_to_their_own_desk(desk: Desk) -> None:
    ken, keeper = await desk.staff("健"), await desk.keeper()
    await refused(ken.post(DESK + "/cases", {"channel": "web"}), 403, "M_FORBIDDEN")
    await refused(keeper.post(DESK + "/cases", {"channel": "web"}), 403, "M_FORBIDDEN")


async def test_only_bridges_bring_people_from_an_app(desk: Desk) -> None:
    mio = await desk.person("mio")
    await refused(mio.post(DESK + "/cases", {"channel": "line"}), 403, "M_FORBIDDEN")
    await refused(desk.line.call("POST", DESK + "/cases", {"channel": "line"}), 403, "M_FORBIDDEN")
    await refused(desk.line.call("POST", DESK + "/cases", {"channel": "matrix"}), 401, "M_MISSING_TOKEN")
    await refused(mio.post(DESK + "/cases", {"channel": "web", "channel_id": "elsewhere"}), 400, "M_INVALID_PARAM")


async def test_the_estimate_comes_from_what_others_have_just_waited(desk: Desk) -> None:
    ken = await desk.staff("健", capacity=100)
    await queue(ken)
    cases = [(await desk.arrives())[1]["case_id"] for _ in range(6)]
    for number, case in enumerate(cases):
        # As if the person at place n had waited 3 n minutes.
        sql = f"UPDATE cases SET arrived_at = now() - interval '{3 * (number + 1)} minutes' WHERE id = '{case}'"
        desk.workers.postgres.psql(sql, "madoguchi")
        await accepts(ken, case)
    told = await desk.line.call("GET", DESK + "/desk")
    assert told["waiting"] == 0 and told["staff_present"] == 1
    assert 2 <= told["estimate_minutes"]["low"] < told["estimate_minutes"]["high"] <= 4


async def test_joining_the_desks_alias_from_any_matrix_client_opens_a_case(desk: Desk) -> None:
    ken, mio = await desk.staff("健"), await desk.person("mio")
    alias = segment("#desk:madoguchi.test")
    known = await mio.get(f"/_matrix/client/v3/directory/room/{alias}")
    joined = await mio.post(f"/_matrix/client/v3/join/{alias}")
    mine = await mio.get(DESK + "/cases/mine")
    assert (mine["room_id"], mine["state"]) == (joined["room_id"], "waiting")
    assert await mio.members(joined["room_id"]) == {mio.user_id: "join", KEEPER: "join"}
    # Again, and by the id that the alias is said to have: the same case.
    for path in (f"join/{alias}", f"join/{segment(known['room_id'])}", f"rooms/{segment(known['room_id'])}/join"):
        assert await mio.post(f"/_matrix/client/v3/{path}") == joined
    [ticket] = (await queue(ken))["waiting"]
    assert (ticket["channel"], ticket["locked"]) == ("matrix", True)
    await refused(ken.post(f"/_matrix/client/v3/join/{alias}"), 403, "M_FORBIDDEN")
    own = await ken.opens_a_room()
    await refused(ken.put(f"/_matrix/client/v3/directory/room/{alias}", {"room_id": own}), 400, "M_EXCLUSIVE")


async def test_leaving_the_room_is_leaving_the_case(desk: Desk) -> None:
    ken, keeper = await desk.staff("健"), await desk.keeper()
    mio, opened = await desk.arrives()
    room = opened["room_id"]
    await accepts(ken, opened["case_id"])
    await invites(keeper)
    await ken.joins(room)
    await ken.leaves(room)
    assert (await mio.get(DESK + "/cases/mine"))["state"] == "waiting"
    await accepts(ken, opened["case_id"])
    await invites(keeper)
    await ken.leaves(room)  # turns the invitation down
    assert (await mio.get(DESK + "/cases/mine"))["state"] == "waiting"
    await mio.leaves(room)
    assert (await mio.get(DESK + "/cases/mine"))["state"] == "closed"
    assert (await queue(ken))["waiting"] == []


async def test_a_case_room_takes_no_words_in_clear(desk: Desk) -> None:
    mio, opened = await desk.arrives()
    told = await refused(mio.says(opened["room_id"], "眠れない"), 403, "M_FORBIDDEN")
    assert "encrypt" in told.body["error"]
    assert "眠れない" not in desk.workers.postgres.psql("SELECT body FROM events", "madoguchi")
