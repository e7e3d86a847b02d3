"""The viewing ledgers 閲覧範囲台帳, each signed and bound to the one before, and up to which one drift was seen."""

from collections.abc import AsyncIterator
from datetime import date, datetime

import msgspec

from madoguchi.storage.db import Tx


class Stored(msgspec.Struct, frozen=True):
    """document: canonical JSON; drift: JSON list of what is new or different and matters."""

    seq: int
    day: date
    at: datetime
    document: str
    hash: bytes
    signature: bytes
    drift: str


class Seen(msgspec.Struct, frozen=True):
    """An administrator has looked at the drift up to a ledger."""

    seq: int
    at: datetime
    by: str


class Short(msgspec.Struct, frozen=True):
    """One in the list of all."""

    seq: int
    day: date
    at: datetime
    drift: str


_COLUMNS = "seq, day, at, document, hash, signature, drift"
_LOCK = 7_261_148_055


async def lock(tx: Tx) -> None:
    """For the length of the transaction nobody else adds one."""
    await tx.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


async def insert(tx: Tx, made: Stored) -> None:
    """Adds one."""
    await tx.execute(
        f"INSERT INTO viewing_ledgers ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        made.seq, made.day, made.at, made.document, made.hash, made.signature, made.drift,
    )  # fmt: skip


async def get_last(tx: Tx) -> Stored | None:
    """The newest."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM viewing_ledgers ORDER BY seq DESC LIMIT 1")
    return Stored(**row) if row else None


async def get_of_day(tx: Tx, day: date) -> Stored | None:
    """The last one of a day."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM viewing_ledgers WHERE day = $1 ORDER BY seq DESC LIMIT 1", day)
    return Stored(**row) if row else None


async def list_short(tx: Tx, limit: int) -> list[Short]:
    """The newest ones, without what stands in them."""
    rows = await tx.fetch("SELECT seq, day, at, drift FROM viewing_ledgers ORDER BY seq DESC LIMIT $1", limit)
    return [Short(**row) for row in rows]


async def list_drift_after(tx: Tx, seq: int) -> list[Short]:
    """Those with drift after one, the oldest first."""
    rows = await tx.fetch(
        "SELECT seq, day, at, drift FROM viewing_ledgers WHERE seq > $1 AND drift <> '[]' ORDER BY seq", seq
    )
    return [Short(**row) for row in rows]


async def read_all(tx: Tx) -> AsyncIterator[Stored]:
    """All of them from the first on."""
    after = 0
    while True:
        rows = await tx.fetch(f"SELECT {_COLUMNS} FROM viewing_ledgers WHERE seq > $1 ORDER BY seq LIMIT 100", after)
        for row in rows:
            yield Stored(**row)
        if len(rows) < 100:
            return
        after = rows[-1]["seq"]


async def get_seen(tx: Tx) -> Seen | None:
    """Up to which one somebody has looked at the drift, when and who."""
    row = await tx.fetchrow("SELECT seq, at, by FROM viewing_ledger_seen ORDER BY seq DESC LIMIT 1")
    return Seen(**row) if row else None


async def insert_seen(tx: Tx, seen: Seen) -> bool:
    """Notes that somebody has looked; False where somebody had before."""
    done = await tx.fetchval(
        "INSERT INTO viewing_ledger_seen (seq, at, by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING true",
        seen.seq, seen.at, seen.by,
    )  # fmt: skip
    return bool(done)
