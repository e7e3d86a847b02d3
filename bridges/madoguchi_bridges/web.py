"""The listener of the apps' webhooks. Its own address, so that `serve` never holds an app's secret."""

import asyncio
from collections.abc import Iterable
from typing import Any

import asyncpg
import structlog
from aiohttp import web

from . import store
from .channels import Channels
from .intake import Intake
from .network import Unverified

log = structlog.stdlib.get_logger(__name__)

PATH = "/_madoguchi/bridges/{kind}/{channel_id}/webhook"
LARGEST_BODY = 4 * 1024 * 1024
READ_SECONDS = 10.0
STORE_SECONDS = 1.8  # LINE counts a delivery that takes 2 s as failed; better it hears that from us


def app(channels: Channels, intake: Intake, health: "Health", files: Iterable[web.RouteDef] = ()) -> web.Application:
    """`files`: the routes of files_web.py."""

    async def webhook(request: web.Request) -> web.Response:
        channel = await channels.find(request.match_info["channel_id"])
        if channel is None or channel.kind != request.match_info["kind"]:
            return refusal(404, "M_NOT_FOUND", "There is no such channel here.")
        if (request.content_length or 0) > channel.network.limits.body_bytes:
            return refusal(413, "M_TOO_LARGE", "The body is too large.")
        try:
            async with asyncio.timeout(READ_SECONDS):
                raw = await request.read()
        except TimeoutError:
            return refusal(408, "M_UNKNOWN", "The body did not arrive in time.")
        if len(raw) > channel.network.limits.body_bytes:
            return refusal(413, "M_TOO_LARGE", "The body is too large.")
        try:
            channel.network.verify(request.headers, raw)
        except Unverified:
            log.warning("webhook refused", channel=channel.id, why="signature")
            return refusal(403, "M_FORBIDDEN", "The signature does not fit the body.")
        async with asyncio.timeout(STORE_SECONDS):
            await intake.take(channel, raw)
        return web.json_response({})

    async def healthy(request: web.Request) -> web.Response:
        await health()
        return web.json_response({"status": "ok"})

    application = web.Application(client_max_size=LARGEST_BODY, middlewares=[answer_errors])
    application.router.add_post(PATH, webhook)
    application.router.add_get("/health", healthy)
    application.router.add_routes(files)
    return application


class Health:
    """Whether the database answers. The listener itself answers by answering."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def __call__(self) -> None:
        await self._pool.fetchval("SELECT 1", timeout=3)


def refusal(status: int, errcode: str, error: str) -> web.Response:
    return web.json_response({"errcode": errcode, "error": error}, status=status)


@web.middleware
async def answer_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """Every answer has Matrix' shape of an error; what failed inside is 503, so that the app delivers again."""
    try:
        answer: web.StreamResponse = await handler(request)
        return answer
    except web.HTTPRequestEntityTooLarge:
        return refusal(413, "M_TOO_LARGE", "The body is too large.")
    except web.HTTPMethodNotAllowed:
        return refusal(405, "M_UNRECOGNIZED", "That method is not known here.")
    except web.HTTPException as error:
        return refusal(error.status, "M_UNRECOGNIZED", "There is nothing here.")
    except (TimeoutError, *store.AWAY) as error:
        log.error("webhook could not be stored", error=type(error).__name__)
        return refusal(503, "M_UNKNOWN", "That could not be stored. Please deliver it again.")
