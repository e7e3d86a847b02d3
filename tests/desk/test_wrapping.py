"""A purge reaches the backups of the database: what a case's keys are wrapped in lies in none of them."""

import asyncio
import base64
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import pytest
from alembic import command
from click.testing import CliRunner

from madoguchi import migrate
from madoguchi.cli import main
from madoguchi.core.desk.hours import TOKYO
from madoguchi.storage import wrapping
from madoguchi.vault import sealing, shares
from tests.cast import DESK, V3, Json, Person, refused
from tests.core.test_vault import Writer
from tests.desk.conftest import Desk
from tests.desk.test_cases import accepts
from tests.house import MADOGUCHI, _environment
from tests.matrix.test_backup import begun, key, session

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[Any]
else:
    Connection = asyncpg.Connection
DUMPED = ("database", "pg_dump", "--format=custom")
HOLDERS = ("--holder", "Abe", "--holder", "Baba")
RESTORED = ("pg_restore", "--no-owner", "--no-privileges", "--exit-on-error")


@pytest.fixture
async def words(desk: Desk) -> AsyncIterator[str]:
    """The shares of a vault that has no keys yet."""
    for table in ("vault_keys", "vault"):
        desk.workers.postgres.psql(f"DELETE FROM {table}", "madoguchi")
    yield await run(desk, "vault", "init", "--shares", "3", "--threshold", "2")
    for table in ("vault_keys", "vault"):
        desk.workers.postgres.psql(f"DELETE FROM {table}", "madoguchi")


@pytest.fixture
async def copy(desk: Desk) -> AsyncIterator[str]:
    """The URL of an empty database beside the desk's."""
    yield desk.workers.postgres.create("copy")
    desk.workers.postgres.psql("DROP DATABASE copy")


async def run(desk: Desk, *words: str, input_: str | None = None, code: int = 0) -> str:
    """`madoguchi …` on the desk's database, without a process of its own: what it says, and in which way it ends."""
    env = {name: value for name, value in _environment(desk.workers.env).items() if name.startswith("MADOGUCHI_")}
    told = await asyncio.to_thread(CliRunner(env=env).invoke, main, list(words), input=input_)
    assert told.exit_code == code, told.output
    return told.output


async def fails(desk: Desk, *words: str, input_: str | None = None) -> str:
    return await run(desk, *words, input_=input_, code=1)


async def says(desk: Desk, ken: Person, words: str, said: str) -> tuple[Person, Json]:
    """A case in which a young person says something, closed; its key is in the vault and in the person's backup."""
    mio, opened = await desk.arrives(with_password=True)
    room = opened["room_id"]
    await accepts(ken, opened["case_id"])
    writer = Writer()
    content = writer.says({"msgtype": "m.text", "body": said}, room=room)["content"]
    await mio.sends(room, "m.room.encrypted", content | {"device_id": "d"})
    secret = replace(writer.secret(), room_id=room)
    sealed = base64.b64encode(sealing.seal(sealing.public_of(shares.read(words)), secret)).decode()
    body = {"room_id": room, "session_id": secret.session_id, "sender_key": "c", "sealed": sealed}
    await (await desk.keeper()).put(f"{DESK}/keeper/vault_keys", {"keys": [body]})
    await mio.put(session(room, secret.session_id), key(mark=said), version=await begun(mio))
    await ken.post(f"{DESK}/cases/{opened['case_id']}/close")
    return mio, opened | {"session_id": secret.session_id}


async def test_what_was_purged_opens_from_no_backup_and_the_rest_does(
    desk: Desk, words: str, copy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ken = await desk.staff("健")
    mio, gone = await says(desk, ken, words, "SAIDONE")
    _, kept = await says(desk, ken, words, "SAIDTWO")
    before, after, dump = (str(tmp_path / name) for name in ("before.json", "after.json", "desk.dump"))
    await run(desk, "wrapping", "save", before)
    assert Path(before).stat().st_mode & 0o077 == 0
    _, late = await says(desk, ken, words, "SAIDLATE")
    await desk.run(*DUMPED, f"--file={dump}")
    # The person has their key back as it was, and what lies there is neither it nor what the keeper sealed.
    of_mine = session(gone["room_id"], gone["session_id"])
    version = (await mio.get(f"{V3}/room_keys/version"))["version"]
    assert (await mio.get(of_mine, version=version))["session_data"]["ciphertext"] == "sealedSAIDONE"
    assert b"SAIDONE" not in Path(dump).read_bytes()

    told = await run(desk, "case", "purge", gone["case_id"], "--reason", "x", "--yes")
    assert "no backup of the database opens it" in told
    # Nobody makes a new one for it: what a page puts in again is not taken.
    assert (await mio.put(of_mine, key(mark="SAIDONE"), version=version))["count"] == 0
    await refused(mio.get(of_mine, version=version), 404)
    await run(desk, "wrapping", "save", after)
    saved = json.loads(Path(after).read_text())
    assert gone["room_id"] in saved["destroyed"] and gone["room_id"] not in {key["room_id"] for key in saved["keys"]}
    certificate = json.loads(await run(desk, "case", "certificate", gone["case_id"]))["certificate"]
    assert certificate["destroyed"]["wrapping_keys"] == 1
    assert certificate["wrapped_since"] <= certificate["wrapping_keys_saved"] <= certificate["purged_at"]
    assert "backups_made_before" not in certificate["not_covered"]

    await desk.run("database", "--database-url", copy, *RESTORED, "--dbname=copy", dump)
    connection: Connection = await asyncpg.connect(copy)
    try:
        assert await connection.fetchval("SELECT count(*) FROM wrapping_keys") == 0
        held = await connection.fetch("SELECT session_data AS held FROM key_backup_sessions")
        assert held and not any(b"SAID" in row["held"] for row in held)
        on_copy = ("--database-url", copy)
        opening = ("vault", "open", *on_copy, "--reason", "r", *HOLDERS)

        async def opened(case: Json, *more: str) -> str:
            return await run(desk, *opening, case["case_id"], *more, input_=words)

        for case, more, why in (
            (gone, (), "a copy without the wrapping keys"),
            (gone, ("--wrapping-keys", after), "destroyed with the case on"),
            (gone, ("--wrapping-keys", str(tmp_path / "none")), "No such file"),
            (late, ("--wrapping-keys", before), "before this was sealed"),
        ):
            assert why in await fails(desk, *opening, case["case_id"], *more, input_=words)
        assert "SAIDTWO" in await opened(kept, "--wrapping-keys", after)
        # With a file of before the purge it opens: that is why there must be none.
        assert "SAIDONE" in await opened(gone, "--wrapping-keys", before)

        # Neither is anything lost by mistake: a copy's keys do not take a desk's place, and nothing is sealed anew.
        assert "keys that this database has not" in await fails(desk, "wrapping", "save", *on_copy, before)
        rotated = ("vault", "rotate", *on_copy, "--reason", "r", *HOLDERS, "--out", str(tmp_path / "new"))
        assert "wrapping load" in await fails(desk, *rotated, input_=words)
        Path(tmp_path / "other.json").write_text(Path(after).read_text().replace("madoguchi.test", "other.test"))
        assert "of the desk other.test" in await fails(desk, "wrapping", "load", *on_copy, str(tmp_path / "other.json"))

        # Brought to the copy, they open what was not purged, and what was is named. An older file brings nothing back.
        told = await run(desk, "wrapping", "load", *on_copy, after)
        assert f"madoguchi case purge {gone['case_id']}" in told
        told = await run(desk, "wrapping", "load", *on_copy, before)
        assert told.startswith("0 wrapping keys came")
        assert "destroyed with the case on" in await fails(desk, *opening, gone["case_id"], input_=words)
        assert "SAIDTWO" in await opened(kept)
        today = f"{datetime.now(TOKYO):%Y-%m-%d}"
        ranged = await run(desk, *opening, "--range", f"{today}..{today}", input_=words)
        assert "SAIDTWO" in ranged and "SAIDONE" not in ranged and "鍵を包んでいる鍵がありません" in ranged
        await _before_the_upgrade(connection)
    finally:
        await connection.close()
    # What an older version stored is wrapped by the upgrade, and opens as before. What came later is there already.
    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0049_wrapping_keys"))
    await migrate.migrate(copy)
    desk.workers.postgres.psql(f"UPDATE alembic_version SET version_num = '{migrate.newest_revision()}'", "copy")
    assert "SAIDTWO" in await opened(kept)


async def until(connection: Connection, question: str, *about: object) -> Any:
    """Ask until there is an answer; gives it. Raises TimeoutError."""
    async with asyncio.timeout(30):
        while not (answer := await connection.fetchval(question, *about)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return answer


async def _before_the_upgrade(connection: Connection) -> None:
    """The database as the version before wrapping keys had it."""
    for table, column, names in (
        ("vault_keys", "sealed", ("room_id", "session_id", "key_id")),
        ("key_backup_sessions", "session_data", ("room_id", "session_id", "user_id", "version")),
    ):
        await connection.execute(f"DELETE FROM {table} WHERE wrapping NOT IN (SELECT id FROM wrapping_keys)")
        rows = await connection.fetch(f"SELECT k.*, w.key FROM {table} k JOIN wrapping_keys w ON w.id = k.wrapping")
        where = " AND ".join(f"{name} = ${number}" for number, name in enumerate(names, 2))
        for row in rows:
            plain = wrapping.unwrap(row["key"], row[column])
            await connection.execute(
                f"UPDATE {table} SET {column} = $1 WHERE {where}", plain, *(row[name] for name in names)
            )
        await connection.execute(f"ALTER TABLE {table} DROP COLUMN wrapping")
    await connection.execute("DROP TABLE wrapping_keys; DROP INDEX audit_log_saved")
    await connection.execute("UPDATE alembic_version SET version_num = '0048_alarms_told'")


async def test_a_purge_that_is_killed_in_the_middle_has_done_nothing(desk: Desk, words: str) -> None:
    ken = await desk.staff("健")
    _, opened = await says(desk, ken, words, "SAIDTHREE")
    case, room = opened["case_id"], opened["room_id"]
    connection: Connection = await asyncpg.connect(desk.workers.database_url)

    async def standing() -> list[int]:
        tables = ("events", "vault_keys", "wrapping_keys", "key_backup_sessions")
        counts = [f"(SELECT count(*) FROM {table} WHERE room_id = $1)" for table in tables]
        counts.append("(SELECT count(*) FROM cases WHERE room_id = $1 AND state = 'closed')")
        counts.append(f"(SELECT count(*) FROM deletion_certificates WHERE case_id = '{case}')")
        return [*await connection.fetchrow(f"SELECT {', '.join(counts)}", room)]

    try:
        before = await standing()
        assert before[1:] == [1, 1, 1, 1, 0]
        async with connection.transaction():
            # Where everything is deleted, and not yet certified.
            await connection.execute("LOCK TABLE deletion_certificates IN ACCESS EXCLUSIVE MODE")
            purge = await asyncio.create_subprocess_exec(
                MADOGUCHI, "case", "purge", case, "--reason", "x", "--yes", env=_environment(desk.workers.env),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            waits = "SELECT pid FROM pg_locks WHERE relation = 'deletion_certificates'::regclass AND NOT granted"
            backend = await until(connection, waits)
            purge.kill()
            await purge.wait()
        await until(connection, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $1", backend)
        assert await standing() == before
        await run(desk, "case", "purge", case, "--reason", "x", "--yes")
        assert (await standing())[1:] == [0, 0, 0, 0, 1]
    finally:
        await connection.close()
