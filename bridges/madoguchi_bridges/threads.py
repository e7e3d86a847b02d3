"""An event loop on a thread of its own."""

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop


async def on_its_own_thread(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs `work()` in another event loop until it ends; what it raises is raised here, cancelling is passed on."""
    begun: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = concurrent.futures.Future()

    def live() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            loop = runner.get_loop()
            task = loop.create_task(work())
            begun.set_result((loop, task))
            try:
                loop.run_until_complete(task)
            except asyncio.CancelledError:
                pass

    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix=name) as executor:
        ended = asyncio.get_running_loop().run_in_executor(executor, live)
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            loop, task = begun.result(timeout=5)
            if not ended.done():
                loop.call_soon_threadsafe(task.cancel)
                await ended
            raise


def wake_from_afar(loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
    """Calls `wake` in another thread's loop; when that has ended, nobody is left to wake."""
    try:
        loop.call_soon_threadsafe(wake)
    except RuntimeError:
        pass
