"""The audit log: what administrators and operators do stands in it, and nobody takes anything out again."""

import asyncio
import json
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from madoguchi.work import auditing
from tests.cast import DESK, Json, Person
from tests.desk.conftest import Desk
from tests.desk.test_jobs import SetClock, a_context


async def newest(person: Person, limit: int = 100) -> list[Json]:
    found: list[Json] = (await person.get(DESK + "/audit", limit=limit))["entries"]
    return found


async def run(desk: Desk, *words: str) -> subprocess.CompletedProcess[str]:
    """`madoguchi audit …`, whatever it ends with."""
    try:
        return subprocess.CompletedProcess(words, 0, await desk.run("audit", *words), "")
    except subprocess.CalledProcessError as failed:
        return subprocess.CompletedProcess(words, failed.returncode, failed.stdout, failed.stderr)


async def test_what_is_done_at_the_desk_stands_in_the_log(desk: Desk) -> None:
    admin, auditor = await desk.administrator(), await desk.staff("監", "auditor")
    ken = await desk.staff("健")
    start = (await newest(admin, 1))[0]["seq"]
    await admin.put(f"{DESK}/staff/{ken.user_id}", {"name": "健太", "capacity": 2})
    given = await admin.post(f"{DESK}/staff/{ken.user_id}/password")
    await admin.put(DESK + "/settings/session_days", {"value": 31})
    await admin.put(DESK + "/settings/session_days", {"value": 30})
    await admin.post(DESK + "/guidance/police/confirm")
    await admin.put(DESK + "/intake", {"intake": "paused"})
    await admin.put(DESK + "/intake", {"intake": "open"})
    await admin.post(f"{DESK}/staff/{ken.user_id}/disable")
    mio, opened = await desk.arrives()
    await mio.post(DESK + "/cases/mine/leave")
    await desk.run("case", "purge", opened["case_id"], "--reason", "本人の希望", "--yes")
    told = [entry for entry in reversed(await newest(auditor)) if entry["seq"] > start]
    assert [entry["act"] for entry in told] == [
        "staff.changed", "staff.password_reset", "setting.changed", "setting.changed", "guidance.confirmed",
        "setting.changed", "setting.changed", "staff.disabled", "case.purged",
    ]  # fmt: skip
    assert json.loads(told[0]["detail"]) == {"name": "健太", "capacity": 2}
    assert {entry["actor"] for entry in told[:-1]} == {admin.user_id}
    assert told[-1]["actor"].startswith("operator") and json.loads(told[-1]["detail"])["reason"] == "本人の希望"
    assert given["password"] not in json.dumps(told)
    # Numbers without a gap; an older page goes on where the newer ends.
    assert [entry["seq"] for entry in told] == list(range(start + 1, start + 10))
    page = await admin.get(DESK + "/audit", before=told[0]["seq"], limit=1)
    assert [entry["seq"] for entry in page["entries"]] == [start]


async def test_what_was_refused_is_not_in_it(desk: Desk) -> None:
    admin = await desk.administrator()
    before = (await newest(admin, 1))[0]["seq"]
    for attempt in (
        admin.put(DESK + "/settings/nonsense", {"value": 1}),
        admin.put(f"{DESK}/staff/@nobody:x", {"capacity": 1}),
        admin.put(DESK + "/guidance", {"order": []}),
    ):
        with pytest.raises(Exception, match="4"):
            await attempt
    assert (await newest(admin, 1))[0]["seq"] == before


async def test_of_many_at_once_each_has_its_place(desk: Desk) -> None:
    admin = await desk.administrator()
    before = (await newest(admin, 1))[0]["seq"]
    values = [{"value": 20 + number} for number in range(12)]
    await asyncio.gather(
        *(desk.some_line().call("PUT", DESK + "/settings/session_days", v, token=admin.token) for v in values)
    )
    await admin.put(DESK + "/settings/session_days", {"value": 30})
    assert (await newest(admin, 1))[0]["seq"] == before + 13
    assert "whole and signed" in (await run(desk, "verify")).stdout


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", "TRUNCATE audit_log", "DELETE FROM audit_heads"],
)
async def test_the_database_refuses_to_change_it(desk: Desk, statement: str) -> None:
    await desk.administrator()
    with pytest.raises(subprocess.CalledProcessError):
        desk.workers.postgres.psql(statement, "madoguchi")


async def test_whoever_changes_it_all_the_same_is_found(desk: Desk, tmp_path: Path) -> None:
    admin = await desk.administrator()
    psql = desk.workers.postgres.psql
    await admin.put(DESK + "/settings/session_days", {"value": 30})
    async with a_context(desk) as ctx, ctx.db.transaction() as tx:
        assert isinstance(ctx.clock, SetClock)
        ctx.clock.at += timedelta(days=1)
        await auditing.sign_audit_log(ctx, tx, {})
        await auditing.sign_audit_log(ctx, tx, {})
    last = (await newest(admin, 1))[0]["seq"]
    assert (await admin.get(DESK + "/audit"))["signed"] == last
    assert (await run(desk, "verify")).returncode == 0
    # A superuser of the database switches the refusal off, cuts the end, and changes an entry.
    psql("CREATE TABLE kept_audit AS SELECT * FROM audit_log", "madoguchi")
    psql("ALTER TABLE audit_log DISABLE TRIGGER USER", "madoguchi")
    try:
        psql(f"DELETE FROM audit_log WHERE seq = {last}", "madoguchi")
        told = await run(desk, "verify")
        assert told.returncode == 1 and "signed head says that it went on" in told.stdout
        psql(f"INSERT INTO audit_log SELECT * FROM kept_audit WHERE seq = {last}", "madoguchi")
        psql("UPDATE audit_log SET actor = '@somebody:else' WHERE seq = 2", "madoguchi")
        told = await run(desk, "verify")
        assert told.returncode == 1 and "entry 2 is not what it was" in told.stdout
    finally:
        psql("DELETE FROM audit_log", "madoguchi")
        psql("INSERT INTO audit_log SELECT * FROM kept_audit", "madoguchi")
        psql("ALTER TABLE audit_log ENABLE TRIGGER USER", "madoguchi")
        psql("DROP TABLE kept_audit", "madoguchi")
    assert (await run(desk, "verify")).returncode == 0


async def test_an_exported_log_is_checked_without_the_desk(desk: Desk, tmp_path: Path) -> None:
    await desk.administrator()
    file = tmp_path / "log.jsonl"
    assert (await run(desk, "export", "--out", str(file))).returncode == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[-1]["head"] == max(line["seq"] for line in lines if "seq" in line)
    key = (await run(desk, "key")).stdout.strip()
    assert lines[0]["public_key"] == key
    assert "whole and signed" in (await run(desk, "verify", str(file), "--key", key)).stdout
    assert any(line.get("act") == "audit.exported" for line in lines)
    # It is never written over.
    again = await run(desk, "export", "--out", str(file))
    assert again.returncode != 0 and "exists" in again.stderr
    for line in lines:
        if line.get("seq") == 1:
            line["actor"] = "nobody"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert (await run(desk, "verify", str(file))).returncode == 1
    for damaged in ("", "{}", "not json", json.dumps(lines[0]) + '\n{"seq": 1}\n'):
        file.write_text(damaged)
        told = await run(desk, "verify", str(file))
        assert told.returncode == 1 and "Traceback" not in told.stderr
