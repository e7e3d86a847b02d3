"""The composition root: builds the parts of a `serve` process, hands them to each other, and runs the web server."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from madoguchi.clock import Clock
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core import egress
from madoguchi.core.chat import appservices, registrations, web_push
from madoguchi.core.chat.hub import Hub
from madoguchi.core.chat.media import open_store
from madoguchi.core.chat.presence import Presence
from madoguchi.core.chat.room_cache import Rooms
from madoguchi.core.chat.sessions import Sessions
from madoguchi.core.chat.sliding.sent import Connections
from madoguchi.core.chat.thumbnails import Thumbnailer
from madoguchi.core.chat.typing import Typing
from madoguchi.core.chat.writer import Writer
from madoguchi.core.desk import roster
from madoguchi.desk import api as desk_api
from madoguchi.matrix import api as matrix_api
from madoguchi.storage import stream
from madoguchi.storage.db import Database
from madoguchi.web import health
from madoguchi.web.dispatch import Dispatch
from madoguchi.web.endpoint import Row
from madoguchi.web.guidance_page import GuidancePage
from madoguchi.web.installable import Installable
from madoguchi.web.limits import Limits
from madoguchi.web.pinned_key import PinnedKey
from madoguchi.web.static import Static, find_root

log = structlog.get_logger()


STOP_SECONDS = 5.0


def rows() -> list[Row]:
    """Every operation of the server: the Matrix Client-Server API, the desk API, and the house's own."""
    return [
        *(row for chapter in matrix_api.CHAPTERS.values() for row in chapter),
        *(row for chapter in desk_api.CHAPTERS.values() for row in chapter),
        *health.ROWS,
    ]


@asynccontextmanager
async def open_context(settings: Settings, *, name: str = "madoguchi serve") -> AsyncIterator[Context]:
    """The parts of a process that speaks to the database, started, and stopped again at the end.

    Raises OSError or asyncpg.PostgresError if the database does not answer, registrations.RegistrationError.
    """
    services = registrations.load(settings.registrations, settings.server_name)
    clock = Clock()
    db = await Database.connect(settings.database_url, connections=settings.database_connections, name=name)
    room_cache = Rooms(db)
    hub = Hub(db, room_cache)
    ctx = Context(
        settings=settings,
        db=db,
        hub=hub,
        rooms=room_cache,
        writer=Writer(db, hub, room_cache, clock),
        sessions=Sessions(db, clock),
        sliding=Connections(),
        typing=Typing(db, clock),
        presence=Presence(db, clock, kept=settings.presence == "minimal"),
        media=open_store(settings),
        thumbnails=Thumbnailer(),
        limits=Limits(settings),
        clock=clock,
        appservices=services,
        web_push=web_push.open_sender(settings),
    )
    hub.on("session", lambda pos, user_id, extra: ctx.sessions.forget(user_id))
    hub.on("typing", ctx.typing.heard)
    hub.on("presence", ctx.presence.heard)
    hub.on_reset(ctx.sessions.forget_all)
    hub.on_reset(ctx.typing.forget)
    hub.on_reset(ctx.presence.forget)
    await hub.start()
    await ctx.writer.start()
    sightings = asyncio.create_task(ctx.sessions.run(), name="sightings")
    counts = asyncio.create_task(egress.keep(ctx, "serve"), name="egress")
    try:
        async with db.transaction() as tx:
            await appservices.make_accounts(ctx, tx)
        yield ctx
    finally:
        sightings.cancel()
        counts.cancel()
        await asyncio.gather(sightings, counts, return_exceptions=True)
        await ctx.writer.stop()
        ctx.typing.close()
        ctx.presence.close()
        await hub.stop()
        await db.close()


async def run(settings: Settings) -> None:
    """One `serve` process, until SIGINT or SIGTERM. Stateless: any number may run side by side."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stopping.set)
    async with open_context(settings) as ctx:
        static = Static(find_root(), settings)
        installable = Installable(settings, static, GuidancePage(ctx, static))
        pages = PinnedKey(roster.pinned_key, settings.keys, static, installable)
        dispatch = Dispatch(ctx, rows(), pages)
        server = web.Server(
            dispatch,
            access_log=None,
            max_line_size=16_384,
            max_field_size=16_384,
            keepalive_timeout=75,
            # No client compresses what it sends; unpacking would let a small request become a giant one.
            auto_decompress=False,
        )
        runner = web.ServerRunner(server)
        await runner.setup()
        host, port = settings.listen_address
        site = web.TCPSite(runner, host, port, backlog=1024, reuse_port=None, shutdown_timeout=STOP_SECONDS)
        await site.start()
        log.info("serving", listen=settings.listen, server_name=settings.server_name, origin=stream.ORIGIN)
        await stopping.wait()
        log.info("stopping")
        await site.stop()
        await ctx.hub.stop()
        await runner.cleanup()
