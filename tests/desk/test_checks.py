"""The nightly examinations: what the vault's holders could not open is named, and the alarm is seen where one looks."""

import base64
import contextlib
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from madoguchi.context import Context
from madoguchi.core.chat import integrity
from madoguchi.work import checks
from tests.cast import DESK, Json, Person
from tests.desk.conftest import Desk
from tests.desk.test_jobs import SetClock, a_context

ENCRYPTED = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "device_id": "d"}


@pytest.fixture
async def with_vault(desk: Desk) -> AsyncIterator[Desk]:
    """A desk with a vault, and no case but those of the test: earlier ones have no keys at all."""
    desk.workers.postgres.psql("UPDATE cases SET state = 'purged'", "madoguchi")
    with contextlib.suppress(subprocess.CalledProcessError):
        await desk.run("vault", "init")
    yield desk
    for table in ("vault_keys", "vault", "checks"):
        desk.workers.postgres.psql(f"DELETE FROM {table}", "madoguchi")


async def says(person: Person, room: str, session: str, **more: str) -> str:
    return await person.sends(room, "m.room.encrypted", ENCRYPTED | {"session_id": session, **more})


def numbered(index: int) -> str:
    """The beginning of the ciphertext of a session's message with this index, as Megolm has it."""
    sevens = [index >> shift & 127 for shift in (0, 7, 14) if shift == 0 or index >> shift]
    varint = bytes([*(each | 128 for each in sevens[:-1]), sevens[-1]])
    return base64.b64encode(b"\3\x08" + varint + b"\x12" + bytes(20)).decode().rstrip("=")


async def seals(desk: Desk, room: str, session: str, first: int = 0) -> None:
    body = {"room_id": room, "session_id": session, "sender_key": "c", "sealed": base64.b64encode(b"s").decode()}
    await (await desk.keeper()).put(DESK + "/keeper/vault_keys", {"keys": [body | {"first_index": first}]})


async def examined(ctx: Context, after: timedelta = timedelta(minutes=6)) -> None:
    assert isinstance(ctx.clock, SetClock)
    ctx.clock.at += after
    async with ctx.db.transaction() as tx:
        await checks.check_vault(ctx, tx, {})
        await checks.check_events(ctx, tx, {})
        await checks.check_audit_log(ctx, tx, {})
        await checks.check_bridges(ctx, tx, {})


async def found(desk: Desk) -> dict[str, int]:
    status: Json = await (await desk.administrator()).get(DESK + "/status")
    return {check["name"]: check["found"] for check in status["checks"]}


async def asks(desk: Desk, *words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.CompletedProcess(words, 0, await desk.run(*words), "")
    except subprocess.CalledProcessError as failed:
        return subprocess.CompletedProcess(words, failed.returncode, failed.stdout, failed.stderr)


async def test_what_is_missing_in_the_vault_is_named_until_it_is_there(with_vault: Desk) -> None:
    desk = with_vault
    mio, opened = await desk.arrives()
    room, case = opened["room_id"], opened["case_id"]
    for session in ("one", "one", "two"):
        await says(mio, room, session)
    taken = await says(mio, room, "three")
    await mio.redacts(room, taken)
    await seals(desk, room, "one")
    async with a_context(desk) as ctx:
        # A key and its message come by two roads.
        await examined(ctx, timedelta(minutes=0))
        fine = {"vault": 0, "vault_key": 0, "events": 0, "audit": 0, "bridges": 0}
        assert await found(desk) == fine
        # Somebody has put a vault key of their own into the database, too.
        desk.workers.postgres.psql("UPDATE vault SET public_key = sha256('theirs')", "madoguchi")
        await examined(ctx)
        assert await found(desk) == fine | {"vault": 1, "vault_key": 1}
        told = await asks(desk, "doctor")
        assert told.returncode == 1 and "1 sessions that its holders could not open" in told.stdout
        assert "is not the one of vault.pub: the keeper seals nothing to it" in told.stdout
        # The operator says that it is theirs, after all.
        assert "The keeper seals to vault" in (await asks(desk, "vault", "pin", "--yes")).stdout
        desk.workers.postgres.psql(f"UPDATE events SET at = at - 600000 WHERE room_id = '{room}'", "madoguchi")
        told = await asks(desk, "vault", "check")
        assert told.returncode == 1 and f"case {case}: 1 events by {mio.user_id}" in told.stdout
        assert "1 events in 1 cases: " in told.stdout
        await seals(desk, room, "two")
        assert "can be opened" in (await asks(desk, "vault", "check")).stdout
        # A key that opens only what was said later is not the key of what was said before.
        for index in (2, 127, 300, 301, 16384):
            await says(mio, room, "four", ciphertext=numbered(index))
        await says(mio, room, "four", ciphertext="no message at all")
        await seals(desk, room, "four", 301)
        desk.workers.postgres.psql(f"UPDATE events SET at = at - 600000 WHERE room_id = '{room}'", "madoguchi")
        told = await asks(desk, "vault", "check")
        assert told.returncode == 1 and f"case {case}: 3 events by {mio.user_id}" in told.stdout
        await seals(desk, room, "four", 2)
        assert "can be opened" in (await asks(desk, "vault", "check")).stdout
        await examined(ctx)
        assert await found(desk) == fine


async def test_every_event_can_be_seen_to_be_what_was_sent(desk: Desk) -> None:
    mio, opened = await desk.arrives()
    room = opened["room_id"]
    event = await says(mio, room, "one")
    taken = await says(mio, room, "two")
    await mio.redacts(room, taken)
    await mio.redacts(room, taken)
    sato = await desk.administrator()
    for version in ("10", "11", "12"):
        plain = await sato.opens_a_room(room_version=version)
        await sato.redacts(plain, await sato.says(plain, "取り消す"))
    psql = desk.workers.postgres.psql
    changes = {
        "body = replace(body, '\"x\"', '\"y\"')": event,
        "sender = '@somebody:else'": event,
        "nonce = NULL": event,
        "nonce = nonce || 'x'": event,
        "content_hash = sha256('x')": taken,
        "body = 'nothing'": taken,
    }
    columns = "body, sender, nonce, content_hash"
    async with a_context(desk) as ctx:
        for change, of in changes.items():
            psql(f"CREATE TABLE kept AS SELECT * FROM events WHERE event_id = '{of}'", "madoguchi")
            try:
                psql(f"UPDATE events SET {change} WHERE event_id = '{of}'", "madoguchi")
                async with ctx.db.transaction() as tx:
                    assert [(e.room_id, e.event_id) async for e in integrity.altered(tx)] == [(room, of)], change
                if change.startswith("body ="):
                    await examined(ctx)
                    assert (await found(desk))["events"] == 1
                    told = await asks(desk, "case", "check")
                    assert (told.returncode, told.stdout.splitlines()[0]) == (1, f"room {room}: {of}")
            finally:
                psql(
                    f"UPDATE events SET ({columns}) = (SELECT {columns} FROM kept) WHERE event_id = '{of}'", "madoguchi"
                )
                psql("DROP TABLE kept", "madoguchi")
        await examined(ctx)
    assert (await found(desk))["events"] == 0
    assert "as it was sent" in (await asks(desk, "case", "check")).stdout


async def test_a_log_that_was_changed_alarms(desk: Desk) -> None:
    await desk.administrator()
    psql = desk.workers.postgres.psql
    psql("ALTER TABLE audit_log DISABLE TRIGGER audit_log_grows", "madoguchi")
    psql("UPDATE audit_log SET subject = subject || 'x' WHERE seq = 1", "madoguchi")
    try:
        async with a_context(desk) as ctx:
            await examined(ctx)
        assert (await found(desk))["audit"] == 1
        assert "audit log" in (await asks(desk, "doctor")).stdout
    finally:
        psql("UPDATE audit_log SET subject = rtrim(subject, 'x') WHERE seq = 1", "madoguchi")
        psql("ALTER TABLE audit_log ENABLE TRIGGER audit_log_grows", "madoguchi")
    async with a_context(desk) as ctx:
        await examined(ctx)
    assert (await found(desk))["audit"] == 0


async def test_what_came_from_an_app_and_is_nowhere_is_seen_at_once_and_in_the_night(desk: Desk) -> None:
    psql, admin = desk.workers.postgres.psql, await desk.administrator()
    columns = "channel_id, event_key, person, kind, happened_at, received_at, outcome, shown_as"

    async def ledger() -> Json:
        ledgers = (await admin.get(DESK + "/status"))["ledgers"]
        return next(each for each in ledgers if each["channel_id"] == "line-x")

    added = "id, kind, name, mode, settings, added_at, added_by"
    psql(f"INSERT INTO channels ({added}) VALUES ('line-x', 'line', 'x', 'closed', '{{}}', now(), 'test')", "madoguchi")
    psql("INSERT INTO bridge_quota VALUES ('line-x', 200, 179, 1)", "madoguchi")
    psql("INSERT INTO bridge_doors VALUES ('line-x', 4, 1)", "madoguchi")
    psql(
        f"INSERT INTO bridge_intake ({columns}) VALUES ('line-x', 'a', 'p', 'message', 1, 1, 'shown', NULL), "
        "('line-x', 'b', 'p', 'message', 1, 1, NULL, NULL)",
        "madoguchi",
    )
    try:
        seen = await ledger()
        assert (seen["received"], seen["shown"], seen["waiting"], seen["missing"]) == (4, 1, 1, 1)
        told = (await asks(desk, "doctor")).stdout
        assert "line-x: 179 of 200 sent in this month, 20 of them kept back" in told
        psql("UPDATE channels SET settings = '{\"quota_reserve\": 21}' WHERE id = 'line-x'", "madoguchi")
        (quota,) = (await admin.get(DESK + "/status"))["quotas"]
        assert (quota["most"], quota["used"], quota["reserve"], quota["down_to_reserve"]) == (200, 179, 21, True)
        assert "line-x: 4 in = 1 shown + 1 repetitions + 1 waiting; 1 are nowhere." in told
        psql("UPDATE bridge_doors SET received = 3", "madoguchi")
        told = (await asks(desk, "doctor")).stdout
        assert "line-x: 3 in = 1 shown + 1 repetitions + 1 waiting, some for more than 3 minutes." in told
        async with a_context(desk) as ctx:
            await examined(ctx)
            assert (await found(desk))["bridges"] == 0
            psql("UPDATE bridge_intake SET shown_as = '$nowhere'", "madoguchi")
            await examined(ctx)
        assert (await found(desk))["bridges"] == 2
        assert "2 events of apps that are not where the ledger says" in (await asks(desk, "doctor")).stdout
    finally:
        psql("DELETE FROM channels WHERE id = 'line-x'", "madoguchi")
        for table in ("bridge_doors", "bridge_intake", "bridge_quota"):
            psql(f"DELETE FROM {table}", "madoguchi")
    async with a_context(desk) as ctx:
        await examined(ctx)
    assert (await found(desk))["bridges"] == 0
