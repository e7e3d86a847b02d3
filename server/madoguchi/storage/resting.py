"""Cases that rest: whose person has left and may return."""

from datetime import datetime

from madoguchi.storage.db import Tx
from madoguchi.storage.messages import A_MESSAGE


async def update_rested(tx: Tx, case_id: str, at: datetime) -> None:
    """Lays a case to rest."""
    await tx.execute("UPDATE cases SET state = 'resting', resting_since = $2 WHERE id = $1", case_id, at)


async def update_woken(tx: Tx, case_id: str) -> None:
    """A case is talked in again."""
    await tx.execute("UPDATE cases SET state = 'talking', resting_since = NULL WHERE id = $1", case_id)


async def update_waiting_again(tx: Tx, case_id: str, at: datetime) -> None:
    """Puts a case that has rested back into the queue: at the place of its arrival, with a wait that begins now."""
    await tx.execute(
        "UPDATE cases SET state = 'waiting', resting_since = NULL, woke_at = $2 WHERE id = $1", case_id, at
    )


async def list_silent(tx: Tx, keeper: str, before_ms: int) -> list[str]:
    """The ids of cases in which staff had the last word, before a moment. Who waits for an answer is not among them."""
    rows = await tx.fetch(
        f"""
        SELECT c.id FROM cases c
          JOIN LATERAL (
               SELECT e.sender, e.at FROM events e
                WHERE e.room_id = c.room_id AND e.sender <> $1 AND {A_MESSAGE}
                ORDER BY e.pos DESC LIMIT 1) last ON last.sender <> c.user_id AND last.at < $2
         WHERE c.state = 'talking' ORDER BY c.id
        """,
        keeper,
        before_ms,
    )
    return [row["id"] for row in rows]


async def list_spoken(tx: Tx) -> list[str]:
    """The ids of resting cases whose person has written since."""
    rows = await tx.fetch(
        f"""
        SELECT c.id FROM cases c
         WHERE c.state = 'resting' AND EXISTS (
               SELECT 1 FROM events e
                WHERE e.room_id = c.room_id AND e.sender = c.user_id
                  AND e.at > extract(epoch FROM c.resting_since) * 1000 AND {A_MESSAGE})
         ORDER BY c.id
        """
    )
    return [row["id"] for row in rows]


async def list_rested_out(tx: Tx, before: datetime) -> list[str]:
    """The ids of cases that have rested since before a moment."""
    rows = await tx.fetch(
        "SELECT id FROM cases WHERE state = 'resting' AND resting_since < $1 ORDER BY resting_since, id",
        before,
    )
    return [row["id"] for row in rows]
