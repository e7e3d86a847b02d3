"""The channels as they stand now: what the desk's table says, with secrets opened and a Network built for each."""

import asyncio
import base64
import binascii
import time
from typing import Any

import asyncpg
import msgspec
import structlog
from nacl.exceptions import CryptoError

from . import store
from .config import Config
from .network import Network
from .networks import NETWORKS, Factory
from .seals import Seals

log = structlog.stdlib.get_logger(__name__)

POLL_SECONDS = 1.0
LOOK_AGAIN_SECONDS = 1.0
RELAYING = ("relay", "draining")


class Channel(msgspec.Struct, frozen=True):
    id: str
    kind: str
    mode: str
    reason: str
    network: Network
    quota_reserve: int | None = None  # how many are kept for danger and moves; None = a tenth
    greeting: str = ""  # the operator's own first line for whoever adds the account; "" = the common one

    def carries_content(self, running: bool, kept: bool = False) -> bool:
        """Whether words may cross the app now: in `relay`, with its reason; in `draining` for a case that is running;
        in any mode for one that two people keep there.

        Everything else, an unknown mode too, carries neutral notices only.
        """
        relayed = self.mode == "relay" and bool(self.reason.strip())
        return relayed or (running and (kept or self.mode == "draining"))

    @property
    def hands_over(self) -> bool:
        """Whether what a person writes all the same is handed to the counsellor, and answered with the link."""
        return self.mode == "contact_point"


class Channels:
    """Reads the table every second, and at once when a webhook names a channel it does not know."""

    def __init__(self, pool: asyncpg.Pool, seals: Seals, config: Config, networks: dict[str, Factory] = NETWORKS):
        self._pool = pool
        self._seals = seals
        self._config = config
        self._networks = networks
        self._rows: dict[str, store.ChannelRow] = {}
        self._channels: dict[str, Channel] = {}
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    def all(self) -> list[Channel]:
        return list(self._channels.values())

    def get(self, channel_id: str) -> Channel | None:
        return self._channels.get(channel_id)

    async def find(self, channel_id: str) -> Channel | None:
        """The channel. An unknown one makes us read the table, at most once a second."""
        if channel_id not in self._channels and time.monotonic() - self._read_at > LOOK_AGAIN_SECONDS:
            await self.read()
        return self._channels.get(channel_id)

    async def read(self) -> None:
        """Takes over what has changed in the table; a channel whose secrets can't be opened is left out."""
        async with self._lock:
            rows = {row.id: row for row in await store.list_channels(self._pool) if row.kind in self._networks}
            self._read_at = time.monotonic()
            for gone in self._rows.keys() - rows.keys():
                await self._drop(gone)
            for row in rows.values():
                known = self._rows.get(row.id)
                if known == row:
                    continue
                self._rows[row.id] = row
                old = self._channels.get(row.id)
                if old and known and (known.sealed_secrets, known.kind) == (row.sealed_secrets, row.kind):
                    self._channels[row.id] = _channel(row, old.network)
                else:
                    await self._drop(row.id, keep_row=True)
                    self._open(row)
                log.info("channel read", channel=row.id, kind=row.kind, mode=row.mode)

    async def keep_reading(self) -> None:
        while True:
            try:
                await self.read()
            except store.AWAY as error:
                log.warning("channels could not be read", error=type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)

    async def close(self) -> None:
        for channel_id in list(self._channels):
            await self._drop(channel_id)

    def _open(self, row: store.ChannelRow) -> None:
        if not row.sealed_secrets:
            log.warning("channel has no secrets", channel=row.id)
            return
        try:
            secrets = msgspec.json.decode(
                self._seals.open(base64.b64decode(row.sealed_secrets)), type=dict[str, str], strict=False
            )
            network = self._networks[row.kind](secrets, self._config)
        except (CryptoError, binascii.Error, msgspec.MsgspecError, KeyError, ValueError) as error:
            # The error's text could quote a secret.
            log.error("channel cannot be opened", channel=row.id, error=type(error).__name__)
            return
        self._channels[row.id] = _channel(row, network)

    async def _drop(self, channel_id: str, keep_row: bool = False) -> None:
        if not keep_row:
            self._rows.pop(channel_id, None)
        if channel := self._channels.pop(channel_id, None):
            await channel.network.close()


def _channel(row: store.ChannelRow, network: Network) -> Channel:
    settings = msgspec.json.decode(row.settings, type=dict[str, Any])
    reserve, greeting = settings.get("quota_reserve"), settings.get("greeting")
    return Channel(
        row.id,
        row.kind,
        row.mode,
        row.reason or "",
        network,
        reserve if isinstance(reserve, int) else None,
        greeting if isinstance(greeting, str) else "",
    )
