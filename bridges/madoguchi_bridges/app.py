"""The `bridges` process: the webhook listener on a thread of its own; the work behind it by one process at a time."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import asyncpg
import structlog
from aiohttp import web

from . import config as configuration
from . import egress, store
from .accounts import Accounts
from .bridge import Bridge
from .channels import Channels
from .checks import Checks
from .config import Config, Settings
from .counsellor import Counsellor
from .crossing import Crossing
from .desk import Desk
from .files_out import FilesOut
from .files_web import routes
from .ghosts import Ghosts
from .intake import Intake, ReplyTokens, milliseconds
from .moves import Moves
from .outbox import Outbox
from .pace import Meter
from .presence import Presence
from .seals import Seals
from .threads import on_its_own_thread, wake_from_afar
from .throng import Throng
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
    tokens: ReplyTokens = field(default_factory=ReplyTokens)
    throng: Throng = field(default_factory=Throng)
    wake: Callable[[], None] = lambda: None  # the worker's, while this process does the work; from any thread


async def run(settings: Settings) -> None:
    """Takes webhooks in and works them off until it is cancelled.

    Raises OSError when the address is taken or a key is missing, ValueError when a key can't be understood.
    """
    config = configuration.read(settings)
    config.store.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The work encrypts and decrypts; an app waits two seconds for its 200 and must not stand in line behind that.
    sys.setswitchinterval(0.001)
    house = House(config, Seals.read(config.key_file))
    async with asyncio.TaskGroup() as group:
        group.create_task(on_its_own_thread("webhooks", lambda: _listen(house)))
        group.create_task(_lead(house))


async def _listen(house: House) -> None:
    pool = await _connect(house.config.database_url)
    channels = Channels(pool, house.seals, house.config)

    def wake() -> None:
        house.wake()  # whichever worker there is by then

    intake = Intake(pool, house.seals, house.tokens, wake, house.throng)
    desk = Desk(house.config)
    files = routes(FilesOut(pool, house.seals, house.config, desk), channels, house.config)
    runner = web.AppRunner(app(channels, intake, Health(pool), files), access_log=None)
    try:
        await runner.setup()
        await web.TCPSite(runner, *house.config.address).start()
        log.info("bridges listening", host=house.config.address[0], port=runner.addresses[0][1])
        await channels.keep_reading()
    finally:
        await runner.cleanup()
        await desk.close()
        await channels.close()
        await pool.close()


async def _lead(house: House) -> None:
    """Works while it holds the lock: ghosts' devices live on this machine, and no device may be used twice at once."""
    while True:
        try:
            await _lead_once(house)
        except store.AWAY as error:
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
    seals, config = house.seals, house.config
    pool = await _connect(config.database_url)
    channels = Channels(pool, seals, config)
    desk = Desk(config)
    meter = Meter(pool, channels)
    presence = Presence(pool, seals, config, channels)
    outbox = Outbox(pool, seals, channels, house.tokens, FilesOut(pool, seals, config, desk), meter)
    counsellor = Counsellor(pool, config, channels, outbox)
    ghosts = Ghosts(pool, seals, config, desk, channels, counsellor.heard)
    counsellor.ghosts, outbox.tell = ghosts, counsellor.tell
    moves = counsellor.moves = Moves(pool, config, channels, desk, outbox)
    crossing = Crossing(pool, config, desk, ghosts, outbox, moves)
    bridge = Bridge(pool, seals, config, channels, desk, ghosts, outbox, moves, crossing, house.throng)
    ghosts.noticed = presence.noticed
    accounts = Accounts(pool, config, channels, Intake(pool, seals, house.tokens, bridge.wake))
    loop = asyncio.get_running_loop()
    house.wake = lambda: wake_from_afar(loop, bridge.wake)
    try:
        await channels.read()
        log.info("bridges working")
        async with asyncio.TaskGroup() as group:
            works = (
                channels.keep_reading(),
                ghosts.resume(),
                bridge.run(),
                outbox.run(),
                moves.run(),
                meter.run(),
                accounts.run(),
                Checks(pool, config, channels).run(),
                egress.report(desk),
                _forget_old(pool),
            )
            tasks = [group.create_task(work) for work in works]
            await lost.wait()
            log.warning("lock lost, starting again")
            for task in tasks:
                task.cancel()
    finally:
        house.wake = lambda: None
        await presence.close()
        await ghosts.close()
        await desk.close()
        await channels.close()
        await pool.close()


async def _forget_old(pool: asyncpg.Pool) -> None:
    while True:
        await asyncio.sleep(3600)
        try:
            await store.delete_old(pool, milliseconds() - KEEP_FINISHED_MS)
        except store.AWAY as error:
            log.warning("old entries not deleted", error=type(error).__name__)


async def _connect(database_url: str) -> asyncpg.Pool:
    """Waits for the database: the processes of one house start together."""
    while True:
        try:
            return await asyncpg.create_pool(
                database_url,
                min_size=2,
                max_size=16,
                command_timeout=20,
                # The administrator's page tells by this name that the bridges are up.
                server_settings={"application_name": "madoguchi bridges"},
            )
        except (OSError, asyncpg.PostgresError) as error:
            log.warning("waiting for the database", error=type(error).__name__)
            await asyncio.sleep(PATIENCE_SECONDS)
