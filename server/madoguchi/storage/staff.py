"""Staff of the desk, and the one-time links by which the first administrators come in."""

from datetime import datetime
from typing import Literal

import msgspec

from madoguchi.storage.db import Tx

Role = Literal["counsellor", "supervisor", "administrator", "auditor"]


class Staff(msgspec.Struct, frozen=True):
    """A person who works at the desk.

    capacity: how many running cases they look after at most; away_since: since when they are on a break;
    debrief_asked_at: since when they would like to talk about a hard case
    """

    user_id: str
    name: str
    role: Role
    capacity: int
    added_at: datetime
    last_seen_at: datetime | None
    disabled_at: datetime | None
    away_since: datetime | None
    debrief_asked_at: datetime | None


_COLUMNS = "user_id, name, role, capacity, added_at, last_seen_at, disabled_at, away_since, debrief_asked_at"


async def get_staff(tx: Tx, user_id: str) -> Staff | None:
    """A member of staff, disabled ones too; None for anybody else."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM staff WHERE user_id = $1", user_id)
    return Staff(**row) if row else None


async def lock_staff(tx: Tx, user_id: str) -> Staff | None:
    """A member of staff, held until the end of the transaction: so capacity is counted by one at a time."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM staff WHERE user_id = $1 FOR NO KEY UPDATE", user_id)
    return Staff(**row) if row else None


async def list_staff(tx: Tx) -> list[Staff]:
    """Everybody, in the order in which they came."""
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM staff ORDER BY added_at, user_id")
    return [Staff(**row) for row in rows]


async def insert_staff(
    tx: Tx, user_id: str, name: str, role: Role, capacity: int, at: datetime, by: str | None
) -> None:
    """Adds a member of staff whose account exists."""
    await tx.execute(
        "INSERT INTO staff (user_id, name, role, capacity, added_at, added_by) VALUES ($1, $2, $3, $4, $5, $6)",
        user_id,
        name,
        role,
        capacity,
        at,
        by,
    )


async def update_staff(tx: Tx, user_id: str, name: str, role: Role, capacity: int) -> None:
    """Changes what a member of staff is called and may do."""
    await tx.execute(
        "UPDATE staff SET name = $2, role = $3, capacity = $4 WHERE user_id = $1", user_id, name, role, capacity
    )


async def update_disabled(tx: Tx, user_id: str, at: datetime, by: str) -> None:
    """Disables a member of staff."""
    await tx.execute(
        "UPDATE staff SET disabled_at = $2, disabled_by = $3 WHERE user_id = $1 AND disabled_at IS NULL",
        user_id,
        at,
        by,
    )


async def update_last_seen(tx: Tx, user_id: str, at: datetime) -> None:
    """Notes that the console of a member of staff has just asked for the queue."""
    await tx.execute("UPDATE staff SET last_seen_at = $2 WHERE user_id = $1", user_id, at)


async def update_away(tx: Tx, user_id: str, since: datetime | None) -> None:
    """Notes that somebody takes a break, or is back."""
    await tx.execute("UPDATE staff SET away_since = $2 WHERE user_id = $1", user_id, since)


async def update_debrief(tx: Tx, user_id: str, asked_at: datetime | None) -> None:
    """Notes that somebody would like to talk about a hard case, or has."""
    await tx.execute("UPDATE staff SET debrief_asked_at = $2 WHERE user_id = $1", user_id, asked_at)


async def count_present(tx: Tx, since: datetime) -> int:
    """How many who may counsel have been seen since a moment."""
    count: int = await tx.fetchval(
        """
        SELECT count(*) FROM staff
        WHERE disabled_at IS NULL AND last_seen_at >= $1 AND role <> 'auditor' AND capacity > 0
              AND away_since IS NULL
        """,
        since,
    )
    return count


async def is_online(tx: Tx, user_id: str, since_ms: int) -> bool:
    """Whether any device of somebody's, console or Matrix client, has asked for anything since a moment."""
    found: bool = await tx.fetchval(
        "SELECT EXISTS (SELECT 1 FROM devices WHERE user_id = $1 AND last_seen_at >= $2)", user_id, since_ms
    )
    return found


async def lock_administrators(tx: Tx) -> list[str]:
    """The user ids of all administrators who are not disabled, held until the end of the transaction."""
    rows = await tx.fetch(
        """
        SELECT user_id FROM staff WHERE role = 'administrator' AND disabled_at IS NULL
        ORDER BY user_id FOR NO KEY UPDATE
        """
    )
    return [row["user_id"] for row in rows]


async def count_administrators(tx: Tx) -> int:
    """How many administrators are not disabled."""
    count: int = await tx.fetchval("SELECT count(*) FROM staff WHERE role = 'administrator' AND disabled_at IS NULL")
    return count


async def upsert_link(tx: Tx, user_id: str, token_hash: bytes, by: str, expires_at: datetime) -> None:
    """Keeps the SHA-256 of a link's token; one that the person had before is good no more."""
    await tx.execute(
        """
        INSERT INTO staff_links (user_id, token_hash, made_by, expires_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id) DO UPDATE SET token_hash = excluded.token_hash, made_by = excluded.made_by,
                                            expires_at = excluded.expires_at
        """,
        user_id,
        token_hash,
        by,
        expires_at,
    )


async def redeem_link(tx: Tx, token_hash: bytes, at: datetime) -> str | None:
    """Uses a link up and gives whose it was; None if it is unknown, used or expired. Of two at once one gets it."""
    user_id: str | None = await tx.fetchval(
        "DELETE FROM staff_links WHERE token_hash = $1 AND expires_at > $2 RETURNING user_id", token_hash, at
    )
    return user_id


async def delete_links(tx: Tx, user_id: str) -> None:
    """Makes the link of somebody worthless."""
    await tx.execute("DELETE FROM staff_links WHERE user_id = $1", user_id)


async def delete_expired_links(tx: Tx, before: datetime) -> int:
    """Forgets links of staff that expired before a moment. Gives how many."""
    done: str = await tx.execute("DELETE FROM staff_links WHERE expires_at < $1", before)
    return int(done.rpartition(" ")[2])


async def insert_admin_link(tx: Tx, token_hash: bytes, at: datetime, expires_at: datetime) -> None:
    """Keeps the SHA-256 of a link's token."""
    await tx.execute(
        "INSERT INTO admin_links (token_hash, created_at, expires_at) VALUES ($1, $2, $3)", token_hash, at, expires_at
    )


async def redeem_admin_link(tx: Tx, token_hash: bytes, at: datetime, by: str) -> bool:
    """Uses a link up; False if it is unknown, used or expired. Of two at once the second waits and gets False."""
    done = await tx.execute(
        """
        UPDATE admin_links SET redeemed_at = $2, redeemed_by = $3
        WHERE token_hash = $1 AND redeemed_at IS NULL AND expires_at > $2
        """,
        token_hash,
        at,
        by,
    )
    return bool(done == "UPDATE 1")


async def count_admin_links(tx: Tx, at: datetime) -> int:
    """How many links could still be redeemed."""
    count: int = await tx.fetchval("SELECT count(*) FROM admin_links WHERE redeemed_at IS NULL AND expires_at > $1", at)
    return count


async def delete_open_admin_links(tx: Tx) -> None:
    """Makes every link that has not been used worthless: a new one takes their place."""
    await tx.execute("DELETE FROM admin_links WHERE redeemed_at IS NULL")


async def delete_expired_admin_links(tx: Tx, before: datetime) -> int:
    """Forgets links that expired before a moment and were never used. Gives how many."""
    done: str = await tx.execute("DELETE FROM admin_links WHERE redeemed_at IS NULL AND expires_at < $1", before)
    return int(done.rpartition(" ")[2])
