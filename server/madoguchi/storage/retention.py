"""What is forgotten once its time is over. Moments are milliseconds since 1970, as in the tables themselves."""

from madoguchi.ids import UserID
from madoguchi.storage.db import Tx


async def _delete(tx: Tx, statement: str, before: int) -> int:
    done: str = await tx.execute(statement, before)
    return int(done.rpartition(" ")[2])


async def delete_transactions(tx: Tx, before: int) -> int:
    """Transaction ids that no client will repeat any more. Gives how many."""
    return await _delete(tx, "DELETE FROM transactions WHERE at < $1", before)


async def delete_interactive_auth(tx: Tx, before: int) -> int:
    """Interactive authentications that were begun before a moment and never finished. Gives how many."""
    return await _delete(tx, "DELETE FROM interactive_auth WHERE created_at < $1", before)


async def delete_login_tokens(tx: Tx, now: int) -> int:
    """Login tokens that nobody used in time. Gives how many."""
    return await _delete(tx, "DELETE FROM login_tokens WHERE expires_at < $1", now)


async def delete_reserved_media(tx: Tx, now: int) -> int:
    """Media ids that were reserved and never filled. Gives how many."""
    return await _delete(tx, "DELETE FROM media WHERE size IS NULL AND unused_expires_at < $1", now)


async def list_abandoned(tx: Tx, before: int, most: int) -> list[UserID]:
    """Anonymous people who are still signed in somewhere, have no running case, and were last seen before a moment."""
    rows = await tx.fetch(
        """
        SELECT a.user_id FROM accounts a JOIN devices d USING (user_id)
        WHERE a.kind = 'youth' AND a.deactivated_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM cases c WHERE c.user_id = a.user_id
                          AND c.state IN ('arriving', 'waiting', 'talking', 'resting'))
        GROUP BY a.user_id HAVING max(coalesce(d.last_seen_at, d.created_at)) < $1
        ORDER BY a.user_id LIMIT $2
        """,
        before,
        most,
    )
    return [row["user_id"] for row in rows]
