"""Roles of the database: each process may do what its row says (storage/grants.py), and nothing else."""

import re
import subprocess
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import pytest

from madoguchi import database_roles
from madoguchi.config import SettingsError
from madoguchi.storage import roles
from madoguchi.storage.grants import GRANTS, PROCESSES, SEQUENCES, VERBS, Process
from tests.house import MADOGUCHI, Workers, _environment

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[Any]
else:
    Connection = asyncpg.Connection


@pytest.fixture
async def owner(workers: Workers) -> AsyncIterator[Connection]:
    connection: Connection = await asyncpg.connect(workers.database_url)
    yield connection
    await connection.close()


async def as_(workers: Workers, process: str) -> Connection:
    connection: Connection = await asyncpg.connect(
        database_roles.url_as(workers.database_url, f"madoguchi_{process}", "of no matter here")
    )
    return connection


CELL = r"([racd])(?:\((-?)([a-z_,]+)\))?"


def cell(process: Process, table: str) -> str:
    return GRANTS[table][PROCESSES.index(process)]


async def test_every_table_has_its_row(owner: Connection) -> None:
    rows = await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    without = {row["tablename"] for row in rows} - GRANTS.keys()
    assert not without, f"say in storage/grants.py what each process may do with {without}"
    assert GRANTS.keys() <= {row["tablename"] for row in rows}
    assert await roles.list_differences(owner) == []


async def test_no_process_can_do_more_than_its_row_says(owner: Connection) -> None:
    """Asked of PostgreSQL itself, for every role, table, column and verb: what comes by another role counts as well."""
    rows = await owner.fetch(
        """
        SELECT p.process, c.relname AS name, v.verb, a.attname AS column,
               CASE WHEN a.attnum IS NULL THEN has_table_privilege('madoguchi_' || p.process, c.oid, v.verb)
                    ELSE has_column_privilege('madoguchi_' || p.process, c.oid, a.attnum, v.verb) END AS may
        FROM unnest($1::text[]) AS p (process), pg_class c,
             (VALUES ('SELECT', true), ('INSERT', true), ('UPDATE', true), ('REFERENCES', true),
                     ('DELETE', false), ('TRUNCATE', false), ('TRIGGER', false)) AS v (verb, of_columns),
             LATERAL (SELECT NULL::name AS attname, NULL::smallint AS attnum WHERE NOT v.of_columns
                      UNION ALL SELECT attname, attnum FROM pg_attribute
                      WHERE v.of_columns AND attrelid = c.oid AND attnum > 0 AND NOT attisdropped) a
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
        """,
        list(PROCESSES),
    )
    letters = {verb: letter for letter, verb in VERBS.items()}
    assert len(rows) > 5000
    for row in rows:
        said = {
            letter: (bool(minus), set(columns.split(",")) if columns else None)
            for letter, minus, columns in re.findall(CELL, cell(row["process"], row["name"]))
        }
        without, columns = said.get(letters.get(row["verb"], ""), (False, set()))
        assert row["may"] == (columns is None or (row["column"] in columns) != without), dict(row)
    counters = await owner.fetch(
        """
        SELECT p.process, c.relname AS name FROM unnest($1::text[]) AS p (process), pg_class c
        WHERE c.relkind = 'S' AND c.relnamespace = 'public'::regnamespace
          AND has_sequence_privilege('madoguchi_' || p.process, c.oid, 'USAGE, SELECT, UPDATE')
        """,
        list(PROCESSES),
    )
    assert {(row["name"], row["process"]) for row in counters} == {
        (name, process) for name, processes in SEQUENCES.items() for process in processes
    }


async def test_no_process_is_more_than_a_guest_and_the_keeper_is_none(owner: Connection) -> None:
    rows = await owner.fetch(
        """
        SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS mighty,
               has_schema_privilege(oid, 'public', 'CREATE') AS creates,
               has_database_privilege(oid, current_database(), 'CREATE, TEMPORARY') AS makes,
               ARRAY(SELECT r.rolname::text FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
                      WHERE m.member = pg_roles.oid) AS belongs_to
        FROM pg_roles WHERE rolname LIKE 'madoguchi\\_%'
        """
    )
    assert {row["rolname"] for row in rows} == {f"madoguchi_{process}" for process in PROCESSES}
    for row in rows:
        assert not (row["mighty"] or row["creates"] or row["makes"]), dict(row)
        # Who is connected from where: the viewing ledger says it. Statements that are seen so carry no values.
        assert row["belongs_to"] == (["pg_read_all_stats"] if row["rolname"] == "madoguchi_work" else [])
    assert not await owner.fetchval("SELECT has_database_privilege('public', current_database(), 'CONNECT')")


GRAVE = {
    "serve": (
        "UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", "TRUNCATE audit_log",
        "ALTER TABLE audit_log DISABLE TRIGGER audit_log_grows", "DROP TRIGGER audit_log_grows ON audit_log",
        "INSERT INTO audit_heads VALUES (1, '', now(), '')", "DELETE FROM audit_heads",
        "UPDATE viewing_ledgers SET drift = '[]'", "DELETE FROM deletion_certificates",
        "SELECT sealed FROM vault_keys", "SELECT * FROM vault_keys", "DELETE FROM vault_keys",
        "UPDATE wrapping_keys SET key = NULL", "DELETE FROM wrapping_keys",
        "UPDATE vault SET public_key = ''", "UPDATE vault SET key_id = 'x'", "INSERT INTO rosters VALUES (9)",
        "SELECT sealed_address FROM bridge_people", "SELECT sealed FROM bridge_intake",
        "SELECT sealed FROM bridge_outbox", "DELETE FROM cases", "DELETE FROM events", "DELETE FROM case_holds",
        "CREATE TABLE mine (n int)", "CREATE TEMPORARY TABLE mine (n int)", "CREATE FUNCTION f() RETURNS int RETURN 1",
        "SET ROLE postgres", "SET ROLE madoguchi_bridges", "ALTER ROLE madoguchi_serve SUPERUSER",
        "SELECT pg_read_file('PG_VERSION')", "COPY staff TO PROGRAM 'cat'", "SET session_replication_role = 'replica'",
    ),
    "work": (
        "UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", "UPDATE audit_heads SET seq = 9",
        "DELETE FROM viewing_ledgers", "UPDATE deletion_certificates SET document = ''",
        "SELECT sealed FROM vault_keys", "UPDATE vault_keys SET sealed = ''", "INSERT INTO vault VALUES ('x')",
        "SELECT password_hash FROM accounts", "SELECT token_hash FROM sessions", "SELECT refresh_hash FROM sessions",
        "INSERT INTO sessions (token_hash) VALUES ('x')", "INSERT INTO accounts (user_id) VALUES ('x')",
        "SELECT key FROM wrapping_keys", "INSERT INTO wrapping_keys (room_id) VALUES ('x')",
        "SELECT session_data FROM key_backup_sessions", "SELECT key FROM proof_key", "SELECT sealed FROM bridge_intake",
        "INSERT INTO staff (user_id) VALUES ('x')", "DELETE FROM case_holds", "SET ROLE madoguchi_serve",
    ),
    "bridges": (
        "SELECT user_id FROM sessions", "SELECT user_id FROM accounts", "SELECT body FROM events",
        "SELECT user_id FROM cases", "SELECT sealed FROM vault_keys", "SELECT act FROM audit_log",
        "SELECT id FROM wrapping_keys",
        "INSERT INTO audit_log VALUES (1)", "UPDATE channels SET mode = 'relay'", "SELECT pos FROM stream",
        "UPDATE kept_cases SET until = now()", "SELECT media_id FROM media", "SELECT message FROM to_device",
        "SELECT name FROM staff", "SELECT * FROM cases",
    ),
}  # fmt: skip


@pytest.mark.parametrize("process", GRAVE)
async def test_what_would_be_grave_is_refused(workers: Workers, process: str) -> None:
    connection = await as_(workers, process)
    try:
        for statement in GRAVE[process]:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
            assert await connection.fetchval("SELECT 1") == 1
    finally:
        await connection.close()


async def test_each_process_is_there_under_its_own_role(owner: Connection) -> None:
    rows = await owner.fetch(
        "SELECT DISTINCT usename FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name IN ('madoguchi serve', 'madoguchi listener')"
    )
    assert {row["usename"] for row in rows} == {"madoguchi_serve"}


async def test_what_was_granted_by_hand_is_found_and_taken_back(workers: Workers, owner: Connection) -> None:
    await owner.execute(
        "GRANT DELETE ON audit_log TO madoguchi_serve; GRANT SELECT (password_hash) ON accounts TO madoguchi_work;"
        "REVOKE SELECT ON stream FROM madoguchi_serve; CREATE TABLE stray (n int);"
        "GRANT SELECT ON stray TO madoguchi_work"
    )
    try:
        shown = madoguchi(workers, "roles", "show")
        assert shown.returncode == 1
        for line in (
            "serve on audit_log: DELETE, INSERT, SELECT instead of INSERT, SELECT",
            "serve on stream: UPDATE instead of SELECT, UPDATE",
            "work on stray: SELECT instead of nothing",
            "4 differ: `madoguchi migrate` mends it.",
        ):
            assert line in shown.stdout
        assert madoguchi(workers, "migrate").returncode == 0
        assert await roles.list_differences(owner) == []
    finally:
        await owner.execute("DROP TABLE stray")


async def test_an_operator_makes_them_and_who_may_not_is_told(workers: Workers, owner: Connection) -> None:
    """Of a database whose name has to be quoted, and with a backup that reads all but one table and no more."""
    url = workers.postgres.create("窓口-2")
    await owner.execute("CREATE ROLE plain LOGIN; GRANT CONNECT ON DATABASE madoguchi TO plain")
    as_plain = database_roles.url_as(workers.database_url, "plain", "x")
    refused = madoguchi(workers, "roles", "make", "--database-url", as_plain)
    assert refused.returncode == 1 and "may not make roles" in refused.stderr
    await owner.execute("REVOKE CONNECT ON DATABASE madoguchi FROM plain; DROP ROLE plain")
    data = workers.directory / "another"
    made = madoguchi(workers, "roles", "make", "--database-url", url, "--data", str(data))
    assert made.returncode == 0, made.stderr
    backup = (data / "keys" / "database-backup.password").read_text().strip()
    assert backup not in made.stdout and "窓口-2_backup" in made.stdout
    assert not any(path.stat().st_mode & 0o077 for path in (data / "keys").iterdir())
    kept = await owner.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = '窓口-2_backup'")
    assert kept.startswith("SCRAM-SHA-256$4096:")
    # One desk's processes do not come into another's database.
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(database_roles.url_as(url, "madoguchi_serve", "x"))
    assert madoguchi(workers, "migrate", "--database-url", url).returncode == 0
    reader: Connection = await asyncpg.connect(database_roles.url_as(url, "窓口-2_backup", backup))
    assert await reader.fetchval("SELECT count(*) FROM vault_keys WHERE sealed IS NULL") == 0
    for statement in ("DELETE FROM jobs", "INSERT INTO staff_room VALUES (true, 'x')", "UPDATE cases SET risk = NULL"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(statement)
    kept_from_it: Connection = await asyncpg.connect(url)
    await kept_from_it.execute("INSERT INTO wrapping_keys (room_id, key) VALUES ('!r:x', sha256('x'))")
    assert await reader.fetchval("SELECT count(*) FROM wrapping_keys") == 0
    await reader.close()
    await kept_from_it.close()
    as_backup = database_roles.url_as(url, "窓口-2_backup", backup)
    dumped = madoguchi(workers, "database", "--database-url", as_backup, "pg_dump")
    assert dumped.returncode == 0 and "public.wrapping_keys (" in dumped.stdout and "!r:x" not in dumped.stdout
    everything = madoguchi(workers, "database", "--database-url", url, "pg_dumpall")
    assert everything.returncode == 1 and "use pg_dump" in everything.stderr and not everything.stdout
    alone = madoguchi(workers, "database", "--database-url", as_backup, "env", "pg_dump", "--file=/dev/null")
    assert alone.returncode == 1 and 'row-level security policy for table "wrapping_keys"' in alone.stderr


def madoguchi(workers: Workers, *words: str) -> subprocess.CompletedProcess[str]:
    env = _environment(workers.env)
    return subprocess.run([MADOGUCHI, *words], capture_output=True, text=True, timeout=120, check=False, env=env)


def test_an_address_is_entered_by_another_role() -> None:
    for url, entered in (
        ("postgresql://owner:x@db:5432/d?sslmode=require", "postgresql://d_serve:s%2Fe%40c@db:5432/d?sslmode=require"),
        ("postgresql:///d?host=/run/x&user=me&password=y", "postgresql://d_serve:s%2Fe%40c@/d?host=/run/x"),
        ("postgresql://a:1,b:2/d", "postgresql://d_serve:s%2Fe%40c@a:1,b:2/d"),
    ):
        assert database_roles.url_as(url, "d_serve", "s/e@c") == entered
    assert database_roles.database_of("postgresql://h/%E7%AA%93") == "窓"
    assert database_roles.database_of("postgresql://h?dbname=d") == "d"
    with pytest.raises(SettingsError, match="name the database"):
        database_roles.database_of("postgresql://h")
