"""Wrapping keys: each room has one, in which its sealed keys are wrapped (the vault's, and those in people's backups).

They are in no dump of the database, and a purge destroys them with the case: then the copies of its keys that lie in
older backups open for nobody (crypto-shredding).
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from nacl.utils import random

from madoguchi.storage import cases
from madoguchi.storage.db import Tx


class WrappingKey(msgspec.Struct, frozen=True):
    """key: 32 bytes."""

    id: UUID
    room_id: str
    key: bytes
    made_at: datetime


class Unwrapped(Exception):
    """This key does not open what was wrapped."""


def wrap(key: bytes, content: bytes) -> bytes:
    """The content, openable only with `key` (32 bytes; PyNaCl SecretBox)."""
    return bytes(SecretBox(key).encrypt(content))


def unwrap(key: bytes, wrapped: bytes) -> bytes:
    """The content again. Raises Unwrapped."""
    try:
        return SecretBox(key).decrypt(wrapped)
    except CryptoError:
        raise Unwrapped from None


_COLUMNS = "id, room_id, key, made_at"


async def keys_of(tx: Tx, room_ids: Collection[str]) -> dict[str, WrappingKey]:
    """Room id → its key, made where it has none yet. None for a room whose key was destroyed.

    Call it before anything is locked that a purge changes: a case whose room has no key yet is held.
    """
    rows = await tx.fetch(
        f"SELECT DISTINCT ON (room_id) {_COLUMNS} FROM wrapping_keys WHERE room_id = ANY($1::text[])"
        " ORDER BY room_id, made_at DESC, id",
        list(room_ids),
    )
    found = {row["room_id"]: WrappingKey(**row) for row in rows if row["key"] is not None}
    new = [*({*room_ids} - {row["room_id"] for row in rows})]
    new = [*({*new} - await cases.lock_purged(tx, new))] if new else []
    if new:
        made = await tx.fetch(
            "INSERT INTO wrapping_keys (room_id, key) SELECT * FROM unnest($1::text[], $2::bytea[])"
            f" RETURNING {_COLUMNS}",
            new,
            [random(SecretBox.KEY_SIZE) for _ in new],
        )
        found |= {row["room_id"]: WrappingKey(**row) for row in made}
    return found


async def delete_of(tx: Tx, room_id: str) -> list[tuple[UUID, datetime]]:
    """Destroys a room's keys. Gives their ids and since when there were any."""
    rows = await tx.fetch("DELETE FROM wrapping_keys WHERE room_id = $1 RETURNING id, made_at, destroyed_at", room_id)
    return [(row["id"], row["made_at"]) for row in rows if row["destroyed_at"] is None]


# -- saved apart, and brought to a copy --------------------------------------------------------------------------------
async def list_all(tx: Tx) -> list[WrappingKey]:
    """Every key."""
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM wrapping_keys WHERE key IS NOT NULL ORDER BY made_at, id")
    return [WrappingKey(**row) for row in rows]


async def list_destroyed(tx: Tx) -> dict[str, datetime]:
    """Room id → when its key was destroyed: of every case that is purged, and of those that a copy brought back."""
    rows = await tx.fetch(
        """
        SELECT room_id, purged_at AS at FROM cases WHERE purged_at IS NOT NULL
        UNION ALL SELECT side_room_id, purged_at FROM cases WHERE purged_at IS NOT NULL AND side_room_id IS NOT NULL
        UNION ALL SELECT room_id, destroyed_at FROM wrapping_keys WHERE key IS NULL
        """
    )
    return {row["room_id"]: row["at"] for row in rows}


async def get_destroyed_at(tx: Tx, room_id: str) -> datetime | None:
    """When the key of a room was destroyed that a copy has brought back; None if that is not known here."""
    found: datetime | None = await tx.fetchval(
        "SELECT max(destroyed_at) FROM wrapping_keys WHERE room_id = $1", room_id
    )
    return found


async def insert_saved(tx: Tx, keys: Iterable[WrappingKey]) -> int:
    """Brings keys that were saved; those that are here stay. Gives how many came."""
    rows = [(key.id, key.room_id, key.key, key.made_at) for key in keys]
    done = await tx.fetch(
        "INSERT INTO wrapping_keys (id, room_id, key, made_at)"
        " SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::timestamptz[])"
        " ON CONFLICT (id) DO NOTHING RETURNING id",
        *([row[column] for row in rows] for column in range(4)),
    )
    return len(done)


async def set_destroyed(tx: Tx, destroyed: Mapping[str, datetime]) -> list[str]:
    """Destroys the keys of rooms whose cases were purged after this copy was made, and keeps that they were. Gives the
    ids of the cases that the copy has brought back."""
    rows = await tx.fetch(
        """
        SELECT c.id, d.room_id, d.at FROM unnest($1::text[], $2::timestamptz[]) AS d (room_id, at)
          JOIN cases c ON c.room_id = d.room_id OR c.side_room_id = d.room_id
         WHERE c.state <> 'purged' ORDER BY c.id, d.room_id
        """,
        [*destroyed],
        [*destroyed.values()],
    )
    rooms, moments = [row["room_id"] for row in rows], [row["at"] for row in rows]
    await tx.execute("DELETE FROM wrapping_keys WHERE room_id = ANY($1::text[])", rooms)
    await tx.execute(
        "INSERT INTO wrapping_keys (room_id, destroyed_at) SELECT * FROM unnest($1::text[], $2::timestamptz[])",
        rooms,
        moments,
    )
    return [*dict.fromkeys(row["id"] for row in rows)]


async def count_closed(tx: Tx) -> int:
    """How many sealed keys can't be opened by anybody because what they are wrapped in is not here, though it was not
    destroyed: in a copy to which the saved keys have not been brought."""
    return int(
        await tx.fetchval(
            """
            SELECT count(*) FROM (SELECT room_id, wrapping FROM vault_keys
                                  UNION ALL SELECT room_id, wrapping FROM key_backup_sessions) AS k
             WHERE NOT EXISTS (SELECT FROM wrapping_keys w WHERE w.id = k.wrapping)
               AND NOT EXISTS (SELECT FROM wrapping_keys w WHERE w.room_id = k.room_id AND w.key IS NULL)
            """
        )
    )


async def get_saved_at(tx: Tx) -> datetime | None:
    """When the keys were saved last, as the audit log has it; None if it does not."""
    found: datetime | None = await tx.fetchval(
        "SELECT at FROM audit_log WHERE act = 'wrapping.saved' ORDER BY seq DESC LIMIT 1"
    )
    return found


async def count_purged_since(tx: Tx, at: datetime) -> int:
    """How many cases were purged after a moment."""
    return int(await tx.fetchval("SELECT count(*) FROM cases WHERE purged_at > $1", at))
