"""By what a young person comes back from another phone: an id to find them by, and the hash of a secret."""

from datetime import datetime

import msgspec

from madoguchi.storage.db import Tx


class ReturnKey(msgspec.Struct, frozen=True):
    """secret_hash: SHA-256 of a secret of 256 bits."""

    id: str
    user_id: str
    secret_hash: bytes


async def put(tx: Tx, key: ReturnKey, at: datetime) -> bool:
    """Sets somebody's key in the place of an earlier one. False, and nothing changed, if the id is another's."""
    await tx.execute("DELETE FROM return_keys WHERE user_id = $1", key.user_id)
    done = await tx.execute(
        """
        INSERT INTO return_keys (id, user_id, secret_hash, made_at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING
        """,
        key.id,
        key.user_id,
        key.secret_hash,
        at,
    )
    return bool(done == "INSERT 0 1")


async def get(tx: Tx, key_id: str) -> ReturnKey | None:
    """The key with an id, held until the end of the transaction."""
    row = await tx.fetchrow("SELECT id, user_id, secret_hash FROM return_keys WHERE id = $1 FOR UPDATE", key_id)
    return ReturnKey(**row) if row else None


async def update_used(tx: Tx, key_id: str, at: datetime) -> None:
    """Notes that somebody has come back."""
    await tx.execute("UPDATE return_keys SET used_at = $2 WHERE id = $1", key_id, at)


async def delete_of(tx: Tx, user_id: str) -> None:
    """Takes somebody's key away."""
    await tx.execute("DELETE FROM return_keys WHERE user_id = $1", user_id)
