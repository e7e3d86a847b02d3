"""Background jobs: each is done once, failures wait longer and longer, a lost wake-up is no harm."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from madoguchi import commands, config, database_roles
from madoguchi.clock import Clock
from madoguchi.context import Context
from madoguchi.core.desk.hours import TOKYO
from madoguchi.storage import jobs as stored
from madoguchi.storage.db import Tx
from madoguchi.work import retention
from madoguchi.work.jobs import KINDS, MOST_ATTEMPTS, Runner, wait_after
from madoguchi.work.schedule import SCHEDULE, Daily, Every
from tests.desk.conftest import Desk


class SetClock(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime.now(TOKYO)

    def now(self) -> datetime:
        return self.at

    def ms(self) -> int:
        return int(self.at.timestamp() * 1000)


@contextlib.asynccontextmanager
async def a_context(desk: Desk) -> AsyncIterator[Context]:
    """As `work` has it: in the database it may do what `work` may."""
    environ = {key: value for key, value in desk.workers.env.items() if key.startswith("MADOGUCHI_")}
    async with commands.context(database_roles.entered_by(config.load({}, environ=environ), "work")) as ctx:
        ctx.clock = SetClock()
        yield ctx


@pytest.fixture
async def ctx(desk: Desk) -> AsyncIterator[Context]:
    desk.workers.postgres.psql("DELETE FROM jobs", "madoguchi")
    async with a_context(desk) as found:
        yield found
    desk.workers.postgres.psql("DELETE FROM jobs", "madoguchi")


async def ask(ctx: Context, kind: str, key: str) -> bool:
    async with ctx.db.transaction() as tx:
        return await stored.insert_job(tx, kind, key, ctx.clock.now())


async def test_the_same_job_is_asked_for_once(ctx: Context) -> None:
    assert await ask(ctx, "k", "1")
    assert not await ask(ctx, "k", "1")
    assert await ask(ctx, "k", "2")


async def test_of_many_runners_each_job_is_done_by_one(ctx: Context) -> None:
    async with ctx.db.transaction() as tx:
        for number in range(20):
            await stored.insert_job(tx, "k", str(number), ctx.clock.now() + timedelta(microseconds=number))
    ctx.clock.at += timedelta(seconds=1)  # type: ignore[attr-defined]
    counted: list[int] = []

    async def count(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
        await asyncio.sleep(0.01)
        counted.append(1)

    runners = [Runner(ctx, {"k": count}, []) for _ in range(2)]

    async def drain(runner: Runner) -> int:
        taken = 0
        while await runner.do_next():
            taken += 1
        return taken

    taken = await asyncio.gather(*map(drain, runners))
    assert sum(taken) == len(counted) == 20
    assert min(taken) > 0


async def test_a_job_that_fails_is_rolled_back_and_waits_longer_each_time(ctx: Context) -> None:
    async def fail(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
        await tx.execute("UPDATE staff SET name = 'broken'")
        raise ValueError("words that must not be written down")

    runner = Runner(ctx, {"k": fail}, [])
    await ask(ctx, "k", "1")
    clock = ctx.clock
    assert isinstance(clock, SetClock)
    for attempt in range(1, MOST_ATTEMPTS):
        assert await runner.do_next()
        assert not await runner.do_next()
        clock.at += wait_after(attempt) - timedelta(seconds=1)
        assert not await runner.do_next()
        clock.at += timedelta(seconds=1)
    assert await runner.do_next()
    clock.at += timedelta(days=7)
    assert not await runner.do_next()
    async with ctx.db.transaction() as tx:
        assert await stored.list_gave_up(tx) == [("k", "1", "ValueError")]
        assert await tx.fetchval("SELECT count(*) FROM staff WHERE name = 'broken'") == 0
    # What was given up does not stand in the way of the next time.
    assert await ask(ctx, "k", "1")


async def test_a_job_asked_for_while_the_runner_sleeps_is_done_at_once(ctx: Context) -> None:
    done = asyncio.Event()

    async def work(ctx: Context, tx: Tx, body: dict[str, Any]) -> None:
        done.set()

    task = asyncio.create_task(Runner(ctx, {"k": work}, []).run())
    try:
        await asyncio.sleep(0.3)
        await ask(ctx, "k", "1")
        await asyncio.wait_for(done.wait(), 3)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_every_line_of_the_schedule_runs(ctx: Context) -> None:
    runner = Runner(ctx)
    await runner.plan()
    await runner.plan()
    clock = ctx.clock
    assert isinstance(clock, SetClock)
    clock.at += timedelta(days=2)
    done = 0
    while await runner.do_next():
        done += 1
    assert done == len(SCHEDULE)
    async with ctx.db.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM jobs") == 0
    assert {entry.kind for entry in SCHEDULE} <= KINDS.keys()


def test_times_of_the_schedule() -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=TOKYO)
    assert Every("10m", "k").next_after(noon) == noon + timedelta(minutes=10)
    assert Daily("04:10", "k").next_after(noon) == datetime(2026, 11, 24, 4, 10, tzinfo=TOKYO)
    assert Daily("13:00", "k").next_after(noon) == datetime(2026, 11, 23, 13, tzinfo=TOKYO)


async def test_who_has_not_come_back_for_long_is_signed_out_and_nobody_else(desk: Desk, ctx: Context) -> None:
    gone, _ = await desk.arrives()
    running, _ = await desk.arrives()
    recent, _ = await desk.arrives()
    for person in (gone, recent):
        await person.post("/_madoguchi/desk/v1/cases/mine/leave")
    old = ctx.clock.ms() - 31 * 24 * 60 * 60 * 1000
    desk.workers.postgres.psql(
        f"UPDATE devices SET created_at = {old}, last_seen_at = NULL "
        f"WHERE user_id IN ('{gone.user_id}', '{running.user_id}')",
        "madoguchi",
    )
    async with ctx.db.transaction() as tx:
        await retention.forget_abandoned_sessions(ctx, tx, {})
    devices = desk.workers.postgres.psql("SELECT user_id FROM devices", "madoguchi").split()
    assert gone.user_id not in devices
    assert {running.user_id, recent.user_id} <= set(devices)
