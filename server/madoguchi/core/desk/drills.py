"""Drills 停止訓練: their reports, kept so that an assembly can be shown when it was practised and what came of it."""

from datetime import datetime

from madoguchi.context import Context
from madoguchi.storage import audit
from madoguchi.storage import drills as stored
from madoguchi.storage.db import Tx


async def keep(
    ctx: Context, tx: Tx, at: datetime, people: int, moved: int, moved_95: float | None, report: str, *, by: str
) -> None:
    """Keeps what a drill found. moved_95: minutes until 95 % had moved, None: they never had; report: an HTML page."""
    await stored.insert_drill(tx, at, by, people, moved, moved_95, report)
    await audit.append(tx, ctx.clock.now(), by, "drill.kept", people=people, moved=moved)
