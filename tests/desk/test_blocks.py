"""Who has abused the desk begins no new case for a while; it ends, somebody else reviews it, the lines are shown."""

from tests.cast import DESK, Json, Person, refused
from tests.desk.conftest import Desk
from tests.desk.test_cases import accepts

DAY_MS = 86_400_000


async def talks(desk: Desk, mio: Person, ken: Person) -> str:
    opened = await mio.post(DESK + "/cases", {"channel": "web"})
    await accepts(ken, opened["case_id"])
    return str(opened["case_id"])


async def block_of(lead: Person, case_id: str) -> Json:
    return next(each for each in (await lead.get(DESK + "/blocks"))["blocks"] if each["case_id"] == case_id)


async def test_a_block_ends_is_reviewed_by_somebody_else_and_shows_the_lines(desk: Desk) -> None:
    ken, sato = await desk.staff("健"), await desk.staff("佐藤")
    lead, mio = await desk.staff("主", "supervisor"), await desk.person("mio")
    case = await talks(desk, mio, ken)
    path = f"{DESK}/cases/{case}"
    await refused(sato.post(path + "/block", {"reason": "abuse"}), 403, "M_FORBIDDEN")
    await refused(ken.post(path + "/block", {"reason": "言葉"}), 400)
    await refused(ken.post(path + "/block", {"reason": "abuse", "hours": 25}), 400)
    # Nobody in danger is sent away.
    await ken.put(path + "/risk", {"risk": "high"})
    await refused(ken.post(path + "/block", {"reason": "abuse"}), 409, "M_CONFLICT")
    await ken.put(path + "/risk", {"risk": "none"})
    assert (await ken.post(path + "/block", {"reason": "abuse", "hours": 2}))["state"] == "closed"
    await refused(ken.post(path + "/block", {"reason": "abuse"}), 409, "M_CONFLICT")

    seen = await block_of(lead, case)
    assert (seen["reason"], seen["by"], seen["reviewer"], seen["over"], seen["may_review"]) == (
        "abuse", "健", None, False, True,
    )  # fmt: skip
    assert seen["ends_at"] - seen["at"] == 2 * 3_600_000
    no = await refused(mio.post(DESK + "/cases", {"channel": "web"}), 403, "JP_MADOGUCHI_CLOSED")
    assert (no.body["reason"], no.body["next_opening"]) == ("blocked", seen["ends_at"]) and no.body["guidance"]
    # What was said can still be read, and the page knows until when.
    mine = await mio.get(DESK + "/cases/mine")
    assert (mine["state"], mine["blocked_until"]) == ("closed", seen["ends_at"])
    # Of an account: nobody else at the same address is kept out.
    await desk.arrives()

    await refused(ken.post(path + "/block/review", {"days": 0}), 403, "M_FORBIDDEN")
    await refused(lead.post(path + "/block/review", {"days": 91}), 400)
    longer = await lead.post(path + "/block/review", {"days": 7})
    assert longer["reviewer"] == "主" and abs(longer["ends_at"] - longer["reviewed_at"] - 7 * DAY_MS) < 1_000
    lifted = await lead.post(path + "/block/review", {"days": 0})
    assert lifted["over"] and not lifted["may_review"]
    await refused(lead.post(path + "/block/review", {"days": 1}), 404, "M_NOT_FOUND")
    assert (await mio.get(DESK + "/cases/mine"))["blocked_until"] is None
    await mio.post(DESK + "/cases", {"channel": "web"})


async def test_whoever_made_a_block_does_not_review_it_and_it_ends_by_itself(desk: Desk) -> None:
    ken, lead, mio = await desk.staff("健"), await desk.staff("主", "supervisor"), await desk.person("mio")
    case = await talks(desk, mio, ken)
    await lead.post(f"{DESK}/cases/{case}/block", {"reason": "threats"})
    assert (await block_of(lead, case))["may_review"] is False
    await refused(lead.post(f"{DESK}/cases/{case}/block/review", {"days": 0}), 403, "M_FORBIDDEN")
    await refused(mio.post(DESK + "/cases", {"channel": "web"}), 403, "JP_MADOGUCHI_CLOSED")
    desk.workers.postgres.psql(f"UPDATE blocks SET ends_at = now() WHERE case_id = '{case}'", "madoguchi")
    await mio.post(DESK + "/cases", {"channel": "web"})
    assert (await block_of(lead, case))["over"]
    acts = desk.workers.postgres.psql(
        f"SELECT act FROM audit_log WHERE subject = '{case}' AND act LIKE '%block%'", "madoguchi"
    )
    assert acts == "case.blocked"
