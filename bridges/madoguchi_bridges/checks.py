"""Checks of how the accounts are set up, where an administrator asks: only this process can open what they need."""

import asyncio

import asyncpg
import structlog

from . import store
from .channels import Channel, Channels
from .config import Config
from .network import Checked, Finding, Rejected, TryAgain
from .web import PATH

log = structlog.stdlib.get_logger(__name__)

LOOK_EVERY_SECONDS = 1.0
LONGEST_SECONDS = 25.0


class Checks:
    """`run` never ends by itself."""

    def __init__(self, pool: asyncpg.Pool, config: Config, channels: Channels) -> None:
        self._pool = pool
        self._config = config
        self._channels = channels

    async def run(self) -> None:
        while True:
            try:
                await self.work_off()
            except store.AWAY as error:
                log.warning("checks wait", error=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def work_off(self) -> None:
        """Answers all that is asked now."""
        asked = await store.list_checks_asked(self._pool)
        if asked:
            # An account that has just been added or mended is looked at as it is now.
            await self._channels.read()
        async with asyncio.TaskGroup() as group:
            for channel_id in asked:
                group.create_task(self._check(channel_id))

    async def _check(self, channel_id: str) -> None:
        found = await self._find(self._channels.get(channel_id))
        await store.put_findings(self._pool, channel_id, found)
        wrong = [each.step for each in found if each.state == "wrong"]
        log.info("channel checked", channel=channel_id, wrong=wrong)

    async def _find(self, channel: Channel | None) -> list[Finding]:
        if channel is None:
            return [Finding("secrets", "wrong", "not_opened")]
        opened = Finding("secrets", "good")
        if not isinstance(channel.network, Checked):
            return [opened]
        url = self._config.files_url + PATH.format(kind=channel.kind, channel_id=channel.id)
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                return [opened, *await channel.network.check(url)]
        except Rejected as rejected:
            return [opened, Finding("token", "wrong", "unauthorized" if rejected.status == 401 else "refused")]
        except (TryAgain, TimeoutError):
            return [opened, Finding("token", "wrong", "no_answer")]
