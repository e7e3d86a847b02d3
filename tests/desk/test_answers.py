"""Two questions while one waits: answered or put away by the person alone, seen by staff, gone with the case."""

from typing import get_type_hints

from madoguchi.storage.answers import Answers
from tests.cast import DESK, Json, Person, refused
from tests.desk.conftest import Desk
from tests.desk.test_cases import accepts, queue
from tests.desk.test_records import reads, words_of

NOTHING: Json = {"topics": [], "school": None, "grade": None}
SAID: Json = {"topics": ["bullying", "suicidal"], "school": "junior_high", "grade": 2}


async def tells(person: Person, **answers: object) -> Json:
    return await person.put(DESK + "/cases/mine/answers", answers)


async def mine(person: Person, **query: object) -> Json:
    return await person.get(DESK + "/cases/mine", **query)


async def ticket(counsellor: Person, case_id: str) -> Json:
    return next(each for each in (await queue(counsellor))["waiting"] if each["case_id"] == case_id)


async def asks(desk: Desk, wanted: bool) -> None:
    await (await desk.administrator()).put(DESK + "/settings/questions", {"value": wanted})


async def test_what_is_answered_is_in_the_queue_in_the_case_and_in_its_record(desk: Desk) -> None:
    ken = await desk.staff("健")
    mio, opened = await desk.arrives()
    case = opened["case_id"]
    assert (await desk.line.call("GET", DESK + "/desk"))["questions"] is True
    before = await mine(mio)
    assert (before["answers"], before["may_answer"]) == (None, True)
    assert (await ticket(ken, case))["answers"] is None

    # Whoever watches the queue, and another phone of theirs, are told at once.
    pos = (await queue(ken))["pos"]
    assert await tells(mio, **SAID) == SAID
    heard = await queue(ken, after=pos, timeout=10_000)
    assert [each["answers"] for each in heard["waiting"]] == [SAID]
    assert (await mine(mio, after=before["pos"], timeout=10_000))["answers"] == SAID
    # A human says how dangerous it is, and nobody else.
    assert heard["waiting"][0]["risk"] == "none"

    await accepts(ken, case)
    [own] = [each for each in (await queue(ken))["mine"] if each["case_id"] == case]
    assert (own["answers"], own["risk"]) == (SAID, "none")
    shown = await reads(ken, case)
    known = shown["defaults"]
    assert shown["answers"] == SAID
    assert (known["topics"], known["school"], known["grade"], known["risk"]) == (
        ["bullying", "suicidal"], "junior_high", 2, "none",
    )  # fmt: skip
    # The person still sees what they said.
    there = await mine(mio)
    assert (there["answers"], there["may_answer"]) == (SAID, False)


async def test_it_is_changed_taken_back_and_put_away_until_somebody_has_accepted(desk: Desk) -> None:
    ken = await desk.staff("健")
    mio, opened = await desk.arrives()
    case = opened["case_id"]
    # Put away: they are not asked again, and staff see nothing.
    assert await tells(mio) == NOTHING
    assert (await mine(mio))["answers"] == NOTHING
    assert (await ticket(ken, case))["answers"] is None
    # They may change their mind, skip one of the two, and take all of it back.
    await tells(mio, topics=["family"])
    assert (await ticket(ken, case))["answers"] == NOTHING | {"topics": ["family"]}
    await tells(mio, school="working")
    assert (await ticket(ken, case))["answers"] == NOTHING | {"school": "working"}
    await tells(mio)
    assert (await ticket(ken, case))["answers"] is None
    await accepts(ken, case)
    for late in ({}, {"topics": ["family"]}):
        await refused(tells(mio, **late), 409, "M_CONFLICT")
    # Given back it waits again; what was said to somebody stays said.
    await ken.post(f"{DESK}/cases/{case}/give_back")
    await refused(tells(mio), 409)
    assert (await mine(mio))["may_answer"] is False
    assert (await reads(await desk.administrator(), case))["defaults"]["topics"] == []


async def test_what_is_refused_and_who(desk: Desk) -> None:
    ken = await desk.staff("健")
    mio, _ = await desk.arrives()
    await tells(mio, topics=["other"])
    for wrong in (
        {"topics": ["眠れない"]}, {"topics": "other"}, {"topics": ["other", "other"]}, {"school": "unknown"},
        {"grade": 1}, {"school": "working", "grade": 1}, {"school": "junior_high", "grade": 4}, {"note": "眠れない"},
    ):  # fmt: skip
        await refused(tells(mio, **wrong), 400)
    assert (await mine(mio))["answers"]["topics"] == ["other"]
    # Only who came by the page: staff and people with a Matrix client are asked by a human.
    aoi = await desk.person("aoi")
    await aoi.post(DESK + "/cases", {"channel": "matrix"})
    for stranger in (ken, aoi):
        await refused(tells(stranger, topics=["other"]), 403)
    await mio.post(DESK + "/cases/mine/leave")
    await refused(tells(mio, topics=["other"]), 404)


async def test_a_desk_that_asks_nothing_still_lets_take_back(desk: Desk) -> None:
    ken = await desk.staff("健")
    (mio, opened), (sora, _) = await desk.arrives(), await desk.arrives()
    await tells(mio, topics=["family"])
    await asks(desk, False)
    try:
        assert (await desk.line.call("GET", DESK + "/desk"))["questions"] is False
        await refused(tells(sora, topics=["family"]), 409)
        assert (await ticket(ken, opened["case_id"]))["answers"]["topics"] == ["family"]
        await tells(mio)
        assert (await ticket(ken, opened["case_id"]))["answers"] is None
    finally:
        await asks(desk, True)


async def test_the_answers_are_destroyed_with_the_case(desk: Desk) -> None:
    mio, opened = await desk.arrives()
    case = opened["case_id"]
    await tells(mio, **SAID)
    kept = f"SELECT count(*) FROM case_answers WHERE case_id = '{case}'"
    await mio.post(DESK + "/cases/mine/leave")
    assert desk.workers.postgres.psql(kept, "madoguchi").strip() == "1"
    await desk.run("case", "purge", case, "--reason", "x", "--yes")
    assert desk.workers.postgres.psql(kept, "madoguchi").strip() == "0"


async def test_the_database_takes_the_codes_and_nothing_else(desk: Desk) -> None:
    stands = desk.workers.postgres.psql(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'case_answers'::regclass",
        "madoguchi",
    )
    lists = {line.split("|")[0]: set(line.split("'")[1::2]) for line in stands.splitlines()}
    for name in ("topics", "school"):
        assert lists[f"case_answers_{name}_check"] == words_of(get_type_hints(Answers)[name]), name
