"""While webhooks throng, the work behind them is done by few at a time; afterwards by all."""

import asyncio

from madoguchi_bridges.throng import Throng


async def most_at_once(throng: Throng, workers: int) -> int:
    """How many of `workers` are inside at the same time."""
    inside = most = 0

    async def work() -> None:
        nonlocal inside, most
        async with throng.gives_way():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(workers)))
    return most


async def test_few_work_while_webhooks_throng_and_all_once_they_have_passed() -> None:
    throng = Throng(per_second=3, at_once=2)
    assert await most_at_once(throng, 8) == 8
    for _ in range(3):
        throng.count()
    assert await most_at_once(throng, 8) == 2
    async with asyncio.timeout(5):
        while throng.is_on:  # noqa: ASYNC110 - it goes by the clock
            await asyncio.sleep(0.05)
    assert await most_at_once(throng, 8) == 8


async def test_what_fails_inside_leaves_its_place() -> None:
    throng = Throng(per_second=1, at_once=1)
    for _ in range(2):
        throng.count()
        try:
            async with throng.gives_way():
                raise LookupError
        except LookupError:
            pass
    throng.count()
    assert await most_at_once(throng, 3) == 1
