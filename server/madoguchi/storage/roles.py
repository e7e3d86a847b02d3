"""The roles under which the desk's processes enter the database: made, and kept to the table of grants (grants.py).

A role is called after the database and the process (`madoguchi_serve`), since roles belong to a whole server of
PostgreSQL, on which other desks may live.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping

import asyncpg
import msgspec

from madoguchi.storage.db import Tx
from madoguchi.storage.grants import PROCESSES, SEQUENCES, Grant, Process, wanted

EVERY: tuple[Process, ...] = (*PROCESSES, "backup")
LONGEST_NAME = 63
_SCRAM_ITERATIONS = 4096
_LOCK = 7_261_148_056
# What the viewing ledger looks at besides the desk's own tables. Only a superuser can grant it: without it, it says so.
_PROBES = (
    "GRANT pg_read_all_stats TO {0}",
    "GRANT SELECT ON pg_catalog.pg_hba_file_rules TO {0}",
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO {0}",
)


class Difference(msgspec.Struct, frozen=True):
    """A role that may do more or less with a table than the table of grants says. held, meant: privilege or
    privilege(column)."""

    process: Process
    table: str
    held: list[str]
    meant: list[str]


def role_name(database: str, process: Process) -> str:
    """What a process's role is called in a database."""
    return f"{database}_{process}"


def verifier(password: str) -> str:
    """What PostgreSQL keeps of a password (SCRAM-SHA-256: RFC 5802, RFC 7677), so that no statement has the password.

    `password`: ASCII, which SASLprep leaves as it is.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _SCRAM_ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    told = [base64.b64encode(each).decode() for each in (salt, stored, server)]
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{told[0]}${told[1]}:{told[2]}"


async def list_made(tx: Tx) -> dict[Process, str]:
    """The processes that have a role for this database, and its name."""
    database = await _database(tx)
    wished = {process: role_name(database, process) for process in EVERY}
    rows = await tx.fetch("SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname = ANY($1)", list(wished.values()))
    there = {row["rolname"] for row in rows}
    return {process: name for process, name in wished.items() if name in there}


async def set_password(tx: Tx, role: str, password: str) -> None:
    """Give a role another password. Raises asyncpg.InsufficientPrivilegeError."""
    await tx.execute(f"ALTER ROLE {_quoted(role)} PASSWORD '{verifier(password)}'")


async def make(tx: Tx, passwords: Mapping[Process, str]) -> None:
    """Make these roles, or give them these passwords, and let nobody else into the database who has no grant of it.

    Raises asyncpg.InsufficientPrivilegeError for who may make no roles.
    """
    await _lock(tx)
    database, there = await _database(tx), await list_made(tx)
    for process, password in passwords.items():
        role = role_name(database, process)
        if process not in there:
            await tx.execute(f"CREATE ROLE {_quoted(role)} LOGIN")
        await set_password(tx, role, password)
    if await tx.fetchval("SELECT has_database_privilege('public', current_database(), 'CONNECT')"):
        await tx.execute(f"REVOKE ALL ON DATABASE {_quoted(database)} FROM PUBLIC")
    await apply(tx)


async def apply(tx: Tx) -> list[Difference]:
    """Bring the roles that are made to the table of grants; gives what differed. Raises InsufficientPrivilegeError."""
    await _lock(tx)
    database, made = await _database(tx), await list_made(tx)
    differences = await list_differences(tx)
    statements: list[str] = []
    for each in differences:
        role, table = _quoted(made[each.process]), _quoted(each.table)
        # All of it first: what is taken from a table is taken from its columns as well.
        statements.append(f"REVOKE ALL ON TABLE public.{table} FROM {role}")
        statements += [f"GRANT {privilege} ON TABLE public.{table} TO {role}" for privilege in each.meant]
    for role in made.values():
        if not await tx.fetchval("SELECT has_database_privilege($1, current_database(), 'CONNECT')", role):
            statements.append(f"GRANT CONNECT ON DATABASE {_quoted(database)} TO {_quoted(role)}")
    if await tx.fetchval("SELECT has_schema_privilege('public', 'public', 'CREATE')"):
        statements.append("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    if statements:
        await tx.execute(";".join(statements))
    if "work" in made:
        await _let_probe(tx, made["work"])
    return differences


async def list_differences(tx: Tx) -> list[Difference]:
    """Where the roles that are made may do more or less than the table of grants says."""
    processes = {role: process for process, role in (await list_made(tx)).items()}
    tables = await tx.fetch(
        """
        SELECT c.relname AS name, c.relkind = 'S' AS counts,
               (SELECT array_agg(a.attname::text) FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
        """
    )
    held = await _held(tx, list(processes))
    found: list[Difference] = []
    for table in tables:
        for role, process in processes.items():
            name = table["name"]
            meant = _of_a_counter(process, name) if table["counts"] else wanted(process, name, table["columns"])
            has = held.get((role, name), set())
            if has != meant:
                found.append(Difference(process, name, _told(has), _told(meant)))
    return found


def _of_a_counter(process: Process, name: str) -> set[Grant]:
    if process == "backup":
        return {("SELECT", None)}
    return {("USAGE", None)} if process in SEQUENCES.get(name, ()) else set()


async def _held(tx: Tx, roles: list[str]) -> dict[tuple[str, str], set[Grant]]:
    """(role, table) -> what was granted to it by name."""
    rows = await tx.fetch(
        """
        SELECT r.rolname AS role, c.relname AS name, acl.privilege_type AS privilege, NULL AS column
        FROM pg_class c, aclexplode(c.relacl) acl JOIN pg_roles r ON r.oid = acl.grantee
        WHERE c.relnamespace = 'public'::regnamespace AND r.rolname = ANY($1)
        UNION ALL
        SELECT r.rolname, c.relname, acl.privilege_type, a.attname
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid, aclexplode(a.attacl) acl
        JOIN pg_roles r ON r.oid = acl.grantee
        WHERE c.relnamespace = 'public'::regnamespace AND NOT a.attisdropped AND r.rolname = ANY($1)
        """,
        roles,
    )
    found: dict[tuple[str, str], set[Grant]] = {}
    for row in rows:
        found.setdefault((row["role"], row["name"]), set()).add((row["privilege"], row["column"]))
    return found


async def _let_probe(tx: Tx, role: str) -> None:
    if await tx.fetchval(
        "SELECT pg_has_role($1, 'pg_read_all_stats', 'USAGE')"
        " AND has_table_privilege($1, 'pg_catalog.pg_hba_file_rules', 'SELECT')",
        role,
    ):
        return
    for statement in _PROBES:
        try:
            async with tx.transaction():
                await tx.execute(statement.format(_quoted(role)))
        except asyncpg.InsufficientPrivilegeError:
            continue


async def _lock(tx: Tx) -> None:
    await tx.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


async def _database(tx: Tx) -> str:
    name: str = await tx.fetchval("SELECT current_database()")
    return name


def _told(grants: Iterable[Grant]) -> list[str]:
    return sorted(privilege if column is None else f"{privilege} ({_quoted(column)})" for privilege, column in grants)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
