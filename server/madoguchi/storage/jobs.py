"""Durable jobs: what is to be done later, or outside of the transaction that asked for it."""

from datetime import datetime

import msgspec

from madoguchi.storage.db import Tx

CHANNEL = "madoguchi_jobs"


class Job(msgspec.Struct, frozen=True):
    """key: tells jobs of a kind apart, asking twice for the same makes one; body: JSON text, never content."""

    id: int
    kind: str
    key: str
    body: str
    attempts: int


async def insert_job(tx: Tx, kind: str, key: str, due_at: datetime, body: str = "{}") -> bool:
    """Asks for a job in the caller's transaction; False if the same is asked for already."""
    done = await tx.execute(
        """
        INSERT INTO jobs (kind, key, due_at, body) VALUES ($1, $2, $3, $4::text::jsonb)
        ON CONFLICT (kind, key) WHERE gave_up_at IS NULL DO NOTHING
        """,
        kind,
        key,
        due_at,
        body,
    )
    if done == "INSERT 0 1":
        await tx.execute("SELECT pg_notify($1, '')", CHANNEL)
        return True
    return False


async def lock_due_job(tx: Tx, at: datetime) -> Job | None:
    """The job that is due longest, held until the end of the transaction; jobs that others hold are passed over."""
    row = await tx.fetchrow(
        """
        SELECT id, kind, key, body::text AS body, attempts FROM jobs WHERE gave_up_at IS NULL AND due_at <= $1
        ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
        """,
        at,
    )
    return Job(**row) if row else None


async def get_next_due(tx: Tx) -> datetime | None:
    """When the next job is due; None if there is none."""
    due: datetime | None = await tx.fetchval("SELECT min(due_at) FROM jobs WHERE gave_up_at IS NULL")
    return due


async def delete_job(tx: Tx, job_id: int) -> None:
    """It is done."""
    await tx.execute("DELETE FROM jobs WHERE id = $1", job_id)


async def update_failed(tx: Tx, job_id: int, attempts: int, due_at: datetime, error: str) -> None:
    """It failed and is tried again; `error` names a kind of error, it never quotes."""
    await tx.execute(
        "UPDATE jobs SET attempts = $2, due_at = $3, last_error = $4 WHERE id = $1", job_id, attempts, due_at, error
    )


async def update_gave_up(tx: Tx, job_id: int, attempts: int, at: datetime, error: str) -> None:
    """It failed too often; a person has to look at it."""
    await tx.execute(
        "UPDATE jobs SET attempts = $2, gave_up_at = $3, last_error = $4 WHERE id = $1", job_id, attempts, at, error
    )


async def list_gave_up(tx: Tx) -> list[tuple[str, str, str]]:
    """(kind, key, error) of what was given up, oldest first."""
    rows = await tx.fetch("SELECT kind, key, last_error FROM jobs WHERE gave_up_at IS NOT NULL ORDER BY id")
    return [(row["kind"], row["key"], row["last_error"] or "") for row in rows]
