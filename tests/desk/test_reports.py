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


async def test_what_a_young_person_reports_is_looked_into_by_somebody_else(desk: Desk) -> None:
    sato, other = await desk.staff("佐藤", "supervisor"), await desk.staff("主", "supervisor")
    mio, ken, opened = await talking(desk)
    case, mine = opened["case_id"], f"{DESK}/cases/mine/report"
    said = await ken.sends(opened["room_id"], "m.room.encrypted", SEALED)
    before = (await sato.get(f"{DESK}/queue"))["pos"]
    await refused(mio.post(mine, {"kind": "こわい"}), 400)
    await refused(mio.post(mine, {"kind": "hurtful", "event_id": "$nothing"}), 404, "M_NOT_FOUND")
    await mio.post(mine, {"kind": "hurtful", "event_id": said})
    # Whoever leads the shift hears of it at once.
    assert (await sato.get(f"{DESK}/queue", after=before, timeout=20_000))["pos"] > before
    told = [each for each in (await sato.get(f"{DESK}/reports", unseen="true"))["reports"] if each["case_id"] == case]
    assert [(each["kind"], each["event_id"], each["about"], each["about_name"]) for each in told] == [
        ("hurtful", said, ken.user_id, "健")
    ]
    seen = f"{DESK}/reports/{told[0]['id']}/seen"
    await refused(ken.post(seen), 403, "M_FORBIDDEN")
    await sato.post(seen)
    await other.post(seen)
    kept = next(each for each in (await sato.get(f"{DESK}/reports"))["reports"] if each["case_id"] == case)
    assert kept["seen_by"] == sato.user_id
    assert all(each["case_id"] != case for each in (await sato.get(f"{DESK}/reports", unseen="true"))["reports"])

    # Whom it is about does not see it; without a message that is whoever looks after the case.
    await ken.post(f"{DESK}/cases/{case}/hand_over", {"to": other.user_id, "reason": "勤務時間の終わり"})
    await mio.post(mine, {"kind": "doubt"})
    newest = (await sato.get(f"{DESK}/reports", limit=1))["reports"][0]
    assert (newest["kind"], newest["about"]) == ("doubt", other.user_id)
    assert all(each["about"] != other.user_id for each in (await other.get(f"{DESK}/reports"))["reports"])
    await refused(other.post(f"{DESK}/reports/{newest['id']}/seen"), 404, "M_NOT_FOUND")
    for _ in range(25):
        await mio.post(mine, {"kind": "other"})
    many = desk.workers.postgres.psql(f"SELECT count(*) FROM reports WHERE reporter = '{mio.user_id}'", "madoguchi")
    assert many == "20"
