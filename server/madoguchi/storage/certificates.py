"""The certificates of what was destroyed, numbered for each case. They are added, never changed (a trigger refuses)."""

from datetime import datetime

import msgspec

from madoguchi.ids import CaseID
from madoguchi.storage.db import Tx


class Stored(msgspec.Struct, frozen=True):
    """document: canonical JSON; public_key: of the key that signed it; receipt: of the wish that it answers."""

    case_id: str
    at: datetime
    document: str
    hash: bytes
    signature: bytes
    public_key: bytes
    number: int = 1
    receipt: str | None = None


_COLUMNS = "case_id, at, document, hash, signature, public_key, number, receipt"


async def insert(tx: Tx, made: Stored) -> None:
    """Adds one."""
    await tx.execute(
        f"INSERT INTO deletion_certificates ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        made.case_id, made.at, made.document, made.hash, made.signature, made.public_key, made.number, made.receipt,
    )  # fmt: skip


async def list_of_case(tx: Tx, case_id: CaseID) -> list[Stored]:
    """Those of a case, in their order."""
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM deletion_certificates WHERE case_id = $1 ORDER BY number", case_id)
    return [Stored(**row) for row in rows]


async def list_of_wish(tx: Tx, receipt: str) -> list[Stored]:
    """Those that answer a person's wish, a case each, the oldest first."""
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM deletion_certificates WHERE receipt = $1 ORDER BY at, case_id", receipt
    )
    return [Stored(**row) for row in rows]
