"""The side room of a case: the staff among themselves, never the young person; it goes when the case is purged."""

from datetime import timedelta

from madoguchi.core.desk import side_room
from tests.cast import DESK, V3, Json, Person, refused
from tests.desk.conftest import KEEPER, Desk
from tests.desk.test_audit import newest
from tests.desk.test_cases import accepts, invites
from tests.desk.test_jobs import SetClock, a_context

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
    await invites(keeper)
    assert (await keeper.members(room))[ken.user_id] == "leave"
    await refused(enters(ken, case), 403)
    # The next one finds it as it was, while the case runs and after.
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
