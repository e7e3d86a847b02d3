"""The viewing ledger over HTTP: made from settings and probes, seen by who may, an alarm until it was looked at."""

import base64
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import msgspec
import pytest
import yaml

from madoguchi.context import Context
from madoguchi.core import egress
from madoguchi.core.chat import registrations
from madoguchi.work import ledger as work
from tests import mmdb
from tests.cast import DESK, V3, Json, Person, refused, segment
from tests.desk.conftest import Desk
from tests.desk.test_checks import asks
from tests.desk.test_jobs import a_context

EVERYTHING = "ALTER TABLE {0} DISABLE TRIGGER USER; TRUNCATE {0} CASCADE; ALTER TABLE {0} ENABLE TRIGGER USER"


@pytest.fixture
async def ctx(desk: Desk) -> AsyncIterator[Context]:
    desk.workers.postgres.psql(EVERYTHING.format("viewing_ledgers"), "madoguchi")
    desk.workers.postgres.psql("DELETE FROM egress_counts", "madoguchi")
    async with a_context(desk) as found:
        yield found
    desk.workers.postgres.psql(EVERYTHING.format("viewing_ledgers"), "madoguchi")
    desk.workers.postgres.psql(
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'curious') THEN "
        "DROP OWNED BY curious; DROP ROLE curious; END IF; END $$",
        "madoguchi",
    )
    desk.workers.postgres.psql("DELETE FROM checks; DELETE FROM egress_counts", "madoguchi")


async def night(ctx: Context) -> None:
    async with ctx.db.transaction() as tx:
        await work.make_ledger(ctx, tx, {})


def lines(seen: Json, section: str) -> dict[str, dict[str, str]]:
    (found,) = [each for each in seen["sections"] if each["name"] == section]
    return {line["about"]: {fact["name"]: fact["value"] for fact in line["facts"]} for line in found["lines"]}


async def alarm(admin: Person) -> int:
    checks = (await admin.get(DESK + "/status"))["checks"]
    return next(check["found"] for check in checks if check["name"] == "ledger")


def _a_bridge(desk: Desk) -> Person:
    """The bridges, by their own token."""
    registration = yaml.safe_load((desk.workers.directory / "data/keys/registration-bridges.yaml").read_text())
    token = registration["as_token"]
    return Person(desk.line, "bridges", "", {"user_id": "", "device_id": "", "access_token": token})


async def full(person: Person) -> Json:
    return await person.get(DESK + "/ledger/full", language="en")


async def test_drift_is_an_alarm_until_an_administrator_has_looked_at_it(
    desk: Desk, ctx: Context, tmp_path: Path
) -> None:
    admin, auditor = await desk.administrator(), await desk.staff("監", "auditor")
    await refused(admin.get(DESK + "/ledger/full"), 404)
    await night(ctx)
    first = await full(auditor)
    assert first["drift"] == [] and await alarm(admin) == 0
    assert lines(first, "processes")["serve"] == {"can know": "metadata only, no content"}
    assert lines(first, "places")["backup 1"]["host"] == "unknown"
    # A role that may enter and read everything, an app that is relayed, a call to a host that stands on no list.
    desk.workers.postgres.psql(
        "CREATE ROLE curious LOGIN; GRANT pg_read_all_data TO curious; GRANT CONNECT ON DATABASE madoguchi TO curious",
        "madoguchi",
    )
    await desk.run("channel", "add", "line", "--name", "県のLINE", "--secret", "-", "--token", "-", input_="s\nt\n")
    [channel] = [each for each in (await admin.get(DESK + "/channels"))["channels"] if each["mode"] == "contact_point"]
    await admin.put(f"{DESK}/channels/{channel['id']}/mode", {"mode": "relay", "reason": "決定"})
    bridge = _a_bridge(desk)
    body = {"requests": {"elsewhere.example": 2}}
    await bridge.post(DESK + "/bridge/egress", body)
    await refused(bridge.post(DESK + "/bridge/egress", {"requests": {"a.example/path": 1}}), 400)
    await refused(admin.post(DESK + "/bridge/egress", body), 403)
    async with egress.way(desk.workers.base_urls[0], "t") as way:
        await way.call("GET", "/secret/path?and=more")
    await egress.keep_now(ctx, "serve")
    # A bridge of somebody else's is attached.
    file = tmp_path / "signal.yaml"
    file.write_text(yaml.safe_dump({"id": "signal", "as_token": "a", "hs_token": "h", "sender_localpart": "signalbot",
                                    "url": "http://signal.example:29328"}))  # fmt: skip
    ctx.appservices = [*ctx.appservices, *registrations.load([file], ctx.settings.server_name)]
    await night(ctx)
    second = await full(auditor)
    assert lines(second, "channels")["bridge:signal"] == {
        "kind": "another bridge", "what the company learns": "content of conversations", "company": "unknown",
        "country of the company": "unknown", "host": "signal.example:29328", "country": "unknown",
        "how long the company keeps it": "unknown",
    }  # fmt: skip
    assert any("ほかのアプリとつなぐ" in about and line["can read"] == "yes" for about, line in
               lines(second, "readers").items())  # fmt: skip
    about = {change["about"] for change in second["drift"]}
    host = egress.host_of(desk.workers.base_urls[0])
    assert {"curious", channel["id"], f"serve:{host}", "bridges:elsewhere.example", "bridge:signal"} <= about
    # New only where no other channel of LINE's stood before.
    assert "api.line.me" in json.dumps(second["sections"])
    assert lines(second, "roles")["curious"] == {
        "the desk's own": "no", "superuser": "no", "let into this database": "yes", "tables it could read": "all",
        "tables it could write to": "none", "could alter the audit log": "no",
    }  # fmt: skip
    own = lines(second, "roles")["madoguchi_serve"]
    assert (own["the desk's own"], own["tables it could write to"], own["could alter the audit log"]) == (
        "yes",
        "some",
        "no",
    )
    assert lines(second, "roles")["postgres"]["could alter the audit log"] == "yes"
    assert lines(second, "roles")["the desk's processes"] == {"each has a role of its own": "yes"}
    assert {"madoguchi_serve@this_machine", "madoguchi_work@this_machine"} <= lines(second, "connected").keys()
    assert lines(second, "channels")[channel["id"]]["what the company learns"] == "content of conversations"
    assert lines(second, "channels")[channel["id"]]["country"] == "unknown"
    assert "secret" not in json.dumps(second["sections"])
    assert await alarm(admin) == len(second["drift"]) >= 4
    assert "nobody has looked at" in (await asks(desk, "doctor")).stdout
    # Nothing new: the alarm stands all the same. An auditor looks, and doesn't end it.
    await night(ctx)
    assert await alarm(admin) >= 4
    await refused(auditor.post(DESK + "/ledger/acknowledge", {"seq": 3}), 403)
    await admin.post(DESK + "/ledger/acknowledge", {"seq": (await full(admin))["seq"]})
    assert await alarm(admin) == 0 and (await full(admin))["drift"] == []
    [entry] = (await admin.get(DESK + "/audit", limit=1))["entries"]
    assert (entry["act"], entry["subject"]) == ("ledger.acknowledged", "3")
    await refused(admin.post(DESK + "/ledger/acknowledge", {"seq": 99}), 404)


async def test_it_can_be_checked_elsewhere_and_nobody_changes_it(desk: Desk, ctx: Context, tmp_path: Path) -> None:
    admin = await desk.administrator()
    await night(ctx)
    await night(ctx)
    file = await admin.get(DESK + "/ledger/export", format="json")
    page = await admin.get(DESK + "/ledger/export", language="en")
    paper = await admin.get(DESK + "/ledger/export", format="pdf")
    assert base64.b64decode(paper["text"]).startswith(b"%PDF-")
    assert file["file_name"].endswith(".json") and page["text"].startswith("<!doctype html>")
    taken = tmp_path / file["file_name"]
    taken.write_text(file["text"], encoding="utf-8")
    key = (await full(admin))["public_key"]
    assert "whole and signed" in await desk.run("ledger", "verify", str(taken), "--key", key)
    taken.write_text(file["text"].replace('"metadata"', '"nothing"', 1), encoding="utf-8")
    assert "not what its hash says" in (await asks(desk, "ledger", "verify", str(taken), "--key", key)).stdout
    assert "2 ledgers, whole" in await desk.run("ledger", "verify")
    # By no role of a process, and by the owner only with the trigger switched off.
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with ctx.db.transaction() as tx:
            await tx.execute("UPDATE viewing_ledgers SET drift = '[]'")
    with pytest.raises(subprocess.CalledProcessError):
        desk.workers.postgres.psql("UPDATE viewing_ledgers SET drift = '[]'", "madoguchi")
    day = (await full(admin))["day"]
    assert (await admin.get(f"{DESK}/ledger/{day}"))["seq"] == 2
    assert (await admin.get(DESK + "/ledger/diff"))["changes"] == []
    await refused(admin.get(f"{DESK}/ledger/yesterday"), 400, "M_INVALID_PARAM")
    await refused(admin.get(f"{DESK}/ledger/2001-01-01"), 404)


async def test_young_people_read_the_same_in_short_without_small_numbers(
    desk: Desk, ctx: Context, tmp_path: Path
) -> None:
    before = await desk.line.call("GET", DESK + "/ledger")
    assert before["made_at"] is None and before["readers"] == (await desk.line.call("GET", DESK + "/desk"))["readers"]
    ken = await desk.staff("健")
    mio, opened = await desk.arrives()
    await ken.post(f"{DESK}/cases/{opened['case_id']}/accept")
    # Where he is now, and where he was once, though his device has been seen elsewhere since.
    await ken.get(f"{V3}/admin/whois/{segment(ken.user_id)}")
    await mio.get(f"{V3}/account/whoami")
    for network, days in (("1.211.3.0/24", 80), ("133.242.0.0/24", 1), ("8.8.8.0/24", 91)):
        at = ctx.clock.ms() - days * 24 * 3_600_000
        row = f"INSERT INTO staff_networks (user_id, network, last_at) VALUES ('{ken.user_id}', '{network}', {at})"
        desk.workers.postgres.psql(row, "madoguchi")
    file = mmdb.write(tmp_path / "c.mmdb", {"133.0.0.0/8": "JP", "1.208.0.0/12": "KR"})
    ctx.settings = msgspec.structs.replace(ctx.settings, country_database=str(file), backup_places=("133.1.1.1",))
    await night(ctx)
    told = await desk.line.call("GET", DESK + "/ledger")
    assert {"what": "backup", "country": "JP"} in told["places"]
    assert {each["what"] for each in told["places"]} == {"database", "files", "backup"}
    assert all(each["cases"] is None or each["cases"] == 0 or each["cases"] >= 5 for each in told["opened"])
    assert any(each["role"] == "counsellor" for each in told["opened"])
    seen = await full(await desk.administrator())
    came = lines(seen, "logins")
    assert {"own network", "inside:127.0.0.0/24", "JP:133.242.0.0/24", "KR:1.211.3.0/24"} <= came.keys()
    assert came["KR"] == {"country": "KR", "people": "1"}
    assert "8.8.8.0/24" not in str(came)
    known = desk.workers.postgres.psql("SELECT user_id, network FROM staff_networks", "madoguchi")
    assert mio.user_id not in known and "8.8.8.0/24" not in known
    # Neither says who asked for help, or where they were.
    assert mio.user_id not in json.dumps([told, seen]) and opened["case_id"] not in json.dumps([told, seen])
    assert "133.242" not in json.dumps(told) and "1.211" not in json.dumps(told)
