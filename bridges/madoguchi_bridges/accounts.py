"""What an account needs from us beside its webhooks: to be told where we listen, to be asked for news, and how a link
opens it."""

import asyncio

import asyncpg
import structlog

from . import store
from .channels import Channel, Channels
from .config import Config
from .intake import Intake
from .network import OpensByLink, Polled, Prepared, Rejected, TryAgain
from .web import PATH

log = structlog.stdlib.get_logger(__name__)

LOOK_EVERY_SECONDS = 1.0
FIRST_REST_SECONDS = 1.0
LONGEST_REST_SECONDS = 60.0


class Accounts:
    """One task for each account. `run` never ends by itself; one process at a time may do this."""

    def __init__(self, pool: asyncpg.Pool, config: Config, channels: Channels, intake: Intake) -> None:
        self._pool = pool
        self._config = config
        self._channels = channels
        self._intake = intake

    async def run(self) -> None:
        tasks: dict[str, tuple[Channel, asyncio.Task[None]]] = {}
        try:
            while True:
                known = {channel.id: channel for channel in self._channels.all()}
                for channel_id, (channel, task) in list(tasks.items()):
                    # A change of mode leaves the account as it is; other secrets make another one.
                    if channel_id not in known or known[channel_id].network is not channel.network:
                        task.cancel()
                        del tasks[channel_id]
                for channel in known.values():
                    if channel.id not in tasks:
                        tasks[channel.id] = (channel, asyncio.create_task(self._look_after(channel)))
                await asyncio.sleep(LOOK_EVERY_SECONDS)
        finally:
            for _, task in tasks.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in tasks.values()), return_exceptions=True)

    async def _look_after(self, channel: Channel) -> None:
        rest = FIRST_REST_SECONDS
        prepared, mark = False, ""
        while True:
            try:
                if not prepared and isinstance(channel.network, Prepared):
                    url = self._config.files_url + PATH.format(kind=channel.kind, channel_id=channel.id)
                    await channel.network.prepare(url)
                    log.info("account prepared", channel=channel.id)
                if not prepared and isinstance(channel.network, OpensByLink):
                    await store.put_account(self._pool, channel.id, await channel.network.start_url())
                prepared = True
                if not (isinstance(channel.network, Polled) and channel.network.polls):
                    return
                news = await channel.network.poll(mark)
                # Confirmed with the next question, once it is on disk.
                await self._intake.take(channel, news.raw)
                mark, rest = news.mark, FIRST_REST_SECONDS
            except (TryAgain, Rejected, *store.AWAY) as error:
                reason = error.reason if isinstance(error, Rejected) else type(error).__name__
                log.warning("account does not answer", channel=channel.id, why=reason)
                await asyncio.sleep(max(rest, error.after if isinstance(error, TryAgain) else 0.0))
                rest = min(rest * 2, LONGEST_REST_SECONDS)
