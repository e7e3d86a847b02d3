"""What the database itself says of who can reach and read it, and what the desk's tables say of who has read.

Each probe of the server's own views runs in a savepoint: a role that may not look gets None, which is told as unknown.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

import asyncpg
import msgspec

from madoguchi.storage import roles
from madoguchi.storage.db import Tx

_Found = TypeVar("_Found")


class Role(msgspec.Struct, frozen=True):
    """A role that can log in. readable, writable: of how many of the desk's `tables` it could read something, and in
    how many change something; is_ours: the owner's, or that of a process; alters_log: could change the audit log."""

    name: str
    superuser: bool
    connects: bool
    is_ours: bool
    readable: int
    writable: int
    tables: int
    alters_log: bool


class Entrance(msgspec.Struct, frozen=True):
    """A line of pg_hba.conf: from where which roles are let in, and how."""

    kind: str
    databases: str
    roles: str
    address: str
    method: str


class Connected(msgspec.Struct, frozen=True):
    """Connections that are open now to this database, by role and address (empty: a socket on the machine itself)."""

    role: str
    address: str
    connections: int


class Copy(msgspec.Struct, frozen=True):
    """A server that is sent everything as it is written."""

    name: str
    address: str


class Access(msgspec.Struct, frozen=True):
    """What members of staff with a role have opened. cases: how many they were in; the rest: how often."""

    role: str
    people: int
    cases: int
    joined: int
    records: int
    side_rooms: int
    previous: int
    identities: int


async def list_roles(tx: Tx) -> list[Role]:
    """Every role that may log in, what it could read of the desk's tables, and whether it is let into this database."""
    rows = await tx.fetch(
        """
        SELECT r.rolname AS name, r.rolsuper AS superuser,
               bool_or(c.relowner = r.oid) OR r.rolname = ANY($1) AS is_ours,
               has_database_privilege(r.oid, current_database(), 'CONNECT') AS connects,
               count(*) FILTER (WHERE has_any_column_privilege(r.oid, c.oid, 'SELECT')
                                AND has_schema_privilege(r.oid, c.relnamespace, 'USAGE')) AS readable,
               count(*) FILTER (WHERE (has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE')
                                       OR has_table_privilege(r.oid, c.oid, 'DELETE, TRUNCATE'))
                                AND has_schema_privilege(r.oid, c.relnamespace, 'USAGE')) AS writable,
               count(*) AS tables,
               bool_or(c.relname = 'audit_log' AND (has_any_column_privilege(r.oid, c.oid, 'UPDATE')
                                                    OR has_table_privilege(r.oid, c.oid, 'DELETE, TRUNCATE')
                                                    OR pg_has_role(r.oid, c.relowner, 'MEMBER'))) AS alters_log
        FROM pg_roles r CROSS JOIN pg_class c
        WHERE r.rolcanlogin AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
        GROUP BY r.oid, r.rolname, r.rolsuper ORDER BY r.rolname
        """,
        list((await roles.list_made(tx)).values()),
    )
    return [Role(**row) for row in rows]


async def get_server_address(tx: Tx) -> str | None:
    """At which address the server took this connection; None over a socket of this machine."""
    address: str | None = await tx.fetchval("SELECT host(inet_server_addr())")
    return address


async def list_entrances(tx: Tx) -> list[Entrance] | None:
    """The lines of pg_hba.conf, or None where we may not look."""

    async def look() -> list[Entrance]:
        rows = await tx.fetch(
            """
            SELECT coalesce(type, '?') AS kind, array_to_string(database, ' ') AS databases,
                   array_to_string(user_name, ' ') AS roles,
                   coalesce(address || coalesce('/' || netmask, ''), '') AS address,
                   coalesce(auth_method, '?') AS method
            FROM pg_hba_file_rules WHERE error IS NULL ORDER BY line_number
            """
        )
        return [Entrance(**row) for row in rows]

    return await _if_allowed(tx, look)


async def list_connected(tx: Tx) -> list[Connected] | None:
    """Who is connected to this database now, or None where we may not look."""
    if not await _sees_others(tx):
        return None
    rows = await tx.fetch(
        """
        SELECT usename AS role, coalesce(host(client_addr), '') AS address, count(*) AS connections
        FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
        GROUP BY 1, 2 ORDER BY 1, 2
        """
    )
    return [Connected(**row) for row in rows if row["role"] is not None]


async def list_copies(tx: Tx) -> list[Copy] | None:
    """Servers that replicate this one, or None where we may not look."""
    if not await _sees_others(tx):
        return None
    rows = await tx.fetch(
        """
        SELECT coalesce(application_name, '') AS name, coalesce(host(client_addr), '') AS address
        FROM pg_stat_replication ORDER BY 1, 2
        """
    )
    return [Copy(**row) for row in rows]


async def is_archived(tx: Tx) -> bool:
    """Whether what is written also goes into an archive."""
    return bool(await tx.fetchval("SELECT current_setting('archive_mode') <> 'off'"))


async def list_access(tx: Tx, since: datetime) -> list[Access]:
    """Who has opened what since a moment, by the role they have today."""
    rows = await tx.fetch(
        """
        WITH entries AS (SELECT actor, act FROM audit_log WHERE at >= $1)
        SELECT s.role,
               count(*) FILTER (WHERE s.disabled_at IS NULL) AS people,
               (SELECT count(DISTINCT c.case_id) FROM case_staff c JOIN staff o USING (user_id)
                 WHERE o.role = s.role AND (c.until IS NULL OR c.until >= $1)) AS cases,
               (SELECT count(*) FROM case_steps t JOIN staff o ON o.user_id = t.by_whom
                 WHERE o.role = s.role AND t.step = 'joined' AND t.at >= $1) AS joined,
               (SELECT count(*) FROM entries e JOIN staff o ON o.user_id = e.actor
                 WHERE o.role = s.role AND e.act = 'record.read') AS records,
               (SELECT count(*) FROM entries e JOIN staff o ON o.user_id = e.actor
                 WHERE o.role = s.role AND e.act = 'side_room.entered') AS side_rooms,
               (SELECT count(*) FROM entries e JOIN staff o ON o.user_id = e.actor
                 WHERE o.role = s.role AND e.act = 'previous.read') AS previous,
               (SELECT count(*) FROM entries e JOIN staff o ON o.user_id = e.actor
                 WHERE o.role = s.role AND e.act = 'disclosure.looked') AS identities
        FROM staff s GROUP BY s.role ORDER BY s.role
        """,
        since,
    )
    return [Access(**row) for row in rows]


async def count_acts(tx: Tx, acts: list[str], since: datetime) -> dict[str, int]:
    """How often something was done since a moment, by the audit log."""
    rows = await tx.fetch(
        "SELECT act, count(*) AS times FROM audit_log WHERE act = ANY($1) AND at >= $2 GROUP BY act", acts, since
    )
    return dict.fromkeys(acts, 0) | {row["act"]: row["times"] for row in rows}


async def _sees_others(tx: Tx) -> bool:
    """Whether the server's views show us connections of other roles than ours."""
    found: bool = await tx.fetchval("SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')")
    return found


async def _if_allowed(tx: Tx, look: Callable[[], Awaitable[_Found]]) -> _Found | None:
    try:
        async with tx.transaction():
            return await look()
    except asyncpg.InsufficientPrivilegeError:
        return None
