"""The side room of a case: the staff among themselves, never the young person; it goes when the case is purged."""

import json
from datetime import timedelta

from madoguchi.core.desk import side_room
from tests.cast import DESK, V1, V3, Json, Person, Refusal, refused, segment
from tests.desk.conftest import KEEPER, Desk
from tests.desk.test_audit import newest
from tests.desk.test_cases import accepts, invites, queue
from tests.desk.test_channels import ghost
from tests.desk.test_jobs import SetClock, a_context
from tests.matrix import window
from tests.matrix.window import UNSTABLE

NO_ROOM = "!nosuchroom:madoguchi.test"
ENCRYPTED = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s", "device_id": "d"}


async def enters(person: Person, case_id: str) -> str:
    return str((await person.post(f"{DESK}/cases/{case_id}/side_room"))["room_id"])


async def comes_in(desk: Desk, person: Person, case_id: str) -> str:
    """Asks for the side room, is invited by the keeper, joins."""
    room = await enters(person, case_id)
    await invites(await desk.keeper())
    await person.joins(room)
    return room


async def a_case(desk: Desk, ken: Person) -> tuple[Person, Json]:
    mio, opened = await desk.arrives()
    await accepts(ken, opened["case_id"])
    await invites(await desk.keeper())
    return mio, opened


async def test_the_staff_of_a_case_are_among_themselves(desk: Desk) -> None:
    ken, lead, aoi = await desk.staff("健"), await desk.staff("主任", "supervisor"), await desk.staff("葵")
    mio, opened = await a_case(desk, ken)
    case = opened["case_id"]
    room = await comes_in(desk, ken, case)
    assert await enters(ken, case) == room != opened["room_id"]
    assert await ken.members(room) == {KEEPER: "join", ken.user_id: "join"}
    assert (await ken.state(room, "jp.madoguchi.side_room")) == {"case_id": case}
    # Sealed from its creation, and ruled by nobody but the keeper.
    assert (await ken.state(room, "m.room.encryption"))["algorithm"] == "m.megolm.v1.aes-sha2"
    await ken.sends(room, "m.room.encrypted", ENCRYPTED)
    await refused(ken.says(room, "x"), 403)
    await refused(ken.invites(room, mio), 403)
    await refused(ken.sets(room, "m.room.topic", {"topic": "x"}), 403)
    # Neither the young person nor a colleague without the case comes in; whoever leads the shift does.
    await refused(enters(mio, case), 403)
    await refused(enters(aoi, case), 403)
    for stranger in (mio, aoi):
        await refused(stranger.joins(room), 403)
        await refused(stranger.reads(room), 403)
    assert await comes_in(desk, lead, case) == room
    assert room not in (await mio.sync())["rooms"]["join"]
    await refused(enters(ken, "nosuchcase"), 404)


async def test_whoever_looks_in_without_having_the_case_stands_in_the_log_each_time(desk: Desk) -> None:
    ken, lead, admin = await desk.staff("健"), await desk.staff("主任", "supervisor"), await desk.administrator()
    _, opened = await a_case(desk, ken)
    case = opened["case_id"]
    room = await comes_in(desk, ken, case)
    await comes_in(desk, lead, case)
    await enters(lead, case)
    await lead.leaves(room)
    await comes_in(desk, lead, case)
    told = [entry for entry in await newest(admin) if entry["subject"] == case]
    assert [(entry["act"], entry["actor"]) for entry in told] == [("side_room.entered", lead.user_id)] * 2


async def test_who_no_longer_has_the_case_is_taken_out(desk: Desk) -> None:
    ken, sato, keeper = await desk.staff("健"), await desk.staff("佐藤"), await desk.keeper()
    mio, opened = await a_case(desk, ken)
    case = opened["case_id"]
    room = await comes_in(desk, ken, case)
    await ken.joins(opened["room_id"])
    await ken.post(f"{DESK}/cases/{case}/hand_over", {"to": sato.user_id, "reason": "shift"})
    # The next one finds it as it was, without asking; until they are in the case they can be told the rest.
    await invites(keeper)
    await sato.joins(room)
    assert (await queue(sato))["mine"][0]["side_room_id"] == room
    assert (await keeper.members(room))[ken.user_id] == "join"
    await sato.joins(opened["room_id"])
    for _ in range(2):
        await invites(keeper)
    assert (await keeper.members(room))[ken.user_id] == "leave"
    await refused(enters(ken, case), 403)
    # They leave and come back, while the case runs and after.
    await sato.leaves(room)
    await invites(keeper)
    assert (await keeper.members(room))[sato.user_id] == "leave"
    assert await comes_in(desk, sato, case) == room
    await sato.leaves(room)
    await mio.post(DESK + "/cases/mine/leave")
    assert await comes_in(desk, sato, case) == room
    await (await desk.administrator()).post(f"{DESK}/staff/{sato.user_id}/disable")
    await invites(keeper)
    assert (await keeper.members(room))[sato.user_id] == "leave"
    assert (await keeper.get(DESK + "/keeper/invitations"))["removals"] == []


async def test_who_forgot_to_leave_is_taken_out_in_the_end(desk: Desk) -> None:
    ken, keeper = await desk.staff("健"), await desk.keeper()
    _, opened = await a_case(desk, ken)
    _, other = await a_case(desk, ken)
    case = opened["case_id"]
    room, running = await comes_in(desk, ken, case), await comes_in(desk, ken, other["case_id"])
    await ken.post(f"{DESK}/cases/{case}/close")
    async with a_context(desk) as ctx:
        assert isinstance(ctx.clock, SetClock)
        async with ctx.db.transaction() as tx:
            assert await side_room.tidy(ctx, tx) == 0
        ctx.clock.at += side_room.SEAT_LASTS + timedelta(minutes=1)
        async with ctx.db.transaction() as tx:
            await side_room.tidy(ctx, tx)
        await invites(keeper)
        assert (await keeper.members(room))[ken.user_id] == "leave"
        assert (await keeper.members(running))[ken.user_id] == "join"
        async with ctx.db.transaction() as tx:
            await side_room.tidy(ctx, tx)
            left = await tx.fetchval("SELECT count(*) FROM side_seats WHERE case_id = $1", case)
    assert left == 0
    assert await comes_in(desk, ken, case) == room


async def test_who_comes_into_the_case_comes_into_it_too(desk: Desk) -> None:
    ken, sato, lead = await desk.staff("健"), await desk.staff("佐藤"), await desk.staff("主任", "supervisor")
    keeper = await desk.keeper()
    _, opened = await a_case(desk, ken)
    case = opened["case_id"]
    await ken.joins(opened["room_id"])
    await ken.post(f"{DESK}/cases/{case}/call_in", {"to": sato.user_id})
    assert (await queue(ken))["mine"][0]["side_room_id"] is None
    room = await comes_in(desk, ken, case)
    assert (await queue(sato))["mine"][0]["side_room_id"] == room
    await lead.post(f"{DESK}/cases/{case}/join")
    await invites(keeper)
    for person in (sato, lead):
        await person.joins(room)
    assert set(await keeper.members(room)) == {KEEPER, ken.user_id, sato.user_id, lead.user_id}
    # A helper who steps out is not there any more; nor is anybody once the case waits again.
    await sato.post(f"{DESK}/cases/{case}/give_back")
    await invites(keeper)
    assert (await keeper.members(room))[sato.user_id] == "leave"
    await ken.post(f"{DESK}/cases/{case}/give_back")
    await invites(keeper)
    assert (await keeper.members(room))[ken.user_id] == "leave"
    await lead.post(f"{DESK}/cases/{case}/give_back")
    await accepts(ken, case)
    await invites(keeper)
    assert (await keeper.members(room))[ken.user_id] == "invite"


async def test_it_goes_with_its_case(desk: Desk) -> None:
    ken, keeper = await desk.staff("健"), await desk.keeper()
    _, opened = await a_case(desk, ken)
    case = opened["case_id"]
    room = await comes_in(desk, ken, case)
    event = await ken.sends(room, "m.room.encrypted", ENCRYPTED | {"ciphertext": "SIDEMARK"})
    await ken.post(f"{DESK}/cases/{case}/close")
    before = (await keeper.sync())["next_batch"]
    await desk.run("case", "purge", case, "--reason", "x", "--yes")
    psql = desk.workers.postgres.psql
    assert psql("SELECT count(*) FROM events WHERE body LIKE '%SIDEMARK%'", "madoguchi").strip() == "0"
    await refused(ken.get(f"{V3}/rooms/{room}/event/{event}"), 403)
    await refused(ken.sends(room, "m.room.encrypted", ENCRYPTED), 403)
    await refused(enters(ken, case), 404)
    assert room in (await keeper.sync(since=before))["rooms"]["leave"]


def _said(section: object) -> bool:
    """Whether there is anything in what a sync says, however deep."""
    return any(map(_said, section.values())) if isinstance(section, dict) else bool(section)


async def _told(person: Person, method: str, path: str, body: object) -> tuple[int, Json]:
    try:
        return 200, await person.call(method, path, body)
    except Refusal as refusal:
        return refusal.status, refusal.body


async def _asks_everything(person: Person, room: str) -> dict[str, tuple[int, Json]]:
    """What the server says of a room to somebody who has guessed its id."""
    at = segment(room)
    asked: list[tuple[str, str, object]] = [
        *(("GET", f"{V3}/rooms/{at}/{what}", None) for what in ("members", "joined_members", "state", "aliases")),
        ("GET", f"{V3}/rooms/{at}/messages?dir=b", None),
        ("GET", f"{V3}/rooms/{at}/state/m.room.member/{segment(KEEPER)}", None),
        ("GET", f"{V3}/rooms/{at}/event/{segment('$x')}", None),
        ("GET", f"{V3}/rooms/{at}/context/{segment('$x')}", None),
        ("GET", f"{V1}/rooms/{at}/threads", None),
        ("GET", f"{V1}/rooms/{at}/hierarchy", None),
        ("GET", f"{V1}/room_summary/{at}", None),
        ("GET", f"{V3}/directory/list/room/{at}", None),
        *(("POST", f"{V3}/{how}/{at}", {}) for how in ("join", "knock")),
        *(("POST", f"{V3}/rooms/{at}/{how}", {}) for how in ("join", "leave", "forget")),
        ("POST", f"{V3}/rooms/{at}/invite", {"user_id": person.user_id}),
        ("PUT", f"{V3}/rooms/{at}/send/m.room.encrypted/t", ENCRYPTED),
        ("PUT", f"{V3}/rooms/{at}/typing/{segment(person.user_id)}", {"typing": True}),
        ("POST", f"{V3}/rooms/{at}/receipt/m.read/{segment('$x')}", {}),
        ("POST", UNSTABLE, {"room_subscriptions": {room: window.everything()}}),
    ]
    said = {}
    for method, path, body in asked:
        status, answer = await _told(person, method, path, body)
        answer.pop("pos", None)
        said[f"{method} {path.replace(at, 'ROOM')}"] = (status, json.loads(json.dumps(answer).replace(room, "ROOM")))
    return said


async def test_the_young_person_can_neither_see_nor_enter_it_nor_learn_of_it(desk: Desk) -> None:
    ken, sato, keeper = await desk.staff("健"), await desk.staff("佐藤"), await desk.keeper()
    mio, opened = await a_case(desk, ken)
    await mio.catches_up()
    state = f"{V3}/rooms/{segment(opened['room_id'])}/state"
    before = await mio.get(state)
    side = await comes_in(desk, ken, opened["case_id"])
    await ken.sends(side, "m.room.encrypted", ENCRYPTED)
    await ken.put(f"{V3}/rooms/{segment(side)}/typing/{segment(ken.user_id)}", {"typing": True, "timeout": 30_000})

    # Nothing has happened for them: no room, no state, no device to look at, nobody typing.
    news = await mio.catches_up()
    assert not [
        name for name in ("rooms", "device_lists", "presence", "to_device", "account_data") if _said(news[name])
    ]
    assert await mio.get(state) == before
    everything = [await mio.sync(), await mio.get(f"{V3}/joined_rooms"), await mio.get(DESK + "/cases/mine")]
    everything += [await mio.get(DESK + "/desk"), await mio.get(f"{V3}/publicRooms")]
    everything += [await mio.post(UNSTABLE, {"lists": {"all": window.everything()}})]
    everything += [await mio.get(f"{V1}/rooms/{segment(opened['room_id'])}/hierarchy")]
    everything += [await mio.post(f"{V3}/user_directory/search", {"search_term": "a", "limit": 50})]
    everything += [await mio.post(f"{V3}/keys/query", {"device_keys": {KEEPER: [], ken.user_id: []}})]
    assert side not in json.dumps(everything)

    # Whoever has guessed its id is told what is told of a room that does not exist.
    assert await _asks_everything(mio, side) == await _asks_everything(mio, NO_ROOM)

    # Nobody can bring them in, not even the keeper, nor whoever an app is stood for by.
    line = await ghost(desk)
    for stranger in (mio, line, await desk.person("aoi")):
        await refused(keeper.invites(side, stranger), 403, "M_FORBIDDEN")
        await refused(ken.invites(side, stranger), 403, "M_FORBIDDEN")
        await refused(stranger.joins(side), 403)
    assert await _asks_everything(line, side) == await _asks_everything(line, NO_ROOM)
    assert set(await ken.members(side)) == {KEEPER, ken.user_id}

    # Nor does somebody who comes into the case later show more to them.
    await ken.post(f"{DESK}/cases/{opened['case_id']}/call_in", {"to": sato.user_id})
    await invites(keeper)
    await sato.joins(side)
    assert side not in json.dumps([await mio.catches_up(), await mio.sync(), await mio.get(DESK + "/cases/mine")])
