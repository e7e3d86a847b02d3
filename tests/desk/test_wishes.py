"""A person wishes that what they said is destroyed: after some days it is, all but figures that lead to nobody."""

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from madoguchi.context import Context
from tests.cast import DESK, Json, Person, refused
from tests.desk.conftest import Desk
from tests.desk.test_audit import newest
from tests.desk.test_cases import accepts
from tests.desk.test_jobs import a_context
from tests.desk.test_purge import everything, files, talks, works

MINE = DESK + "/cases/mine/deletion"


@pytest.fixture
async def ctx(desk: Desk) -> AsyncIterator[Context]:
    desk.workers.postgres.psql("DELETE FROM jobs", "madoguchi")
    async with a_context(desk) as found:
        yield found
    desk.workers.postgres.psql("DELETE FROM jobs", "madoguchi")


def row(desk: Desk, case_id: str, columns: str) -> str:
    return desk.workers.postgres.psql(f"SELECT {columns} FROM cases WHERE id = '{case_id}'", "madoguchi").strip()


async def listed(person: Person, case_id: str) -> Json | None:
    """A case in its counsellor's list of records to write."""
    found = (await person.get(DESK + "/records", list="to_write"))["records"]
    return next((entry for entry in found if entry["case_id"] == case_id), None)


async def test_after_days_in_which_it_can_be_taken_back_only_figures_are_left(
    desk: Desk, ctx: Context, tmp_path: Path
) -> None:
    ken, admin = await desk.staff("健"), await desk.administrator()
    mio, opened, _ = await talks(desk, ken, "MARKWISH")
    other, kept, _ = await talks(desk, ken, "MARKSTAY")
    case, mio_id = opened["case_id"], mio.user_id
    before = await mio.get(MINE)
    assert (before["state"], before["days"], before["running"]) == ("none", 7, False)
    await refused(mio.delete(MINE), 404)

    asked = await mio.post(MINE, {})
    assert asked["state"] == "asked" and asked["due_at"] - asked["asked_at"] == 7 * 86_400_000
    # Twice does no more; staff see it, and that nobody else's goes.
    assert (await mio.post(MINE, {}))["receipt"] == asked["receipt"]
    mine = await listed(ken, case)
    assert mine is not None and mine["goes_at"] == asked["due_at"]
    theirs = await listed(ken, kept["case_id"])
    assert theirs is not None and theirs["goes_at"] is None
    assert [each["case_id"] for each in (await admin.get(DESK + "/deletions"))["wishes"]] == [case]

    assert (await mio.delete(MINE))["state"] == "none"
    await works(ctx, days=8)
    assert b"MARKWISH" in everything(desk)
    receipt = (await mio.post(MINE, {}))["receipt"]
    assert receipt != asked["receipt"]
    with pytest.raises(subprocess.CalledProcessError) as early:
        await desk.run("case", "certificate", "--receipt", receipt)
    assert "not done yet" in early.value.stderr
    # The clock of the test is a week ahead of the desk's, that of the wish.
    due = "UPDATE deletion_wishes SET due_at = due_at + interval '{} days' WHERE receipt = '{}'"
    desk.workers.postgres.psql(due.format(12, receipt), "madoguchi")
    await works(ctx, days=5)
    assert b"MARKWISH" in everything(desk)
    await ken.put(f"{DESK}/cases/{case}/record", {"topics": ["bullying"]})
    await works(ctx, days=6)
    assert b"MARKWISH" not in everything(desk) and b"fileMARKWISH" not in files(desk)
    assert b"MARKSTAY" in everything(desk)

    done = await mio.get(MINE)
    assert (done["state"], done["receipt"]) == ("done", receipt)
    assert (done["destroyed"]["files"], done["destroyed"]["records"]) == (2, 1)
    assert (await admin.get(DESK + "/deletions"))["wishes"] == []
    for table in ("records", "case_steps"):
        assert desk.workers.postgres.psql(f"SELECT 1 FROM {table} WHERE case_id = '{case}'", "madoguchi") == ""
    told = [entry for entry in await newest(admin) if entry["subject"] == receipt]
    assert [(entry["act"], entry["actor"]) for entry in told] == [
        ("deletion.done", "own_wish"), ("deletion.asked", "person"),
    ]  # fmt: skip
    [certificate] = json.loads(await desk.run("case", "certificate", "--receipt", receipt.lower()))
    assert certificate["certificate"]["destroyed"] == done["destroyed"]
    assert "record_codes" not in certificate["certificate"]["left"]
    file = tmp_path / "certificate.json"
    file.write_text(json.dumps(certificate))
    assert "whole and signed" in await desk.run("case", "verify", str(file))

    # When the last traces go, nobody can tell any more whose it was.
    assert row(desk, case, "user_id") == mio_id
    await works(ctx, days=31)
    assert row(desk, case, "state, closed_at IS NOT NULL") == "purged|t"
    assert row(desk, case, "user_id").startswith("gone:")
    assert row(desk, kept["case_id"], "user_id") == other.user_id
    assert mio_id not in desk.workers.postgres.psql("SELECT * FROM deletion_wishes", "madoguchi")


async def test_a_case_that_runs_is_ended_only_if_that_is_said(desk: Desk, ctx: Context) -> None:
    mio, opened = await desk.arrives()
    assert (await mio.get(MINE))["running"] is True
    await refused(mio.post(MINE, {}), 409)
    assert row(desk, opened["case_id"], "state") == "waiting"
    await mio.post(MINE, {"end": True})
    assert (await mio.get(DESK + "/cases/mine"))["state"] == "closed"
    # A later case is not meant.
    later = await mio.post(DESK + "/cases", {"channel": "web"})
    await works(ctx, days=8)
    assert row(desk, opened["case_id"], "state") == "purged"
    assert row(desk, later["case_id"], "state") == "waiting"
    found = await mio.get(MINE)
    assert (found["state"], found["running"]) == ("none", True)


async def test_what_is_held_is_kept_and_says_why_and_nothing_more(desk: Desk, ctx: Context) -> None:
    ken = await desk.staff("健")
    mio, opened, _ = await talks(desk, ken, "MARKCOURT")
    case = opened["case_id"]
    hold = ("case", "hold", case, "--reason-code", "court", "--reference", "R8-77")
    await desk.run(*hold)
    told = await refused(mio.post(MINE, {}), 409, "JP_MADOGUCHI_KEPT")
    assert told.body["reason"] == "court" and "R8-77" not in json.dumps(told.body)
    assert (await mio.get(MINE))["kept"] == "court"
    await desk.run("case", "release", case)
    await mio.post(MINE, {})
    # Held while it stands: it waits, and is done once nothing holds it.
    await desk.run(*hold)
    await works(ctx, days=8)
    assert b"MARKCOURT" in everything(desk)
    found = await mio.get(MINE)
    assert (found["state"], found["kept"]) == ("asked", "court")
    await desk.run("case", "release", case)
    await works(ctx, hours=1)
    assert b"MARKCOURT" not in everything(desk)
    assert (await mio.get(MINE))["state"] == "done"


async def test_for_somebody_on_an_app_staff_enter_it(desk: Desk, ctx: Context) -> None:
    ken, sato, lead = await desk.staff("健"), await desk.staff("佐藤"), await desk.staff("主", "supervisor")
    mio, opened = await desk.arrives()
    case = opened["case_id"]
    await accepts(ken, case)
    place = f"{DESK}/cases/{case}/deletion"
    await refused(sato.put(place, {"reason": "電話で", "end": True}), 403)
    await refused(sato.get(place), 403)
    await refused(ken.put(place, {"reason": "電話で"}), 409)
    for reason in ("", " ", "x" * 201, "二\n行"):
        await refused(ken.put(place, {"reason": reason, "end": True}), 400)
    asked = await ken.put(place, {"reason": "電話で、本人から", "end": True})
    assert row(desk, case, "state") == "closed"
    [seen] = (await (await desk.administrator()).get(DESK + "/deletions"))["wishes"]
    assert (seen["by"], seen["reason"]) == (ken.user_id, "電話で、本人から")
    # The person sees it as their own.
    assert (await mio.get(MINE))["receipt"] == asked["receipt"]
    await refused(sato.delete(place), 403)
    assert (await lead.delete(place))["state"] == "none"
    await refused(lead.delete(place), 404)
    await refused(lead.put(f"{DESK}/cases/nosuchcase/deletion", {"reason": "r"}), 404)
    await works(ctx, days=8)
    assert row(desk, case, "state") == "closed"
    await lead.put(place, {"reason": "手紙で"})
    await works(ctx, days=8)
    assert row(desk, case, "state") == "purged"
