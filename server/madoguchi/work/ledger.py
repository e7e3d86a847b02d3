"""What is done daily for the viewing ledger."""

from typing import Any

import structlog

from madoguchi.context import Context
from madoguchi.core.desk import ledger
from madoguchi.storage.db import Tx

log = structlog.get_logger()


async def make_ledger(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Makes and signs the ledger of the day. Drift stands on the administrator's page and in `madoguchi doctor`."""
    made, drift = await ledger.make(ctx, tx)
    if drift:
        log.warning("the viewing ledger has drifted", seq=made.seq, changes=len(drift))
