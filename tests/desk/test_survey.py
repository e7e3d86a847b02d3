"""Three taps after a case: counted once, shown only among enough others, leading back to nobody."""

from tests.cast import DESK, Json, refused
from tests.desk.conftest import Desk

SURVEY = DESK + "/cases/mine/survey"


async def newest(desk: Desk) -> Json:
    return dict((await (await desk.administrator()).get(DESK + "/survey"))["months"][0]["given"])


async def test_answers_are_counted_once_and_shown_only_among_enough(desk: Desk) -> None:
    desk.workers.postgres.psql("DELETE FROM survey", "madoguchi")
    admin = await desk.administrator()
    assert (await admin.get(DESK + "/survey"))["months"] == []
    for number in range(5):
        mio, _ = await desk.arrives()
        await refused(mio.post(SURVEY, {"heard": 1}), 409, "M_CONFLICT")
        await mio.post(DESK + "/cases/mine/leave")
        answers = {"heard": 1 if number else 3, "mood": 2} if number < 4 else {"heard": 1}
        assert await mio.post(SURVEY, answers) == {"counted": len(answers)}
        no = await refused(mio.post(SURVEY, answers), 409, "M_CONFLICT")
        assert "already" in no.body["error"]
        if number == 3:
            assert await newest(desk) == {"heard": None, "mood": None, "again": None}
    # Five are enough only where it is not few of them who said something else.
    assert await newest(desk) == {"heard": None, "mood": None, "again": None}
    for bad, told in ((6, [9, 0, 6]), (2, [None, 0, None])):
        values = f"CASE answer WHEN 1 THEN 9 ELSE {bad} END"
        desk.workers.postgres.psql(f"UPDATE survey SET given = {values} WHERE question = 'heard'", "madoguchi")
        assert (await newest(desk))["heard"] == told
    # Nothing of an answer stands beside a person or a case.
    columns = desk.workers.postgres.psql(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'survey'", "madoguchi"
    )
    assert set(columns.split()) == {"month", "question", "answer", "given"}


async def test_what_makes_no_sense_is_refused_and_counts_nothing(desk: Desk) -> None:
    mio, _ = await desk.arrives()
    await mio.post(DESK + "/cases/mine/leave")
    for wrong in ({}, {"heard": 0}, {"heard": 4}, {"heard": "good"}, {"other": 1}, {"heard": None}):
        await refused(mio.post(SURVEY, wrong), 400)
    await mio.post(SURVEY, {"again": 3})
    # A new case may be answered for again, once it has ended.
    await mio.post(DESK + "/cases", {"channel": "web"})
    await refused(mio.post(SURVEY, {"again": 3}), 409)
    await mio.post(DESK + "/cases/mine/leave")
    await mio.post(SURVEY, {"again": 1})
