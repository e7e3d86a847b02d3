"""How fast and how much may be sent: the app's rate for an account, and the month's quota with a part kept back."""

import asyncio
import time

import asyncpg
import structlog

from . import store
from .channels import Channel, Channels
from .intake import milliseconds
from .network import CountsQuota, Quota, Rejected, TryAgain

log = structlog.stdlib.get_logger(__name__)

READ_EVERY_SECONDS = 600.0
READ_AGAIN_SECONDS = 30.0
# Of the quota that is kept back where the channel does not say how much.
RESERVED_PART = 0.1


class Pace:
    """Keeps the requests of one account under the app's rate; a second's worth may go at once."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    async def turn(self, channel: Channel) -> None:
        """Waits until the channel may send one more request."""
        gap = 1.0 / channel.network.limits.requests_per_second
        now = time.monotonic()
        due = max(self._next.get(channel.id, 0.0), now - 1.0)
        self._next[channel.id] = due + gap
        if due + gap > now:
            await asyncio.sleep(due + gap - now)


class Meter:
    """What may still be sent in the month. `run` never ends by itself."""

    def __init__(self, pool: asyncpg.Pool, channels: Channels) -> None:
        self._pool = pool
        self._channels = channels
        self._known: dict[str, Quota] = {}

    async def run(self) -> None:
        while True:
            read = [await self.read(channel) for channel in self._channels.all()]
            await asyncio.sleep(READ_EVERY_SECONDS if all(read) else READ_AGAIN_SECONDS)

    async def read(self, channel: Channel) -> bool:
        """Asks the app; False when it could not say."""
        if not isinstance(channel.network, CountsQuota):
            return True
        try:
            quota = await channel.network.quota()
            await store.put_quota(self._pool, channel.id, quota.limit, quota.used, milliseconds())
        except (TryAgain, Rejected, *store.AWAY) as error:
            log.warning("quota not read", channel=channel.id, error=type(error).__name__)
            return False
        self._known[channel.id] = quota
        return True

    def check(self, channel: Channel, urgent: bool) -> None:
        """Raises Rejected where only what is urgent may still be sent. What is not known does not hold anything up."""
        quota = self._known.get(channel.id)
        if urgent or quota is None or quota.limit is None:
            return
        if quota.limit - quota.used <= reserve_of(channel, quota.limit):
            raise Rejected("reserve")

    def sent(self, channel: Channel) -> None:
        """One more has been sent."""
        if (quota := self._known.get(channel.id)) is not None:
            self._known[channel.id] = Quota(quota.limit, quota.used + 1)


def reserve_of(channel: Channel, limit: int) -> int:
    """How many are kept for danger and moves."""
    return int(limit * RESERVED_PART) if channel.quota_reserve is None else channel.quota_reserve
