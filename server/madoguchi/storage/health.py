"""What an administrator may know of how the house is: counts and processes, nothing about anybody."""

from datetime import datetime

import msgspec

from madoguchi.storage.db import Tx


class Counts(msgspec.Struct, frozen=True):
    """failed_jobs: background jobs that were given up."""

    waiting: int
    talking: int
    closed: int
    staff: int
    jobs: int
    failed_jobs: int


async def get_counts(tx: Tx) -> Counts:
    """The numbers as they are now."""
    row = await tx.fetchrow(
        """
        SELECT (SELECT count(*) FROM cases WHERE state = 'waiting') AS waiting,
               (SELECT count(*) FROM cases WHERE state IN ('talking', 'resting')) AS talking,
               (SELECT count(*) FROM cases WHERE state = 'closed') AS closed,
               (SELECT count(*) FROM staff WHERE disabled_at IS NULL) AS staff,
               (SELECT count(*) FROM jobs WHERE gave_up_at IS NULL) AS jobs,
               (SELECT count(*) FROM jobs WHERE gave_up_at IS NOT NULL) AS failed_jobs
        """
    )
    assert row is not None
    return Counts(**row)


async def list_connected(tx: Tx) -> dict[str, int]:
    """The names under which processes of the house are connected to this database, and with how many connections."""
    rows = await tx.fetch(
        """
        SELECT application_name AS name, count(*) AS connections FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'madoguchi%' GROUP BY 1 ORDER BY 1
        """
    )
    return {row["name"]: row["connections"] for row in rows}


async def list_entered(tx: Tx) -> dict[str, list[str]]:
    """The names under which processes of the house are connected to this database, and by which roles each is."""
    rows = await tx.fetch(
        """
        SELECT application_name AS name, array_agg(DISTINCT usename::text) AS roles FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'madoguchi%' GROUP BY 1
        """
    )
    return {row["name"]: row["roles"] for row in rows}


async def get_schema_version(tx: Tx) -> str:
    """The newest migration that the database has had."""
    version: str = await tx.fetchval("SELECT version_num FROM alembic_version")
    return version


async def get_database_version(tx: Tx) -> str:
    """PostgreSQL's version, as in `18.4`."""
    version: str = await tx.fetchval("SHOW server_version")
    return version


async def get_database_time(tx: Tx) -> datetime:
    """What the clock of the database's machine says."""
    now: datetime = await tx.fetchval("SELECT clock_timestamp()")
    return now


async def update_heartbeat(tx: Tx, process: str, at: datetime) -> None:
    """Notes that a process is alive, at most every ten seconds."""
    await tx.execute(
        """
        INSERT INTO heartbeats (process, at) VALUES ($1, $2)
        ON CONFLICT (process) DO UPDATE SET at = excluded.at WHERE heartbeats.at < excluded.at - interval '10 seconds'
        """,
        process,
        at,
    )


async def list_heartbeats(tx: Tx) -> dict[str, datetime]:
    """When each process that says so was last alive."""
    return {row["process"]: row["at"] for row in await tx.fetch("SELECT process, at FROM heartbeats ORDER BY process")}
