"""Device keys, one-time and fallback keys, and who changed theirs when."""

from collections.abc import Sequence

import msgspec

from madoguchi.storage.db import Tx

_OF_A_DEVICE = (
    "device_keys",
    "one_time_keys",
    "fallback_keys",
    "to_device",
    "to_device_transactions",
    "pushers",
    "dehydrated_devices",
)


class OneTimeKey(msgspec.Struct, frozen=True):
    """A key that is given out once. `key` is its JSON, an object or a string."""

    algorithm: str
    key_id: str
    key: bytes


class DeviceKeys(msgspec.Struct, frozen=True):
    """What a device has published of itself; `keys` is the JSON object as it was uploaded."""

    user_id: str
    device_id: str
    keys: bytes
    display_name: str | None = None


# -- devices ----------------------------------------------------------------------------------------------------------
async def get_device_keys(tx: Tx, user_id: str, device_id: str) -> bytes | None:
    """The keys that a device has published, as JSON."""
    keys: bytes | None = await tx.fetchval(
        "SELECT keys FROM device_keys WHERE user_id = $1 AND device_id = $2", user_id, device_id
    )
    return keys


async def lock_device(tx: Tx, user_id: str, device_id: str) -> None:
    """Lets nobody else change the keys of this device until the transaction ends."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"keys {user_id} {device_id}")


async def set_device_keys(tx: Tx, user_id: str, device_id: str, keys: bytes) -> None:
    await tx.execute(
        """INSERT INTO device_keys (user_id, device_id, keys) VALUES ($1, $2, $3)
           ON CONFLICT (user_id, device_id) DO UPDATE SET keys = excluded.keys""",
        user_id,
        device_id,
        keys,
    )


async def list_device_keys(tx: Tx, user_ids: Sequence[str]) -> list[DeviceKeys]:
    """The published keys of all devices of these users, with the names that the devices were given."""
    rows = await tx.fetch(
        """SELECT k.user_id, k.device_id, k.keys, d.display_name
             FROM device_keys k LEFT JOIN devices d USING (user_id, device_id)
            WHERE k.user_id = ANY($1::text[])""",
        user_ids,
    )
    return [DeviceKeys(**row) for row in rows]


async def delete_device_keys(tx: Tx, user_id: str, device_id: str) -> None:
    """Forgets all that belonged to a device that is no more: keys, signatures, waiting messages, pushers.

    The caller announces it afterwards: a note of kind `devices`, and `set_device_change`.
    """
    for table in _OF_A_DEVICE:
        await tx.execute(f"DELETE FROM {table} WHERE user_id = $1 AND device_id = $2", user_id, device_id)
    await tx.execute(
        """DELETE FROM key_signatures
            WHERE (target = $1 AND target_key = $2) OR (signer = $1 AND signer_key = $3)""",
        user_id,
        device_id,
        f"ed25519:{device_id}",
    )


# -- one-time and fallback keys ---------------------------------------------------------------------------------------
async def list_one_time_keys(tx: Tx, user_id: str, device_id: str, key_ids: Sequence[str]) -> list[OneTimeKey]:
    """Those of the named keys that wait to be given out."""
    rows = await tx.fetch(
        """SELECT algorithm, key_id, key FROM one_time_keys
            WHERE user_id = $1 AND device_id = $2 AND key_id = ANY($3::text[])""",
        user_id,
        device_id,
        key_ids,
    )
    return [OneTimeKey(**row) for row in rows]


async def insert_one_time_keys(tx: Tx, user_id: str, device_id: str, keys: Sequence[OneTimeKey]) -> None:
    await tx.execute(
        """INSERT INTO one_time_keys (user_id, device_id, algorithm, key_id, key)
           SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::bytea[])""",
        user_id,
        device_id,
        [key.algorithm for key in keys],
        [key.key_id for key in keys],
        [key.key for key in keys],
    )


async def count_one_time_keys(tx: Tx, user_id: str, device_id: str) -> dict[str, int]:
    """How many keys of each algorithm are left; signed_curve25519 is always named, because clients wait for it."""
    rows = await tx.fetch(
        "SELECT algorithm, count(*) AS n FROM one_time_keys WHERE user_id = $1 AND device_id = $2 GROUP BY algorithm",
        user_id,
        device_id,
    )
    return {"signed_curve25519": 0} | {row["algorithm"]: row["n"] for row in rows}


async def take_one_time_key(tx: Tx, user_id: str, device_id: str, algorithm: str) -> OneTimeKey | None:
    """The oldest key that nobody has claimed and nobody is claiming; it is never given again."""
    row = await tx.fetchrow(
        """DELETE FROM one_time_keys
            WHERE (user_id, device_id, algorithm, key_id) IN (
                  SELECT user_id, device_id, algorithm, key_id FROM one_time_keys
                   WHERE user_id = $1 AND device_id = $2 AND algorithm = $3
                   ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
           RETURNING algorithm, key_id, key""",
        user_id,
        device_id,
        algorithm,
    )
    return OneTimeKey(**row) if row else None


async def set_fallback_key(tx: Tx, user_id: str, device_id: str, key: OneTimeKey) -> None:
    """Replaces the device's fallback key of this algorithm. The same key again stays used, if it was."""
    await tx.execute(
        """INSERT INTO fallback_keys (user_id, device_id, algorithm, key_id, key) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (user_id, device_id, algorithm) DO UPDATE
              SET key_id = excluded.key_id, key = excluded.key,
                  used = fallback_keys.used AND fallback_keys.key_id = excluded.key_id
                         AND fallback_keys.key = excluded.key""",
        user_id,
        device_id,
        key.algorithm,
        key.key_id,
        key.key,
    )


async def use_fallback_key(tx: Tx, user_id: str, device_id: str, algorithm: str) -> tuple[OneTimeKey, bool] | None:
    """The device's fallback key, now marked as used; and whether this was its first use."""
    row = await tx.fetchrow(
        """UPDATE fallback_keys new SET used = true
             FROM (SELECT user_id, device_id, algorithm, used FROM fallback_keys
                    WHERE user_id = $1 AND device_id = $2 AND algorithm = $3 FOR UPDATE) old
            WHERE (new.user_id, new.device_id, new.algorithm) = (old.user_id, old.device_id, old.algorithm)
           RETURNING new.algorithm, new.key_id, new.key, NOT old.used AS first""",
        user_id,
        device_id,
        algorithm,
    )
    return (OneTimeKey(row["algorithm"], row["key_id"], row["key"]), row["first"]) if row else None


async def list_unused_fallback_types(tx: Tx, user_id: str, device_id: str) -> list[str]:
    """The algorithms for which the device has a fallback key that nobody was given yet."""
    rows = await tx.fetch(
        """SELECT algorithm FROM fallback_keys WHERE user_id = $1 AND device_id = $2 AND NOT used ORDER BY algorithm""",
        user_id,
        device_id,
    )
    return [row["algorithm"] for row in rows]


# -- who changed when -------------------------------------------------------------------------------------------------
async def set_device_change(tx: Tx, user_id: str, pos: int) -> None:
    """Notes a change of the user's devices or keys under a position just taken from the stream."""
    await tx.execute(
        """INSERT INTO device_changes (user_id, pos) VALUES ($1, $2)
           ON CONFLICT (user_id) DO UPDATE SET pos = excluded.pos""",
        user_id,
        pos,
    )


async def list_device_changes(tx: Tx, after: int, upto: int) -> list[tuple[int, str]]:
    """(position, user id) of the newest change of each user whose devices or keys changed in (after, upto].

    A user who changed again after `upto` is missing here and present in the next range: nothing is lost to a reader
    that goes on from `upto`.
    """
    rows = await tx.fetch(
        "SELECT pos, user_id FROM device_changes WHERE pos > $1 AND pos <= $2 ORDER BY pos", after, upto
    )
    return [(row["pos"], row["user_id"]) for row in rows]


async def set_signature_change(tx: Tx, signer: str, target: str, pos: int) -> None:
    await tx.execute(
        """INSERT INTO signature_changes (signer, target, pos) VALUES ($1, $2, $3)
           ON CONFLICT (signer, target) DO UPDATE SET pos = excluded.pos""",
        signer,
        target,
        pos,
    )


async def list_signature_changes(tx: Tx, signer: str, after: int, upto: int) -> list[str]:
    """The users whose keys `signer` has signed in (after, upto]: `changed` in the signer's own device lists only."""
    rows = await tx.fetch(
        "SELECT target FROM signature_changes WHERE signer = $1 AND pos > $2 AND pos <= $3", signer, after, upto
    )
    return [row["target"] for row in rows]


async def list_newly_sharing(tx: Tx, user_id: str, after: int) -> set[str]:
    """Who shares a room with the user by a join, theirs or the user's, after a position."""
    rows = await tx.fetch(
        """SELECT DISTINCT theirs.user_id FROM memberships mine
             JOIN memberships theirs ON theirs.room_id = mine.room_id AND theirs.membership = 'join'
            WHERE mine.user_id = $1 AND mine.membership = 'join' AND (mine.pos > $2 OR theirs.pos > $2)""",
        user_id,
        after,
    )
    return {row["user_id"] for row in rows}


async def list_parted(tx: Tx, user_id: str, after: int) -> set[str]:
    """Who was in a room with the user that one of the two has left after a position. They may share another."""
    rows = await tx.fetch(
        """SELECT DISTINCT theirs.user_id FROM memberships mine
             JOIN memberships theirs ON theirs.room_id = mine.room_id
            WHERE mine.user_id = $1 AND theirs.user_id <> $1
              AND ((mine.membership = 'join' AND theirs.membership IN ('leave', 'ban') AND theirs.pos > $2)
                OR (mine.membership IN ('leave', 'ban') AND mine.pos > $2
                    AND (theirs.membership = 'join' OR theirs.pos > $2)))""",
        user_id,
        after,
    )
    return {row["user_id"] for row in rows}
