"""Each kind of what a case leaves behind goes in its own time; what tells more never outlives what tells less."""

import json
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madoguchi.context import Context
from madoguchi.core.desk import periods
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.settings import DeskSettings
from madoguchi.work import auditing, retention
from tests.cast import DESK, V1, Json, refused
from tests.desk.conftest import Desk
from tests.desk.test_audit import run
from tests.desk.test_jobs import SetClock, a_context
from tests.desk.test_purge import everything, files, talks, works
from tests.matrix.test_media import raw

NAMES = ("content_days", "media_days", "record_days", "metadata_days", "audit_days")
DEFAULTS = {"content_days": 1825, "media_days": 0, "record_days": 0, "metadata_days": 0, "audit_days": 0}


@pytest.fixture
async def ctx(desk: Desk) -> AsyncIterator[Context]:
    desk.workers.postgres.psql("DELETE FROM jobs", "madoguchi")
    async with a_context(desk) as found:
        yield found
    for name in NAMES:
        desk.workers.postgres.psql(f"DELETE FROM desk_settings WHERE name = '{name}'", "madoguchi")
    desk.workers.postgres.psql("DELETE FROM jobs", "madoguchi")


@given(st.builds(DeskSettings, **{
    "content_days": st.integers(1, 400), **{name: st.just(0) | st.integers(1, 900) for name in NAMES[1:]},
}))  # fmt: skip
def test_what_is_accepted_has_an_order_and_what_has_one_is_accepted(wanted: DeskSettings) -> None:
    days = {kind: 10**6 if found is None else found for kind, found in periods.days_of(wanted).items()}
    ordered = days["media"] <= days["keys"] == days["content"] <= days["record"] <= days["metadata"]
    seen = wanted.audit_days == 0 or wanted.audit_days >= max(365, wanted.content_days)
    traces = days["metadata"] >= days["content"] + 30
    assert (desk_settings.contradiction(wanted) is None) == (ordered and seen and traces)


async def test_periods_that_make_no_sense_together_are_refused(desk: Desk, ctx: Context) -> None:
    admin = await desk.administrator()

    async def put(name: str, value: int) -> Json:
        told: Json = await admin.put(f"{DESK}/settings/{name}", {"value": value})
        return told

    await put("content_days", 90)
    for name, value, why in (
        ("media_days", 91, "outlive"), ("record_days", 89, "before what it is about"), ("metadata_days", 119, "traces"),
        ("audit_days", 364, "look"), ("media_days", -1, "media_days"), ("metadata_days", 36501, "metadata_days"),
    ):  # fmt: skip
        refusal = await refused(put(name, value), 400)
        assert why in refusal.body["error"], refusal
    await put("media_days", 90)
    await put("metadata_days", 200)
    assert "outlive the case's metadata" in (await refused(put("record_days", 201), 400)).body["error"]
    await put("record_days", 90)
    # What stands already is looked at, too.
    for name, value in (("content_days", 89), ("content_days", 171)):
        await refused(put(name, value), 400)
    told = await put("audit_days", 365)
    assert {name: told[name] for name in NAMES} == {
        "content_days": 90, "media_days": 90, "record_days": 90, "metadata_days": 200, "audit_days": 365,
    }  # fmt: skip


async def test_each_kind_goes_in_its_time(desk: Desk, ctx: Context, tmp_path: Path) -> None:
    ken, admin = await desk.staff("健"), await desk.administrator()
    mio, opened, file = await talks(desk, ken, "MARKKIND")
    held, kept, _ = await talks(desk, ken, "MARKKEEP")
    case = opened["case_id"]
    await ken.put(f"{DESK}/cases/{case}/record", {"topics": ["family"]})
    await desk.run("case", "hold", kept["case_id"], "--reason-code", "court", "--reference", "R8-5")
    for name, value in (("content_days", 60), ("media_days", 10), ("record_days", 120), ("metadata_days", 200)):
        await admin.put(f"{DESK}/settings/{name}", {"value": value})

    def left(case_id: str) -> str:
        return desk.workers.postgres.psql(
            f"SELECT state, (SELECT count(*) FROM records r WHERE r.case_id = c.id), "
            f"(SELECT count(*) > 0 FROM case_steps s WHERE s.case_id = c.id), user_id LIKE 'gone:%' "
            f"FROM cases c WHERE id = '{case_id}'",
            "madoguchi",
        ).strip()

    async def kinds() -> dict[str, Json]:
        return {each["kind"]: each for each in (await admin.get(DESK + "/deletions"))["kinds"]}

    before = await kinds()
    assert [each["days"] for each in before.values()] == [10, 60, 60, 120, 200]
    assert before["media"]["due"] >= 2 and before["media"]["held"] >= 1
    due = await desk.run("case", "due", "--on", f"{ctx.clock.now() + timedelta(days=20):%Y-%m-%d}")
    assert "media: of" in due and "0 cases would be purged" in due

    # Files go, words stay; of what is held nothing goes.
    await works(ctx, days=10)
    assert files(desk).isdisjoint({b"fileMARKKIND", b"sideMARKKIND"}) and b"fileMARKKEEP" in files(desk)
    assert b"aMARKKIND" in everything(desk)
    status, _, _ = await raw(mio, f"{V1}/media/download/{file}")
    assert status == 404
    after = await kinds()
    assert after["media"]["gone_items"] >= before["media"]["gone_items"] + 2
    said = json.loads(await desk.run("case", "certificate", case))["certificate"]
    assert (said["number"], said["destroyed"]) == (1, {"files": 2}) and "messages" in said["left"]

    await works(ctx, days=50)
    assert left(case) == "purged|1|t|f" and b"MARKKIND" not in everything(desk)
    await works(ctx, days=60)
    assert left(case) == "purged|0|t|f"
    await works(ctx, days=80)
    assert left(case) == "purged|0|f|t"
    assert left(kept["case_id"]) == "closed|0|t|f" and b"fileMARKKEEP" in files(desk)
    file_ = tmp_path / "certificate.json"
    file_.write_text(await desk.run("case", "certificate", case))
    said = json.loads(file_.read_text())["certificate"]
    assert (said["number"], said["left"]) == (4, ["figures"])
    assert "whole and signed" in await desk.run("case", "verify", str(file_))
    await desk.run("case", "release", kept["case_id"])
    assert held.user_id in everything(desk).decode()


async def test_an_old_part_of_the_audit_log_is_cut_and_the_rest_verifies(
    desk: Desk, ctx: Context, tmp_path: Path
) -> None:
    admin, clock = await desk.administrator(), ctx.clock
    assert isinstance(clock, SetClock)

    async def nightly(**later: float) -> None:
        clock.at += timedelta(**later)
        for job in (auditing.sign_audit_log, retention.cut_audit_log):
            async with ctx.db.transaction() as tx:
                await job(ctx, tx, {})

    def numbers() -> tuple[int, int]:
        first, last = desk.workers.postgres.psql("SELECT min(seq), max(seq) FROM audit_log", "madoguchi").split("|")
        return int(first), int(last)

    # What other tests hold would keep the log as well.
    for line in (await desk.run("case", "holds")).splitlines():
        case, _, reference = line.split("\t")[:3]
        await desk.run("case", "release", case, "--reference", reference)
    await nightly()
    begins, ends = numbers()
    # Nothing is cut unless somebody has said so, nor before its time.
    await nightly(days=4000)
    assert numbers()[0] == begins
    await admin.put(f"{DESK}/settings/audit_days", {"value": 1825})
    clock.at -= timedelta(days=4000)
    await nightly(days=1000)
    assert numbers()[0] == begins
    _, opened = await desk.arrives()
    await nightly(days=900)
    first, last = numbers()
    assert first > begins and last > ends
    told = await run(desk, "verify")
    assert told.returncode == 0 and "whole and signed" in told.stdout and f"begin with {first}" in told.stdout
    file = tmp_path / "log.jsonl"
    await run(desk, "export", "--out", str(file))
    told = await run(desk, "verify", str(file))
    assert told.returncode == 0 and f"begin with {first}" in told.stdout
    lines = file.read_text().splitlines()
    file.write_text("\n".join(line for line in lines if '"anchor"' not in line))
    assert "is missing" in (await run(desk, "verify", str(file))).stdout
    # Who can write to the database can cut, but sign no anchor.
    psql = desk.workers.postgres.psql
    cut = f"SELECT {last - 1}, hash, now(), 1, signature FROM audit_heads LIMIT 1"
    psql("ALTER TABLE audit_anchors DISABLE TRIGGER USER", "madoguchi")
    psql(f"INSERT INTO audit_anchors (seq, hash, at, entries, signature) {cut}", "madoguchi")
    try:
        told = await run(desk, "verify")
        assert told.returncode == 1 and "was not signed by this key" in told.stdout
    finally:
        psql(f"DELETE FROM audit_anchors WHERE seq = {last - 1}", "madoguchi")
        psql("ALTER TABLE audit_anchors ENABLE TRIGGER USER", "madoguchi")
    with pytest.raises(subprocess.CalledProcessError):
        psql(f"DELETE FROM audit_log WHERE seq = {last}", "madoguchi")
    # While something is held, what is younger than its case stays.
    held = f"SELECT count(*) FROM audit_log WHERE act = 'case.held' AND subject = '{opened['case_id']}'"
    await desk.run("case", "hold", opened["case_id"], "--reason-code", "court", "--reference", "R8-9")
    for _ in range(3):
        await nightly(days=1900)
    assert psql(held, "madoguchi").strip() == "1"
    await desk.run("case", "release", opened["case_id"])
    for _ in range(3):
        await nightly(days=1900)
    assert psql(held, "madoguchi").strip() == "0"
    assert (await run(desk, "verify")).returncode == 0
