"""The audit log: rows are added, never changed (a trigger refuses), each bound to the one before (crypto/chain.py)."""

from collections.abc import AsyncIterator
from datetime import datetime

import msgspec

from madoguchi.crypto import chain
from madoguchi.crypto.chain import Anchor, Entry, Head
from madoguchi.storage import stream
from madoguchi.storage.db import Tx

_COLUMNS = "seq, at, actor, act, subject, detail, hash"
_PAGE = 1000


async def append(tx: Tx, at: datetime, actor: str, act: str, subject: str = "", **detail: object) -> None:
    """Writes down who did what, in the same transaction as the deed. Never what was said.

    One transaction at a time holds the end of the log: the one that holds the stream. Call it late.
    """
    await stream.lock(tx)
    last = await tx.fetchrow("SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1")
    seq, before = (last["seq"], last["hash"]) if last else (0, chain.BEGINNING)
    text = msgspec.json.encode(detail, order="sorted").decode() if detail else ""
    entry = Entry(seq + 1, at, actor, act, subject, text)
    await tx.execute(
        f"INSERT INTO audit_log ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        entry.seq, at, actor, act, subject, text, chain.entry_hash(before, entry),
    )  # fmt: skip


async def list_before(tx: Tx, before: int, limit: int) -> list[Entry]:
    """The newest entries with a number below `before`, the newest first."""
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM audit_log WHERE seq < $1 ORDER BY seq DESC LIMIT $2", before, limit)
    return [Entry(**row) for row in rows]


async def read_all(tx: Tx) -> AsyncIterator[Entry]:
    """The whole log from its beginning, in pages."""
    after = -(2**62)
    while True:
        rows = await tx.fetch(f"SELECT {_COLUMNS} FROM audit_log WHERE seq > $1 ORDER BY seq LIMIT {_PAGE}", after)
        for row in rows:
            yield Entry(**row)
        if len(rows) < _PAGE:
            return
        after = rows[-1]["seq"]


async def get_last(tx: Tx) -> tuple[int, bytes]:
    """The number and hash of the last entry; 0 and the beginning of the chain for an empty log."""
    row = await tx.fetchrow("SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1")
    return (row["seq"], row["hash"]) if row else (0, chain.BEGINNING)


async def get_anchor(tx: Tx) -> Anchor | None:
    """Up to where the log was cut last; None if it never was."""
    row = await tx.fetchrow("SELECT seq, hash, at, signature FROM audit_anchors ORDER BY seq DESC LIMIT 1")
    return Anchor(**row) if row else None


async def get_head_to_cut(tx: Tx, before: datetime) -> Head | None:
    """The newest signed head up to which all entries are older than a moment; never the log's end."""
    row = await tx.fetchrow(
        """
        SELECT h.seq, h.hash, h.at, h.signature FROM audit_heads h JOIN audit_log l USING (seq)
         WHERE l.at < $1 AND h.seq < (SELECT max(seq) FROM audit_log) ORDER BY h.seq DESC LIMIT 1
        """,
        before,
    )
    return Head(**row) if row else None


async def cut(tx: Tx, anchor: Anchor) -> int:
    """Keeps an anchor, by which the database deletes the log up to it. Gives how many entries."""
    count = int(await tx.fetchval("SELECT count(*) FROM audit_log WHERE seq <= $1", anchor.seq))
    await tx.execute(
        "INSERT INTO audit_anchors (seq, hash, at, entries, signature) VALUES ($1, $2, $3, $4, $5)",
        anchor.seq, anchor.hash, anchor.at, count, anchor.signature,
    )  # fmt: skip
    return count


async def list_heads(tx: Tx) -> list[Head]:
    """Every signed head, the oldest first."""
    rows = await tx.fetch("SELECT seq, hash, at, signature FROM audit_heads ORDER BY seq")
    return [Head(**row) for row in rows]


async def insert_head(tx: Tx, head: Head) -> None:
    """Keeps a signed head; one at the same place stays."""
    await tx.execute(
        "INSERT INTO audit_heads (seq, hash, at, signature) VALUES ($1, $2, $3, $4) ON CONFLICT (seq) DO NOTHING",
        head.seq, head.hash, head.at, head.signature,
    )  # fmt: skip
