"""The `bridges` process: the webhook listener at once; the work behind it by one process at a time."""

import asyncio
from dataclasses import dataclass, field

import asyncpg
import structlog
from aiohttp import web

from . import config as configuration
from . import store
from .bridge import Bridge
from .channels import Channels
from .config import Config, Settings
from .counsellor import Counsellor
from .desk import Desk
from .ghosts import Ghosts
from .intake import Intake, ReplyTokens, milliseconds
from .outbox import Outbox
from .seals import Seals
from .web import Health, app

log = structlog.stdlib.get_logger(__name__)

LEADER_LOCK = int.from_bytes(b"madobrdg", "big")  # any number will do as long as nobody else takes it
KEEP_FINISHED_MS = 30 * 24 * 3600 * 1000
PATIENCE_SECONDS = 1.0


@dataclass
class House:
    """What listener and workers share."""

    config: Config
    seals: Seals
    pool: asyncpg.Pool
    channels: Channels
    tokens: ReplyTokens = field(default_factory=ReplyTokens)
    bridge: Bridge | None = None  # while this process does the work

    def wake(self) -> None:
        if self.bridge is not None:
            self.bridge.wake()


async def run(settings: Settings) -> None:
    """Takes webhooks in and works them off until it is cancelled.

    Raises OSError when the address is taken or a key is missing, ValueError when a key can't be understood.
    """
    config = configuration.read(settings)
    seals = Seals.read(config.key_file)
    config.store.mkdir(mode=0o700, parents=True, exist_ok=True)
    pool = await _connect(config.database_url)
    house = House(config, seals, pool, Channels(pool, seals, config))
    intake = Intake(pool, seals, house.tokens, house.wake)
    runner = web.AppRunner(app(house.channels, intake, Health(pool)), access_log=None)
    try:
        await runner.setup()
        await web.TCPSite(runner, *config.address).start()
        log.info("bridges listening", host=config.address[0], port=runner.addresses[0][1])
        async with asyncio.TaskGroup() as group:
            group.create_task(house.channels.keep_reading())
            group.create_task(_lead(house))
    finally:
        await runner.cleanup()
        await house.channels.close()
        await pool.close()


async def _lead(house: House) -> None:
    """Works while it holds the lock: ghosts' devices live on this machine, and no device may be used twice at once."""
    while True:
        try:
            await _lead_once(house)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("work interrupted", error=type(error).__name__)
        await asyncio.sleep(PATIENCE_SECONDS)


async def _lead_once(house: House) -> None:
    connection = await asyncpg.connect(house.config.database_url)
    lost = asyncio.Event()
    connection.add_termination_listener(lambda *_: lost.set())
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LEADER_LOCK)
        await _work_until(lost, house)
    finally:
        connection.terminate()


async def _work_until(lost: asyncio.Event, house: House) -> None:
    pool, seals, config, channels = house.pool, house.seals, house.config, house.channels
    desk = Desk(config)
    outbox = Outbox(pool, seals, channels, house.tokens)
    counsellor = Counsellor(pool, config, channels, outbox)
    ghosts = Ghosts(pool, seals, config, desk, channels, counsellor.heard)
    counsellor.ghosts, outbox.tell = ghosts, counsellor.tell
    house.bridge = bridge = Bridge(pool, seals, config, channels, desk, ghosts, outbox)
    try:
        await channels.read()
        log.info("bridges working")
        async with asyncio.TaskGroup() as group:
            works = (ghosts.resume(), bridge.run(), outbox.run(), _forget_old(pool))
            tasks = [group.create_task(work) for work in works]
            await lost.wait()
            log.warning("lock lost, starting again")
            for task in tasks:
                task.cancel()
    finally:
        house.bridge = None
        await ghosts.close()
        await desk.close()


async def _forget_old(pool: asyncpg.Pool) -> None:
    while True:
        await asyncio.sleep(3600)
        try:
            await store.delete_old(pool, milliseconds() - KEEP_FINISHED_MS)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("old entries not deleted", error=type(error).__name__)


async def _connect(database_url: str) -> asyncpg.Pool:
    """Waits for the database: the processes of one house start together."""
    while True:
        try:
            return await asyncpg.create_pool(database_url, min_size=2, max_size=16, command_timeout=20)
        except (OSError, asyncpg.PostgresError) as error:
            log.warning("waiting for the database", error=type(error).__name__)
            await asyncio.sleep(PATIENCE_SECONDS)
