"""Messages from device to device, kept until the receiving device has confirmed them."""

from collections.abc import Sequence

from madoguchi.storage.db import Tx


async def list_devices(tx: Tx, user_ids: Sequence[str]) -> dict[str, list[str]]:
    """The device ids of each of these users."""
    rows = await tx.fetch("SELECT user_id, device_id FROM devices WHERE user_id = ANY($1::text[])", user_ids)
    devices: dict[str, list[str]] = {}
    for row in rows:
        devices.setdefault(row["user_id"], []).append(row["device_id"])
    return devices


async def insert_transaction(tx: Tx, user_id: str, device_id: str, event_type: str, txn_id: str, at: int) -> bool:
    """Whether this transaction id is new. Waits for another process that is just using it."""
    row = await tx.fetchrow(
        """INSERT INTO to_device_transactions (user_id, device_id, event_type, txn_id, at) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT DO NOTHING RETURNING at""",
        user_id,
        device_id,
        event_type,
        txn_id,
        at,
    )
    return row is not None


async def delete_transactions_before(tx: Tx, at: int) -> int:
    """Forgets transaction ids older than `at` (ms). Gives how many."""
    status: str = await tx.execute("DELETE FROM to_device_transactions WHERE at < $1", at)
    return int(status.rpartition(" ")[2])


async def insert_to_device(tx: Tx, pos: int, messages: Sequence[tuple[str, str, bytes]]) -> None:
    """Puts (user id, device id, message JSON) into the devices' inboxes; at most one a device and position."""
    await tx.execute(
        """INSERT INTO to_device (user_id, device_id, pos, message)
           SELECT user_id, device_id, $1, message FROM unnest($2::text[], $3::text[], $4::bytea[])
               AS m(user_id, device_id, message)""",
        pos,
        [user_id for user_id, _, _ in messages],
        [device_id for _, device_id, _ in messages],
        [message for _, _, message in messages],
    )


async def list_to_device(
    tx: Tx, user_id: str, device_id: str, after: int, upto: int, limit: int = 100
) -> list[tuple[int, bytes]]:
    """(position, message JSON) in order, the oldest `limit` in (after, upto].

    With `limit` messages there may be more: the reader must then confirm no further than the last position given.
    """
    rows = await tx.fetch(
        """SELECT pos, message FROM to_device
            WHERE user_id = $1 AND device_id = $2 AND pos > $3 AND pos <= $4 ORDER BY pos LIMIT $5""",
        user_id,
        device_id,
        after,
        upto,
        limit,
    )
    return [(row["pos"], row["message"]) for row in rows]


async def delete_to_device(tx: Tx, user_id: str, device_id: str, upto: int) -> None:
    """Forgets what the device has confirmed."""
    await tx.execute(
        "DELETE FROM to_device WHERE user_id = $1 AND device_id = $2 AND pos <= $3", user_id, device_id, upto
    )
