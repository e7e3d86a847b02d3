"""What happens to channels at its time."""

from typing import Any

from madoguchi.context import Context
from madoguchi.core.desk import suspension
from madoguchi.storage import checks, suspensions
from madoguchi.storage.checks import Check
from madoguchi.storage.db import Tx


async def switch_planned(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Does the switches of mode whose time has come. Of what could not be done somebody has to hear: it stands with the
    examinations until it is planned anew or given up."""
    await suspension.do_planned(ctx, tx)
    refused = await suspensions.count_refused(tx)
    before = next((each.found for each in await checks.list_checks(tx) if each.name == "switches"), 0)
    if refused != before:
        await checks.put(tx, Check("switches", ctx.clock.now(), refused))
