"""Server-side key backup: versions, and the sealed room keys in them."""

from collections.abc import Mapping, Sequence

import msgspec

from madoguchi.storage import wrapping
from madoguchi.storage.db import Tx
from madoguchi.storage.wrapping import WrappingKey


class Backup(msgspec.Struct, frozen=True):
    """A version of a user's backup. auth_data: JSON. etag counts the changes; keys: how many are in it."""

    user_id: str
    version: int
    algorithm: str
    auth_data: bytes
    etag: int
    keys: int


class BackedUpKey(msgspec.Struct, frozen=True):
    """One room key as a device has sealed it; session_data: JSON that only the user's devices can open."""

    room_id: str
    session_id: str
    first_message_index: int
    forwarded_count: int
    is_verified: bool
    session_data: bytes


_COLUMNS = "user_id, version, algorithm, auth_data, etag, keys"


async def insert_backup(tx: Tx, user_id: str, algorithm: str, auth_data: bytes) -> int:
    """Begins a new version, greater than any that the user ever had. Gives it."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"backup {user_id}")
    version: int = await tx.fetchval(
        """INSERT INTO key_backups (user_id, version, algorithm, auth_data)
           SELECT $1, coalesce(max(version), 0) + 1, $2, $3 FROM key_backups WHERE user_id = $1 RETURNING version""",
        user_id,
        algorithm,
        auth_data,
    )
    return version


async def get_current_backup(tx: Tx, user_id: str) -> Backup | None:
    """The newest version that has not been deleted."""
    row = await tx.fetchrow(
        f"SELECT {_COLUMNS} FROM key_backups WHERE user_id = $1 AND NOT deleted ORDER BY version DESC LIMIT 1", user_id
    )
    return Backup(**row) if row else None


async def get_backup(tx: Tx, user_id: str, version: int, *, lock: bool = False) -> Backup | None:
    """One version; with `lock`, nobody else changes it or its keys until the transaction ends."""
    row = await tx.fetchrow(
        f"SELECT {_COLUMNS} FROM key_backups WHERE user_id = $1 AND version = $2 AND NOT deleted"
        + (" FOR UPDATE" if lock else ""),
        user_id,
        version,
    )
    return Backup(**row) if row else None


async def was_deleted(tx: Tx, user_id: str, version: int) -> bool:
    deleted: bool | None = await tx.fetchval(
        "SELECT deleted FROM key_backups WHERE user_id = $1 AND version = $2", user_id, version
    )
    return deleted is True


async def update_auth_data(tx: Tx, user_id: str, version: int, auth_data: bytes) -> None:
    await tx.execute(
        "UPDATE key_backups SET auth_data = $3 WHERE user_id = $1 AND version = $2", user_id, version, auth_data
    )


async def delete_backup(tx: Tx, user_id: str, version: int) -> None:
    """Forgets a version's keys and what it was made with; its number stays taken."""
    await tx.execute("DELETE FROM key_backup_sessions WHERE user_id = $1 AND version = $2", user_id, version)
    await tx.execute(
        "UPDATE key_backups SET deleted = true, keys = 0, auth_data = '{}' WHERE user_id = $1 AND version = $2",
        user_id,
        version,
    )


async def list_keys(
    tx: Tx, user_id: str, version: int, room_id: str | None = None, session_id: str | None = None
) -> list[BackedUpKey]:
    """The keys of a version: all, of one room, or of one session; none that can't be unwrapped here."""
    rows = await tx.fetch(
        """SELECT s.room_id, session_id, first_message_index, forwarded_count, is_verified, session_data, w.key
             FROM key_backup_sessions s JOIN wrapping_keys w ON w.id = s.wrapping
            WHERE user_id = $1 AND version = $2
              AND ($3::text IS NULL OR s.room_id = $3) AND ($4::text IS NULL OR session_id = $4)""",
        user_id,
        version,
        room_id,
        session_id,
    )
    return [
        BackedUpKey(
            row["room_id"], row["session_id"], row["first_message_index"], row["forwarded_count"], row["is_verified"],
            wrapping.unwrap(row["key"], row["session_data"]),
        )
        for row in rows
    ]  # fmt: skip


async def list_keys_named(
    tx: Tx, user_id: str, version: int, names: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], BackedUpKey]:
    """Those of the (room id, session id) that the version has, without their session data (an empty object). One that
    can't be unwrapped here is as bad as can be, so that any other takes its place."""
    rows = await tx.fetch(
        """SELECT s.room_id, s.session_id, s.forwarded_count, s.is_verified AND w.id IS NOT NULL AS is_verified,
                  CASE WHEN w.id IS NULL THEN 9223372036854775807 ELSE s.first_message_index END AS first_message_index,
                  '{}'::bytea AS session_data
             FROM unnest($3::text[], $4::text[]) AS asked(room_id, session_id)
             JOIN key_backup_sessions s ON (s.user_id, s.version, s.room_id, s.session_id)
                                         = ($1, $2, asked.room_id, asked.session_id)
             LEFT JOIN wrapping_keys w ON w.id = s.wrapping""",
        user_id,
        version,
        [room_id for room_id, _ in names],
        [session_id for _, session_id in names],
    )
    return {(row["room_id"], row["session_id"]): BackedUpKey(**row) for row in rows}


async def set_keys(
    tx: Tx, user_id: str, version: int, keys: Sequence[BackedUpKey], around: Mapping[str, WrappingKey]
) -> None:
    """Stores keys over whatever stood there, each wrapped in its room's."""
    await tx.execute(
        """INSERT INTO key_backup_sessions (user_id, version, room_id, session_id, first_message_index,
                                            forwarded_count, is_verified, wrapping, session_data)
           SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bool[], $8::uuid[],
                                        $9::bytea[])
           ON CONFLICT (user_id, version, room_id, session_id) DO UPDATE
              SET first_message_index = excluded.first_message_index, forwarded_count = excluded.forwarded_count,
                  is_verified = excluded.is_verified, wrapping = excluded.wrapping,
                  session_data = excluded.session_data""",
        user_id,
        version,
        [key.room_id for key in keys],
        [key.session_id for key in keys],
        [key.first_message_index for key in keys],
        [key.forwarded_count for key in keys],
        [key.is_verified for key in keys],
        [around[key.room_id].id for key in keys],
        [wrapping.wrap(around[key.room_id].key, key.session_data) for key in keys],
    )


async def delete_keys(tx: Tx, user_id: str, version: int, room_id: str | None, session_id: str | None) -> int:
    """Takes keys out: all, of one room, or of one session. Gives how many there were."""
    status: str = await tx.execute(
        """DELETE FROM key_backup_sessions
            WHERE user_id = $1 AND version = $2
              AND ($3::text IS NULL OR room_id = $3) AND ($4::text IS NULL OR session_id = $4)""",
        user_id,
        version,
        room_id,
        session_id,
    )
    return int(status.rpartition(" ")[2])


async def delete_keys_of_ended(tx: Tx, user_id: str) -> int:
    """Takes the keys of cases that have ended out of somebody's backups. Gives how many there were."""
    gone: int = await tx.fetchval(
        """
        WITH ended AS (
            SELECT unnest(ARRAY[room_id, side_room_id]) AS room_id FROM cases WHERE state IN ('closed', 'purged')),
        gone AS (
            DELETE FROM key_backup_sessions s USING ended WHERE s.user_id = $1 AND s.room_id = ended.room_id
            RETURNING s.version),
        counted AS (SELECT version, count(*) AS keys FROM gone GROUP BY version),
        noted AS (
            UPDATE key_backups b SET etag = b.etag + 1, keys = b.keys - counted.keys
              FROM counted WHERE b.user_id = $1 AND b.version = counted.version)
        SELECT count(*) FROM gone
        """,
        user_id,
    )
    return gone


async def change_count(tx: Tx, user_id: str, version: int, more: int) -> tuple[int, int]:
    """Notes that the keys have changed and there are `more` of them (or fewer). Gives the new (etag, count)."""
    row = await tx.fetchrow(
        """UPDATE key_backups SET etag = etag + 1, keys = keys + $3 WHERE user_id = $1 AND version = $2
           RETURNING etag, keys""",
        user_id,
        version,
        more,
    )
    assert row is not None, "the caller holds the version's lock"
    return row["etag"], row["keys"]
