"""What happens to channels at its time."""

from typing import Any

from madoguchi.context import Context
from madoguchi.core.desk import suspension
from madoguchi.storage.db import Tx


async def switch_planned(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Does the switches of mode whose time has come."""
    await suspension.do_planned(ctx, tx)
