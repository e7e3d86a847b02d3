"""Whoever reports a message, a room or a person is heard by the supervisors, and by nobody else."""

from tests.cast import DESK, V3, Json, refused, segment
from tests.desk.conftest import Desk
from tests.desk.test_safety import SEALED, talking


async def test_a_report_reaches_the_supervisors_without_its_words(desk: Desk) -> None:
    sato = await desk.staff("佐藤", "supervisor")
    mio, ken, opened = await talking(desk)
    room = segment(opened["room_id"])
    said = await ken.sends(opened["room_id"], "m.room.encrypted", SEALED)
    await mio.post(f"{V3}/rooms/{room}/report/{segment(said)}", {"reason": "こわかった", "score": -100})
    await mio.post(f"{V3}/rooms/{room}/report", {})
    await mio.post(f"{V3}/users/{segment(ken.user_id)}/report", {"reason": "こわかった"})
    told: list[Json] = (await sato.get(f"{DESK}/reports", limit=3))["reports"]
    person, place, message = told
    assert {each["reporter"] for each in told} == {mio.user_id}
    assert (message["event_id"], message["about"], message["reasoned"]) == (said, ken.user_id, True)
    assert (message["room_id"], message["case_id"]) == (opened["room_id"], opened["case_id"])
    assert (place["room_id"], place["event_id"], place["reasoned"]) == (opened["room_id"], None, False)
    assert (person["room_id"], person["about"], person["case_id"]) == (None, ken.user_id, None)
    assert "こわかった" not in str(told)
    assert desk.workers.postgres.psql("SELECT count(*) FROM reports r WHERE r::text LIKE '%こわ%'", "madoguchi") == "0"
    older = (await sato.get(f"{DESK}/reports", before=message["id"], limit=200))["reports"]
    assert all(each["id"] < message["id"] for each in older)
    await refused(mio.get(f"{DESK}/reports"), 403, "M_FORBIDDEN")
    await refused(ken.get(f"{DESK}/reports"), 403, "M_FORBIDDEN")


async def test_only_what_one_sees_can_be_reported(desk: Desk) -> None:
    mio, ken, opened = await talking(desk)
    aoi, _ = await desk.arrives()
    said = await ken.sends(opened["room_id"], "m.room.encrypted", SEALED)
    room = segment(opened["room_id"])
    await refused(aoi.post(f"{V3}/rooms/{room}/report/{segment(said)}", {}), 403, "M_FORBIDDEN")
    await refused(mio.post(f"{V3}/rooms/{room}/report/$nothing", {}), 404, "M_NOT_FOUND")
