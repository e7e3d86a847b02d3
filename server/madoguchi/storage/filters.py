"""Filters that clients have left here to name them by a number."""

from madoguchi.storage.db import Tx


async def insert_filter(tx: Tx, user_id: str, filter_json: bytes) -> int:
    """Keeps a filter and gives its number among the user's; the same filter gets the same number."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"filters {user_id}")
    known: int | None = await tx.fetchval(
        "SELECT filter_id FROM filters WHERE user_id = $1 AND sha256(filter) = sha256($2)", user_id, filter_json
    )
    if known is not None:
        return known
    filter_id: int = await tx.fetchval(
        """INSERT INTO filters (user_id, filter_id, filter)
           SELECT $1, coalesce(max(filter_id) + 1, 0), $2 FROM filters WHERE user_id = $1 RETURNING filter_id""",
        user_id,
        filter_json,
    )
    return filter_id


async def get_filter(tx: Tx, user_id: str, filter_id: int) -> bytes | None:
    filter_json: bytes | None = await tx.fetchval(
        "SELECT filter FROM filters WHERE user_id = $1 AND filter_id = $2", user_id, filter_id
    )
    return filter_json
