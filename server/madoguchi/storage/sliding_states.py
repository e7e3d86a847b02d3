"""What the connections of sliding sync have been sent, one record for each answer that may still be asked about."""

from madoguchi.ids import DeviceID, UserID
from madoguchi.storage.db import Tx

# Clients use two; whoever opens more and more loses the oldest.
MOST_CONNECTIONS = 16
# Requests with the same position, given up one after another; a client goes on with one of the last.
MOST_FOLLOWING = 3


async def get_state(tx: Tx, user_id: UserID, device_id: DeviceID, conn_id: str, tag: str) -> bytes | None:
    """The record of a tag, or None."""
    state: bytes | None = await tx.fetchval(
        "SELECT state FROM sliding_states WHERE user_id = $1 AND device_id = $2 AND conn_id = $3 AND tag = $4",
        user_id, device_id, conn_id, tag,
    )  # fmt: skip
    return state


async def insert_state(
    tx: Tx, user_id: UserID, device_id: DeviceID, conn_id: str, tag: str, before: str | None, state: bytes, now: int
) -> bool:
    """Adds a record that follows on the one `before`, whose answer has arrived. now: ms.

    Forgets what is older than that, and of the others that follow on it all but the newest: one of them may be what the
    client has got. False, and nothing is kept, where the record before is gone: its client has got something newer.
    """
    if before is None:
        await tx.execute(
            "DELETE FROM sliding_states WHERE user_id = $1 AND device_id = $2 AND conn_id = $3",
            user_id, device_id, conn_id,
        )  # fmt: skip
        await tx.execute(
            """
            DELETE FROM sliding_states WHERE user_id = $1 AND device_id = $2 AND conn_id IN (
                SELECT conn_id FROM sliding_states WHERE user_id = $1 AND device_id = $2
                 GROUP BY conn_id ORDER BY max(made_at) DESC OFFSET $3)
            """,
            user_id, device_id, MOST_CONNECTIONS - 1,
        )  # fmt: skip
    else:
        made_at: int | None = await tx.fetchval(
            """
            SELECT made_at FROM sliding_states
             WHERE user_id = $1 AND device_id = $2 AND conn_id = $3 AND tag = $4 FOR UPDATE
            """,
            user_id, device_id, conn_id, before,
        )  # fmt: skip
        if made_at is None:
            return False
        await tx.execute(
            """
            DELETE FROM sliding_states WHERE user_id = $1 AND device_id = $2 AND conn_id = $3 AND tag <> $4
               AND (made_at < $5 OR tag NOT IN (
                    SELECT tag FROM sliding_states
                     WHERE user_id = $1 AND device_id = $2 AND conn_id = $3 AND tag <> $4 AND made_at >= $5
                     ORDER BY made_at DESC LIMIT $6))
            """,
            user_id, device_id, conn_id, before, made_at, MOST_FOLLOWING,
        )  # fmt: skip
        # A clock may go back; the order of a connection's records may not.
        now = max(now, made_at + 1)
    await tx.execute(
        "INSERT INTO sliding_states (user_id, device_id, conn_id, tag, state, made_at) VALUES ($1, $2, $3, $4, $5, $6)",
        user_id, device_id, conn_id, tag, state, now,
    )  # fmt: skip
    return True


async def delete_states(tx: Tx, user_id: UserID, device_id: DeviceID) -> None:
    """Forgets a device's connections."""
    await tx.execute("DELETE FROM sliding_states WHERE user_id = $1 AND device_id = $2", user_id, device_id)


async def delete_states_before(tx: Tx, before: int) -> int:
    """Forgets connections that have not changed since a moment (ms). Gives how many records."""
    done: str = await tx.execute("DELETE FROM sliding_states WHERE made_at < $1", before)
    return int(done.rpartition(" ")[2])
