"""The certificates of what was purged, one a case. They are added, never changed (a trigger refuses)."""

from datetime import datetime

import msgspec

from madoguchi.ids import CaseID
from madoguchi.storage.db import Tx


class Stored(msgspec.Struct, frozen=True):
    """document: canonical JSON; public_key: of the key that signed it."""

    case_id: str
    at: datetime
    document: str
    hash: bytes
    signature: bytes
    public_key: bytes


_COLUMNS = "case_id, at, document, hash, signature, public_key"


async def insert(tx: Tx, made: Stored) -> None:
    """Adds one."""
    await tx.execute(
        f"INSERT INTO deletion_certificates ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)",
        made.case_id, made.at, made.document, made.hash, made.signature, made.public_key,
    )  # fmt: skip


async def get(tx: Tx, case_id: CaseID) -> Stored | None:
    """That of a case."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM deletion_certificates WHERE case_id = $1", case_id)
    return Stored(**row) if row else None
