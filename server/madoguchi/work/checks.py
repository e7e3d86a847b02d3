"""Daily examinations. What they find stands on the administrator's page and in `madoguchi doctor`."""

from typing import Any

import structlog

from madoguchi.context import Context
from madoguchi.core.chat import integrity
from madoguchi.core.desk import auditing
from madoguchi.storage import bridging, checks, vault
from madoguchi.storage.checks import Check
from madoguchi.storage.db import Tx
from madoguchi.vault import pin

log = structlog.get_logger()


async def check_vault(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Whether every encrypted event of every case could be opened by the vault's holders, and by nobody else."""
    found = await vault.get_vault(tx)
    if found is None:
        return
    gaps = await vault.list_gaps(tx, found.key_id, ctx.clock.ms() - vault.PATIENCE_MS)
    await checks.put(tx, Check("vault", ctx.clock.now(), len(gaps)))
    if gaps:
        log.warning("sessions are missing in the vault", sessions=len(gaps), cases=len({gap.case_id for gap in gaps}))
    # Where the keeper has a machine of its own, what it refused shows in the gaps.
    other = not pin.is_it(ctx.settings.keys, found.public_key) or pin.was_refused(ctx.settings.data)
    await checks.put(tx, Check("vault_key", ctx.clock.now(), int(other)))
    if other:
        log.error("the vault's key is not the one that the operator has said")


async def check_events(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Whether every event is what was sent."""
    found = [event async for event in integrity.altered(tx)]
    await checks.put(tx, Check("events", ctx.clock.now(), len(found)))
    if found:
        log.warning("events are not what was sent", events=len(found), rooms=len({event.room_id for event in found}))


async def check_audit_log(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Whether the audit log is what it was when it was written."""
    _, faults = await auditing.faults(ctx, tx)
    await checks.put(tx, Check("audit", ctx.clock.now(), len(faults)))
    if faults:
        log.warning("the audit log is not whole", faults=faults)


async def check_bridges(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
    """Whether everything that came in from the apps is where the ledger says."""
    missing = sum(abs(ledger.missing) for ledger in await bridging.list_ledgers(tx))
    vanished = await bridging.count_vanished(tx)
    await checks.put(tx, Check("bridges", ctx.clock.now(), missing + vanished))
    if missing or vanished:
        log.warning("events of apps are not where the ledger says", missing=missing, vanished=vanished)
