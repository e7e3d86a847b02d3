"""Rest: who has left and may return takes nobody's place, and wakes where somebody is there."""

import asyncio
import secrets
from datetime import datetime, timedelta

from madoguchi.clock import Clock
from madoguchi.storage import jobs as stored_jobs
from madoguchi.work.jobs import Runner
from tests.cast import DESK, V3, Person, refused
from tests.desk.conftest import Desk
from tests.desk.test_cases import accepts, invites, queue
from tests.desk.test_jobs import a_context
from tests.desk.test_shift import ENCRYPTED, GESTURE, own


async def state_of(person: Person) -> str:
    return str((await person.get(DESK + "/cases/mine"))["state"])


async def test_a_case_rests_out_of_the_way_and_wakes_when_the_person_writes(desk: Desk) -> None:
    ken, sato, keeper = await desk.staff("健", capacity=1), await desk.staff("佐藤"), await desk.keeper()
    mio, opened = await desk.arrives()
    _, other = await desk.arrives()
    case, room = opened["case_id"], opened["room_id"]
    path = f"{DESK}/cases/{case}/rest"
    await refused(ken.post(path), 403)
    await accepts(ken, case)
    await refused(sato.post(path), 403)
    await invites(keeper)
    await ken.joins(room)
    await refused(accepts(ken, other["case_id"]), 409, "JP_MADOGUCHI_FULL")
    assert (await ken.post(path))["state"] == "resting"
    await ken.post(path)
    assert (await own(ken))[case]["state"] == "resting"
    # What the counsellor writes, and a gesture of the person's, wake nobody.
    await ken.sends(room, "m.room.encrypted", ENCRYPTED)
    await mio.sends(room, "m.room.encrypted", GESTURE)
    assert await state_of(mio) == "resting"
    await refused(accepts(sato, case), 409, "JP_MADOGUCHI_ALREADY_TAKEN")

    await queue(ken)
    await mio.sends(room, "m.room.encrypted", ENCRYPTED)
    assert await state_of(mio) == "talking"
    assert (await own(ken))[case]["state"] == "talking"
    await refused(accepts(ken, other["case_id"]), 409, "JP_MADOGUCHI_FULL")
    steps = desk.workers.postgres.psql(f"SELECT step FROM case_steps WHERE case_id = '{case}' ORDER BY id", "madoguchi")
    assert steps.split() == ["arrived", "accepted", "rested", "woke"]


async def test_whose_counsellor_is_full_or_gone_waits_again_at_the_old_place_with_their_mark(desk: Desk) -> None:
    ken, sato = await desk.staff("健", capacity=1), await desk.staff("佐藤")
    mio, opened = await desk.arrives()
    case = opened["case_id"]
    await accepts(ken, case)
    await ken.put(f"{DESK}/cases/{case}/risk", {"risk": "high"})
    assert (await mio.post(DESK + "/cases/mine/rest"))["state"] == "resting"
    _, other = await desk.arrives()
    await desk.arrives()
    await accepts(ken, other["case_id"])
    await queue(ken)
    await mio.sends(opened["room_id"], "m.room.encrypted", ENCRYPTED)
    told = await mio.get(DESK + "/cases/mine")
    assert (told["state"], told["place"], told["counsellor"]) == ("waiting", 1, None)
    first = (await queue(sato))["waiting"][0]
    assert (first["case_id"], first["risk"]) == (case, "high")
    assert case not in await own(ken)
    await accepts(sato, case)

    await sato.post(f"{DESK}/cases/{case}/rest")
    await sato.put(DESK + "/me/away", {"away": True})
    await mio.sends(opened["room_id"], "m.room.encrypted", ENCRYPTED)
    assert await state_of(mio) == "waiting"


async def test_who_signs_out_leaves_for_now_and_is_back_with_the_phrase(desk: Desk) -> None:
    ken = await desk.staff("健")
    mio, opened = await desk.arrives()
    words = {"id": secrets.token_urlsafe(16), "secret": secrets.token_urlsafe(32)}
    await mio.put(DESK + "/return_key", words)
    # Nobody has come yet: the place in the queue stays.
    assert (await mio.post(DESK + "/cases/mine/rest"))["state"] == "waiting"
    await accepts(ken, opened["case_id"])
    await mio.post(V3 + "/logout")
    assert (await own(ken))[opened["case_id"]]["state"] == "resting"
    await queue(ken)
    back = await mio.line.call("POST", DESK + "/return", words)
    mio = Person(mio.line, "young person", "", back)
    assert await state_of(mio) == "talking"
    await mio.post(DESK + "/cases/mine/leave")
    await refused(ken.post(f"{DESK}/cases/{opened['case_id']}/rest"), 409, "M_CONFLICT")


class Later(Clock):
    """A clock that is ahead."""

    def __init__(self, ahead: timedelta) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return super().now() + self.ahead

    def ms(self) -> int:
        return super().ms() + int(self.ahead.total_seconds() * 1000)


async def test_silence_lays_to_rest_whom_staff_answered_and_the_longest_rest_closes(desk: Desk) -> None:
    ken, keeper = await desk.staff("健"), await desk.keeper()
    mio, opened = await desk.arrives()
    yui, unanswered = await desk.arrives()
    for each in (opened, unanswered):
        await accepts(ken, each["case_id"])
    await invites(keeper)
    for person, each in ((mio, opened), (yui, unanswered)):
        await ken.joins(each["room_id"])
        await person.sends(each["room_id"], "m.room.encrypted", ENCRYPTED)
    await ken.sends(opened["room_id"], "m.room.encrypted", ENCRYPTED)
    for ahead, state in ((0, "talking"), (61, "resting"), (6 * 1440, "resting"), (8 * 1440, "closed")):
        await _tidies(desk, timedelta(minutes=ahead))
        assert (await state_of(mio), await state_of(yui)) == (state, "talking")
    record = await ken.get(f"{DESK}/cases/{opened['case_id']}/record")
    assert "silence" in str(record)


async def _tidies(desk: Desk, ahead: timedelta) -> None:
    async with a_context(desk) as ctx:
        ctx.clock = Later(ahead)
        async with ctx.db.transaction() as tx:
            await stored_jobs.insert_job(tx, "tidy_resting", "now", ctx.clock.now() - timedelta(days=1))
        runner = Runner(ctx, schedule=())
        for _ in range(4):
            async with ctx.db.transaction() as tx:
                await tx.execute("UPDATE jobs SET due_at = '2020-01-01' WHERE kind ~ 'resting'")
                await tx.execute("DELETE FROM jobs WHERE kind !~ 'resting'")
            await runner.do_next()
            await asyncio.sleep(0)
