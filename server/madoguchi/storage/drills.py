"""Drills 停止訓練 whose reports were kept."""

from datetime import datetime

import msgspec

from madoguchi.storage.db import Tx


class Drill(msgspec.Struct, frozen=True):
    """people: how many that do not exist took part; moved: how many of them moved; moved_95: minutes until 95 % had,
    None if they never had."""

    id: int
    at: datetime
    by_whom: str
    people: int
    moved: int
    moved_95: float | None


async def insert_drill(
    tx: Tx, at: datetime, by: str, people: int, moved: int, moved_95: float | None, report: str
) -> None:
    """Keeps one. report: an HTML page that needs nothing else."""
    await tx.execute(
        "INSERT INTO drills (at, by_whom, people, moved, moved_95, report) VALUES ($1, $2, $3, $4, $5, $6)",
        at, by, people, moved, moved_95, report,
    )  # fmt: skip


async def list_drills(tx: Tx) -> list[Drill]:
    """All of them, the newest first."""
    rows = await tx.fetch("SELECT id, at, by_whom, people, moved, moved_95 FROM drills ORDER BY at DESC, id DESC")
    return [Drill(**row) for row in rows]


async def get_report(tx: Tx, drill_id: int) -> tuple[datetime, str] | None:
    """(when it was, the report)"""
    row = await tx.fetchrow("SELECT at, report FROM drills WHERE id = $1", drill_id)
    return (row["at"], row["report"]) if row is not None else None
