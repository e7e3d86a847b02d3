"""A page that will not send tells the desk why, and nothing else."""

import secrets

from tests.cast import DESK, refused
from tests.desk.conftest import Desk
from tests.words import word

REPORTS = DESK + "/lock_reports"


async def test_who_leads_the_shift_sees_why_a_page_does_not_send(desk: Desk) -> None:
    mio, opened = await desk.arrives()
    aoi, _ = await desk.arrives()
    lead, ken = await desk.staff("主", "supervisor"), await desk.staff("健")
    told = {"room_id": opened["room_id"], "kind": "identity", "about": ken.user_id}
    assert await mio.post(REPORTS, told) == {"kept": True}
    assert await mio.post(REPORTS, told) == {"kept": False}
    assert await mio.post(REPORTS, told | {"kind": "roster_back", "about": None}) == {"kept": True}
    # Whom this server does not know is nobody's name here: words would fit into a name.
    said = word("たすけて", lies_in=("wire",))
    await mio.post(REPORTS, told | {"kind": "stranger", "about": f"@{said}:elsewhere"})
    await refused(mio.post(REPORTS, told | {"kind": said}), 400)
    await refused(aoi.post(REPORTS, told), 404)
    await refused(ken.get(REPORTS), 403)
    seen = (await lead.get(REPORTS))["reports"]
    mine = [each for each in seen if each["case_id"] == opened["case_id"]]
    assert [(each["kind"], each["about"], each["by"]) for each in mine] == [
        ("stranger", None, "young_person"),
        ("roster_back", None, "young_person"),
        ("identity", ken.user_id, "young_person"),
    ]
    log = (await (await desk.administrator()).get(DESK + "/audit"))["entries"]
    [entry] = [each for each in log if each["act"] == "lock.reported" and "identity" in str(each["detail"])
               and each["subject"] == opened["case_id"]]  # fmt: skip
    assert entry["actor"] == "young_person"
    # Not without an end.
    for _ in range(20):
        stranger = await desk.staff(secrets.token_hex(2))
        last = await mio.post(REPORTS, told | {"kind": "stranger", "about": stranger.user_id})
    assert last == {"kept": False}
