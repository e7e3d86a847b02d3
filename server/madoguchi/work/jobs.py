"""Background jobs: the table of kinds, and the runner that takes them one by one.

A job is a row, written in the transaction that wants it done. It is done in a transaction that also deletes the row:
so it happens once, or it fails as a whole and is tried again, each time after a longer wait. Any number of `work`
processes may run; each takes what no other holds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import structlog

from madoguchi.context import Context
from madoguchi.storage import jobs as stored
from madoguchi.storage.db import Tx
from madoguchi.storage.jobs import Job
from madoguchi.work import auditing, channels, checks, ledger, retention
from madoguchi.work.schedule import SCHEDULE, Entry

log = structlog.get_logger()

# What a kind does: takes the transaction that ends the job too, and the job's body.
Work = Callable[[Context, Tx, dict[str, Any]], Awaitable[None]]

KINDS: dict[str, Work] = {
    "forget_admin_links": retention.forget_admin_links,
    "forget_arrivals": retention.forget_arrivals,
    "forget_proofs": retention.forget_proofs,
    "forget_interactive_auth": retention.forget_interactive_auth,
    "forget_login_tokens": retention.forget_login_tokens,
    "forget_sliding_states": retention.forget_sliding_states,
    "forget_transactions": retention.forget_transactions,
    "forget_reserved_media": retention.forget_reserved_media,
    "forget_abandoned_sessions": retention.forget_abandoned_sessions,
    "purge_old_cases": retention.purge_old_cases,
    "purge_case": retention.purge_case,
    "destroy_kind": retention.destroy_kind,
    "cut_audit_log": retention.cut_audit_log,
    "grant_wishes": retention.grant_wishes,
    "grant_wish": retention.grant_wish,
    "forget_case": retention.forget_case,
    "remove_files": retention.remove_files,
    "forget_sightings": retention.forget_sightings,
    "forget_copied_keys": retention.forget_copied_keys,
    "forget_staff_commands": retention.forget_staff_commands,
    "tidy_resting": retention.tidy_resting,
    "look_after_resting": retention.look_after_resting,
    "tidy_side_rooms": retention.tidy_side_rooms,
    "sign_audit_log": auditing.sign_audit_log,
    "check_bridges": checks.check_bridges,
    "check_audit_log": checks.check_audit_log,
    "switch_planned": channels.switch_planned,
    "forget_move_links": retention.forget_move_links,
    "check_events": checks.check_events,
    "check_vault": checks.check_vault,
    "make_ledger": ledger.make_ledger,
}

MOST_ATTEMPTS = 12
_FIRST_WAIT = timedelta(seconds=10)
_LONGEST_WAIT = timedelta(hours=1)
# Asked for jobs wake the runner at once; this is for a wake-up that was lost with its connection.
_LOOK_AGAIN_S = 15.0


def wait_after(attempts: int) -> timedelta:
    """How long to wait after so many failures (1 or more) before the next try."""
    return min(_FIRST_WAIT * int(2 ** min(attempts - 1, 20)), _LONGEST_WAIT)


class Runner:
    """Does what is due, until it is cancelled."""

    def __init__(
        self, ctx: Context, kinds: dict[str, Work] | None = None, schedule: Sequence[Entry] = SCHEDULE
    ) -> None:
        self._ctx = ctx
        self._kinds = KINDS if kinds is None else kinds
        self._schedule = schedule
        self._asked = asyncio.Event()
        self._listening: asyncpg.Connection[asyncpg.Record] | None = None

    async def run(self) -> None:
        """Works for ever. A database that does not answer is waited for."""
        try:
            while True:
                try:
                    await self._listen()
                    self._asked.clear()
                    await self.plan()
                    while await self.do_next():
                        pass
                    await self._pause()
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    log.warning("database is not answering", error=type(error).__name__)
                    await asyncio.sleep(1)
        finally:
            if self._listening is not None and not self._listening.is_closed():
                self._listening.terminate()

    async def plan(self) -> None:
        """Puts the next run of everything in the schedule among the jobs."""
        now = self._ctx.clock.now()
        async with self._ctx.db.transaction() as tx:
            for entry in self._schedule:
                await stored.insert_job(tx, entry.kind, "scheduled", entry.next_after(now))

    async def do_next(self) -> bool:
        """Does the job that is due longest; False if none is due."""
        job: Job | None = None
        try:
            async with self._ctx.db.transaction() as tx:
                job = await stored.lock_due_job(tx, self._ctx.clock.now())
                if job is None:
                    return False
                await self._kinds[job.kind](self._ctx, tx, msgspec.json.decode(job.body, type=dict[str, Any]))
                await stored.delete_job(tx, job.id)
        except Exception as error:
            if job is None:
                raise
            await self._put_off(job, type(error).__name__)
        return True

    async def _put_off(self, job: Job, error: str) -> None:
        attempts = job.attempts + 1
        now = self._ctx.clock.now()
        async with self._ctx.db.transaction() as tx:
            if attempts >= MOST_ATTEMPTS:
                log.error("job given up", kind=job.kind, job=job.id, attempts=attempts, error=error)
                await stored.update_gave_up(tx, job.id, attempts, now, error)
            else:
                log.warning("job failed, trying again", kind=job.kind, job=job.id, attempts=attempts, error=error)
                await stored.update_failed(tx, job.id, attempts, now + wait_after(attempts), error)

    async def _listen(self) -> None:
        if self._listening is None or self._listening.is_closed():
            connection = await self._ctx.db.listen()
            await connection.add_listener(stored.CHANNEL, lambda *_: self._asked.set())
            self._listening = connection

    async def _pause(self) -> None:
        async with self._ctx.db.transaction() as tx:
            due = await stored.get_next_due(tx)
        seconds = _LOOK_AGAIN_S
        if due is not None:
            seconds = min(seconds, max(0.05, (due - self._ctx.clock.now()).total_seconds()))
        try:
            await asyncio.wait_for(self._asked.wait(), seconds)
        except TimeoutError:
            pass
