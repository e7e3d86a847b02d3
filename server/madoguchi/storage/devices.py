"""Devices. What belongs to a device's encryption is in `storage/keys.py`. Times are milliseconds since 1970."""

from collections.abc import Sequence

import msgspec

from madoguchi.ids import DeviceID, UserID
from madoguchi.storage.db import Tx


class Device(msgspec.Struct, frozen=True):
    """One device of an account and where it was last seen (never kept for young people and ghosts)."""

    user_id: UserID
    device_id: DeviceID
    display_name: str | None
    created_at: int
    last_seen_at: int | None
    last_seen_address: str | None
    last_seen_agent: str | None


class Sighting(msgspec.Struct, frozen=True):
    """When and from where a device last called. is_kept: the address may be written beside the device (staff's)."""

    user_id: UserID
    device_id: DeviceID
    at: int
    address: str | None
    agent: str | None
    is_kept: bool


_COLUMNS = "user_id, device_id, display_name, created_at, last_seen_at, last_seen_address, last_seen_agent"


async def insert_device(tx: Tx, user_id: UserID, device_id: DeviceID, display_name: str | None, now: int) -> bool:
    """Makes the device; gives False (and changes nothing) if the user has it already."""
    made = await tx.fetchval(
        """
        INSERT INTO devices (user_id, device_id, display_name, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING RETURNING true
        """,
        user_id, device_id, display_name, now,
    )  # fmt: skip
    return bool(made)


async def get_device(tx: Tx, user_id: UserID, device_id: DeviceID) -> Device | None:
    """One device of a user."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM devices WHERE user_id = $1 AND device_id = $2", user_id, device_id)
    return Device(**row) if row else None


async def list_devices(tx: Tx, user_id: UserID) -> list[Device]:
    """All devices of a user, oldest first."""
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM devices WHERE user_id = $1 ORDER BY created_at, device_id", user_id)
    return [Device(**row) for row in rows]


async def update_device_name(tx: Tx, user_id: UserID, device_id: DeviceID, display_name: str) -> bool:
    """Names the device; gives False if the user has no such device."""
    done = await tx.fetchval(
        "UPDATE devices SET display_name = $3 WHERE user_id = $1 AND device_id = $2 RETURNING true",
        user_id, device_id, display_name,
    )  # fmt: skip
    return bool(done)


async def delete_device(tx: Tx, user_id: UserID, device_id: DeviceID) -> bool:
    """Takes the device away, and its tokens with it; gives False if there was none."""
    done = await tx.fetchval(
        "DELETE FROM devices WHERE user_id = $1 AND device_id = $2 RETURNING true", user_id, device_id
    )
    return bool(done)


async def update_last_seen(tx: Tx, sightings: Sequence[Sighting]) -> None:
    """Writes down where devices were seen, many at once."""
    # In the order of the key: two workers that write at once must not wait for each other in a circle.
    ordered = sorted(sightings, key=lambda seen: (seen.user_id, seen.device_id))
    await tx.execute(
        """
        UPDATE devices d SET last_seen_at = s.at, last_seen_address = s.address, last_seen_agent = s.agent
        FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[]) AS s(u, dev, at, address, agent)
        WHERE d.user_id = s.u AND d.device_id = s.dev AND coalesce(d.last_seen_at, 0) < s.at
        """,
        [seen.user_id for seen in ordered],
        [seen.device_id for seen in ordered],
        [seen.at for seen in ordered],
        [seen.address if seen.is_kept else None for seen in ordered],
        [seen.agent for seen in ordered],
    )
