"""The addresses of files that counsellors sent, as an app's phone opens them."""

import asyncio
from typing import BinaryIO
from urllib.parse import quote

import structlog
from aiohttp import web

from . import attachments, notices, store
from .attachments import Attachment, Damaged, TooLarge
from .channels import Channels
from .config import Config
from .desk import Refused, Unreachable
from .files_out import PATH, FilesOut

log = structlog.stdlib.get_logger(__name__)

AT_ONCE = 8
# What a browser shows by itself; anything else is to be saved.
SHOWN = ("image/jpeg", "image/png", "image/gif", "image/webp", "video/mp4", "audio/mp4", "audio/mpeg", "audio/x-m4a",
         "audio/aac")  # fmt: skip
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "private, no-store",
}


def routes(files: FilesOut, channels: Channels, config: Config) -> list[web.RouteDef]:
    places = asyncio.Semaphore(AT_ONCE)

    async def show(request: web.Request) -> web.StreamResponse:
        found = await files.find(request.match_info["token"])
        channel = await channels.find(found[0].channel_id) if found else None
        person = await store.get_person(files.pool, found[0].person) if found else None
        if found is None or channel is None or person is None:
            return _gone(config)
        if not channel.carries_content(running=True, kept=await store.is_kept(files.pool, person.case_id)):
            return _gone(config)
        link, attachment = found
        async with places:
            try:
                ciphertext = await files.fetch(person, attachment)
            except (Refused, Damaged, TooLarge) as error:
                log.warning("file of a link can't be shown", channel=link.channel_id, error=type(error).__name__)
                return _gone(config)
            except Unreachable:
                return web.Response(status=503, headers=HEADERS | {"Retry-After": "10"})
            with ciphertext:
                return await _send(request, attachment, ciphertext)

    return [web.get(PATH + "{token:[A-Za-z0-9_-]{43}}", show)]


async def _send(request: web.Request, attachment: Attachment, ciphertext: BinaryIO) -> web.StreamResponse:
    """The file, or the part of it that is asked for (RFC 9110, "Range Requests": one range)."""
    size = attachments.size_of(ciphertext)
    shown = attachment.type in SHOWN
    name = quote(attachment.name or notices.NAMES[attachment.kind], safe="")
    headers = HEADERS | {
        "Content-Type": attachment.type if shown else "application/octet-stream",
        "Content-Disposition": f"{'inline' if shown else 'attachment'}; filename*=utf-8''{name}",
        "Accept-Ranges": "bytes",
    }
    start, length, status = 0, size, 200
    try:
        asked = request.http_range if "Range" in request.headers else None
    except ValueError:
        # Several ranges, or another unit: a server may answer with the whole.
        asked = None
    if asked is not None and (asked.start is not None or asked.stop is not None):
        start, stop, _ = asked.indices(size)
        length, status = max(0, stop - start), 206
        if length == 0:
            return web.Response(status=416, headers=headers | {"Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = length
    await response.prepare(request)
    if request.method != "HEAD":
        async for piece in attachments.opened(ciphertext, attachment, start, length):
            await response.write(piece)
    await response.write_eof()
    return response


def _gone(config: Config) -> web.Response:
    """The same for what never was, is over, or was taken back."""
    return web.Response(status=404, text=notices.file_gone(config.public_url), headers=HEADERS)
