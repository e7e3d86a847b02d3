"""Which challenges of the proof of work have been used, and the key that makes them known again."""

from datetime import datetime

from madoguchi.storage.db import Tx


async def get_key(tx: Tx) -> bytes:
    """The key of this desk's challenges, the same for every worker."""
    return bytes(await tx.fetchval("SELECT key FROM proof_key"))


async def insert_used(tx: Tx, challenge: bytes, at: datetime, expires_at: datetime) -> bool:
    """Uses a challenge up; False if it has been. Of two workers at once the second waits for the first."""
    done: str = await tx.execute(
        "INSERT INTO proofs_used (challenge, at, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        challenge,
        at,
        expires_at,
    )
    return done == "INSERT 0 1"


async def count_used(tx: Tx, since: datetime) -> int:
    """How many were used since."""
    return int(await tx.fetchval("SELECT count(*) FROM proofs_used WHERE at >= $1", since))


async def delete_expired(tx: Tx, before: datetime) -> int:
    """Forgets those that are refused by their age alone. Gives how many."""
    done: str = await tx.execute("DELETE FROM proofs_used WHERE expires_at < $1", before)
    return int(done.split()[-1])
