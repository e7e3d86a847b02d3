"""Thousands who wait share a few timers, and none is forgotten or called twice."""

import asyncio
import time

from madoguchi.core.chat.alarms import PER_SECOND, Alarms


async def test_each_is_called_at_their_own_time() -> None:
    alarms = Alarms()
    loop = asyncio.get_running_loop()
    began = loop.time()
    waits = [0.0, 0.1, 0.1, 0.3, -5.0]
    waiters = [loop.create_future() for _ in waits]
    took: dict[int, float] = {}
    for index, (waiter, wait) in enumerate(zip(waiters, waits, strict=True)):
        waiter.add_done_callback(lambda _, index=index: took.setdefault(index, loop.time() - began))
        alarms.set(waiter, began + wait)
    await asyncio.wait_for(asyncio.gather(*waiters), 5)
    await asyncio.sleep(0)
    for index, wait in enumerate(waits):
        assert took[index] >= wait
        assert took[index] < max(wait, 0) + 1 / PER_SECOND + 0.5


async def test_who_was_served_before_is_left_alone() -> None:
    alarms = Alarms()
    loop = asyncio.get_running_loop()
    served, gone, waiting = (loop.create_future() for _ in range(3))
    at = loop.time() + 0.2
    served_alarm, gone_alarm, _ = (alarms.set(waiter, at) for waiter in (served, gone, waiting))
    served.set_result(None)
    alarms.cancel(served, served_alarm)
    gone.cancel()
    await asyncio.wait_for(waiting, 5)
    # Past its time: nothing to forget, and nothing breaks.
    alarms.cancel(gone, gone_alarm)


async def test_a_thousand_cost_a_handful_of_timers() -> None:
    alarms = Alarms()
    loop = asyncio.get_running_loop()
    waiters = [loop.create_future() for _ in range(1_000)]
    began = time.perf_counter()
    ticks = {alarms.set(waiter, loop.time() + 0.25) for waiter in waiters}
    assert len(ticks) <= 2 + (time.perf_counter() - began) * PER_SECOND
    await asyncio.wait_for(asyncio.gather(*waiters), 5)
