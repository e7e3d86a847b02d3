"""Earlier cases of the same person: shown to their counsellor where desk and person allow it, and never else."""

from collections.abc import AsyncIterator

import pytest

from tests.cast import DESK, Json, Person, refused
from tests.desk.conftest import Desk
from tests.desk.test_audit import newest
from tests.desk.test_cases import accepts, queue
from tests.desk.test_records import CODES, closed, writes


async def allows(person: Person, shown: bool) -> Json:
    return await person.put(DESK + "/cases/mine/previous", {"shown": shown})


async def sees(counsellor: Person, case_id: str) -> list[Json]:
    found: list[Json] = (await counsellor.get(f"{DESK}/cases/{case_id}/previous"))["cases"]
    return found


async def of(counsellor: Person, case_id: str, **query: object) -> Json:
    return next(each for each in (await queue(counsellor, **query))["mine"] if each["case_id"] == case_id)


async def again(mio: Person, ken: Person) -> str:
    """The person comes once more, and somebody takes the case."""
    case = str((await mio.post(DESK + "/cases", {"channel": "web"}))["case_id"])
    await accepts(ken, case)
    return case


@pytest.fixture
async def shown(desk: Desk) -> AsyncIterator[None]:
    """The desk shows earlier cases, with the person's consent."""
    admin = await desk.administrator()
    await admin.put(DESK + "/settings/previous_cases", {"value": "with_consent"})
    yield
    await admin.put(DESK + "/settings/previous_cases", {"value": "off"})


@pytest.mark.usefixtures("shown")
async def test_days_and_codes_are_shown_until_the_person_takes_it_back(desk: Desk) -> None:
    ken, sato = await desk.staff("健"), await desk.staff("佐藤")
    mio, first = await closed(desk, ken)
    await writes(ken, first)
    second = await again(mio, ken)
    await ken.post(f"{DESK}/cases/{second}/close")
    minutes = f"UPDATE cases SET accepted_at = closed_at - interval '25 minutes' WHERE id = '{first}'"
    desk.workers.postgres.psql(minutes, "madoguchi")
    case = await again(mio, sato)
    mine = await mio.get(DESK + "/cases/mine")
    assert (mine["repeat"], mine["previous_shown"]) == (True, None)
    assert (await desk.line.call("GET", DESK + "/desk"))["previous_cases"] is True
    assert (await of(sato, case))["previous"] is False
    await refused(sees(sato, case), 403, "M_FORBIDDEN")

    pos = (await queue(sato))["pos"]
    assert await allows(mio, True) == {"shown": True}
    assert (await of(sato, case, after=pos, timeout=10_000))["previous"] is True
    unrecorded, recorded = await sees(sato, case)
    assert unrecorded["topics"] is unrecorded["risk"] is unrecorded["outcome"] is None and unrecorded["transcript"]
    assert recorded == unrecorded | {
        "minutes": 25, "topics": CODES["topics"], "risk": CODES["risk"], "outcome": CODES["outcome"],
    }  # fmt: skip
    assert recorded["channel"] == "web" and len(recorded["day"]) == len("2026-11-29")

    # Taken back it is gone at once; given again it is there again.
    pos = (await queue(sato))["pos"]
    await allows(mio, False)
    assert (await of(sato, case, after=pos, timeout=10_000))["previous"] is False
    await refused(sees(sato, case), 403)
    assert (await mio.get(DESK + "/cases/mine"))["previous_shown"] is False
    await allows(mio, True)
    # Of what was destroyed only that it was.
    await desk.run("case", "purge", first, "--reason", "x", "--yes")
    _, gone = await sees(sato, case)
    assert gone == recorded | {"topics": None, "risk": None, "outcome": None, "transcript": False}
    desk.workers.postgres.psql(f"UPDATE cases SET by_wish = true WHERE id = '{first}'", "madoguchi")
    assert await sees(sato, case) == [unrecorded]
    looks = [each for each in await newest(await desk.administrator()) if each["act"] == "previous.read"]
    assert [(each["actor"], each["subject"]) for each in looks[:2]] == [(sato.user_id, case)] * 2
    # The yes was for this case.
    await sato.post(f"{DESK}/cases/{case}/close")
    await refused(sees(sato, case), 403)
    later = await again(mio, sato)
    assert (await of(sato, later))["previous"] is False
    await refused(sees(sato, later), 403)


@pytest.mark.usefixtures("shown")
async def test_nobody_but_who_looks_after_the_case_sees_them(desk: Desk) -> None:
    ken, sato, lead = await desk.staff("健"), await desk.staff("佐藤"), await desk.staff("主任", "supervisor")
    mio, first = await closed(desk, ken)
    case = await again(mio, ken)
    await allows(mio, True)
    assert len(await sees(ken, case)) == 1
    await lead.post(f"{DESK}/cases/{case}/join")
    await ken.post(f"{DESK}/cases/{case}/call_in", {"to": sato.user_id})
    for helper in (lead, sato):
        assert (await of(helper, case))["previous"] is False
    for stranger in (lead, sato, mio, await desk.administrator(), await desk.staff("監", "auditor")):
        await refused(sees(stranger, case), 403)
    await refused(sees(ken, first), 403)
    # It goes on with whoever looks after the case then.
    await ken.post(f"{DESK}/cases/{case}/hand_over", {"to": sato.user_id, "reason": "交代"})
    assert (await of(sato, case))["previous"] is True and len(await sees(sato, case)) == 1
    await refused(sees(ken, case), 403)
    # Somebody who is here for the first time has nothing to show, and others' cases are not theirs.
    aoi, opened = await desk.arrives()
    await accepts(ken, opened["case_id"])
    await allows(aoi, True)
    assert (await of(ken, opened["case_id"]))["previous"] is False
    assert await sees(ken, opened["case_id"]) == []


async def test_where_the_desk_does_not_want_it_nothing_is_asked_or_shown(desk: Desk) -> None:
    ken = await desk.staff("健")
    mio, _ = await closed(desk, ken)
    case = await again(mio, ken)
    assert (await desk.line.call("GET", DESK + "/desk"))["previous_cases"] is False
    await refused(allows(mio, True), 409, "M_CONFLICT")
    await refused(sees(ken, case), 403)
    # Who said yes before the desk changed its mind: the desk's no counts, and theirs is heard.
    desk.workers.postgres.psql(f"UPDATE cases SET previous_shown = true WHERE id = '{case}'", "madoguchi")
    assert (await of(ken, case))["previous"] is False
    await refused(sees(ken, case), 403)
    await allows(mio, False)
    # Whoever comes from an app or a Matrix client is not asked, so nothing is shown of them.
    aoi = await desk.person("aoi")
    await aoi.post(DESK + "/cases", {"channel": "matrix"})
    await refused(allows(aoi, True), 403)
    for wrong in ({}, {"shown": "yes"}, {"shown": True, "more": 1}):
        await refused(mio.put(DESK + "/cases/mine/previous", wrong), 400)
