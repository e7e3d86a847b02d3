"""The process `madoguchi work`: background jobs, until it is told to stop."""

import asyncio
import signal

import structlog

from madoguchi import commands
from madoguchi.config import Settings
from madoguchi.core import egress
from madoguchi.work import appservices, pushes
from madoguchi.work.jobs import Runner

log = structlog.get_logger()


async def run(settings: Settings) -> None:
    """Works until SIGINT or SIGTERM; a job under way is rolled back then, and done after the next start."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with commands.context(settings, name="madoguchi work") as ctx:
        log.info("working")
        tasks = [
            asyncio.create_task(Runner(ctx).run(), name="jobs"),
            asyncio.create_task(pushes.run(ctx), name="pushes"),
            asyncio.create_task(egress.keep(ctx, "work"), name="egress"),
        ]
        if any(service.url is not None for service in ctx.appservices):
            tasks.append(asyncio.create_task(appservices.run(ctx), name="appservices"))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((*tasks, stopped), return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                # Ends the process with the error; the supervisor starts it anew.
                task.result()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
