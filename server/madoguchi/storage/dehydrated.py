"""Dehydrated devices: at most one a user."""

import msgspec

from madoguchi.storage.db import Tx


class DehydratedDevice(msgspec.Struct, frozen=True):
    """device_data: JSON that only the owner can open."""

    device_id: str
    device_data: bytes


async def get_dehydrated_device(tx: Tx, user_id: str) -> DehydratedDevice | None:
    row = await tx.fetchrow("SELECT device_id, device_data FROM dehydrated_devices WHERE user_id = $1", user_id)
    return DehydratedDevice(**row) if row else None


async def set_dehydrated_device(tx: Tx, user_id: str, device: DehydratedDevice) -> None:
    await tx.execute(
        """INSERT INTO dehydrated_devices (user_id, device_id, device_data) VALUES ($1, $2, $3)
           ON CONFLICT (user_id) DO UPDATE SET device_id = excluded.device_id, device_data = excluded.device_data""",
        user_id,
        device.device_id,
        device.device_data,
    )
