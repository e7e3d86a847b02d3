"""What is done daily for the audit log."""

from typing import Any

from madoguchi.context import Context
from madoguchi.core.desk import auditing
from madoguchi.storage.db import Tx


async def sign_audit_log(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Signs the log as it stands: what is cut off behind that place is missed from now on."""
    await auditing.sign_head(ctx, tx)
