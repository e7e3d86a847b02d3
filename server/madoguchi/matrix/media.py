"""Chapter "Content repository": files up and down, streamed, with the headers that keep a browser from running them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from aiohttp import web

from madoguchi import errors
from madoguchi.core.chat import media
from madoguchi.storage.media import Media
from madoguchi.web.answers import HEADERS
from madoguchi.web.endpoint import Call
from madoguchi.web.reading import BODY_SECONDS

# "Serving inline content": what a browser may show; anything else is to be saved.
INLINE = frozenset(
    (
        "text/css", "text/plain", "text/csv", "application/json", "application/ld+json",
        "image/jpeg", "image/gif", "image/png", "image/apng", "image/webp", "image/avif",
        "video/mp4", "video/webm", "video/ogg", "video/quicktime",
        "audio/mp4", "audio/webm", "audio/aac", "audio/mpeg", "audio/ogg", "audio/wave", "audio/wav", "audio/x-wav",
        "audio/x-pn-wav", "audio/flac", "audio/x-flac",
    )
)  # fmt: skip
FILE_HEADERS = HEADERS | {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; "
        "style-src 'unsafe-inline'; media-src 'self'; object-src 'self';"
    ),
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Accept-Ranges": "bytes",
    # The content of an id never changes. Private: it is for whoever showed a token.
    "Cache-Control": "private, max-age=86400, immutable",
}


class UploadQuery(msgspec.Struct):
    """Query of `upload_content`; `room_id`: the room that an encrypted file is for, with which it is purged."""

    filename: str | None = None
    room_id: str | None = msgspec.field(name="jp.madoguchi.room_id", default=None)


class DownloadQuery(msgspec.Struct):
    """Query of the downloads; `timeout_ms` is how long to wait for content that is still on its way."""

    timeout_ms: int | None = None


class ThumbnailQuery(msgspec.Struct):
    """Query of the thumbnails, in pixels."""

    width: int
    height: int
    method: Literal["crop", "scale"] = "scale"
    timeout_ms: int | None = None
    # Accepted, and answered with a still picture, as the specification allows.
    animated: bool = False


async def get_config_authed(call: Call) -> dict[str, Any]:
    return {"m.upload.size": call.ctx.settings.media_max_bytes}


async def upload_content(call: Call, query: UploadQuery) -> dict[str, Any]:
    call.session.must_not_be_suspended()
    kind = _content_type(call)
    await media.check_allowance(call.ctx, call.session)
    media_id = await media.upload(call.ctx, call.session, _pieces(call), kind, query.filename, query.room_id)
    return {"content_uri": f"mxc://{call.ctx.settings.server_name}/{media_id}"}


async def create_content(call: Call) -> dict[str, Any]:
    call.session.must_not_be_suspended()
    media_id, until = await media.reserve(call.ctx, call.session.user_id)
    return {"content_uri": f"mxc://{call.ctx.settings.server_name}/{media_id}", "unused_expires_at": until}


async def upload_content_to_mxc(call: Call, server_name: str, media_id: str, query: UploadQuery) -> dict[str, Any]:
    call.session.must_not_be_suspended()
    media.check_server(call.ctx, server_name)
    kind = _content_type(call)
    await media.check_allowance(call.ctx, call.session)
    await media.upload_reserved(call.ctx, call.session, media_id, _pieces(call), kind, query.filename, query.room_id)
    return {}


async def get_content_authed(call: Call, server_name: str, media_id: str, query: DownloadQuery) -> web.StreamResponse:
    found = await media.get(call.ctx, server_name, media_id, query.timeout_ms)
    return await _send(call, found, found.file_name)


async def get_content_override_name_authed(
    call: Call, server_name: str, media_id: str, file_name: str, query: DownloadQuery
) -> web.StreamResponse:
    found = await media.get(call.ctx, server_name, media_id, query.timeout_ms)
    return await _send(call, found, file_name)


async def get_content_thumbnail_authed(
    call: Call, server_name: str, media_id: str, query: ThumbnailQuery
) -> web.StreamResponse:
    if query.width <= 0 or query.height <= 0:
        raise errors.Invalid("A thumbnail has a width and a height above 0.")
    found = await media.get(call.ctx, server_name, media_id, query.timeout_ms)
    made = await call.ctx.thumbnails.get(call.ctx, found, query.width, query.height, query.method)
    shown = msgspec.structs.replace(found, stored_as=made.stored_as, content_type=made.content_type, size=made.size)
    return await _send(call, shown, found.file_name or "thumbnail")


async def get_content(call: Call, server_name: str, media_id: str, query: DownloadQuery) -> web.StreamResponse:
    _check_unauthenticated(call)
    return await get_content_authed(call, server_name, media_id, query)


async def get_content_override_name(
    call: Call, server_name: str, media_id: str, file_name: str, query: DownloadQuery
) -> web.StreamResponse:
    _check_unauthenticated(call)
    return await get_content_override_name_authed(call, server_name, media_id, file_name, query)


async def get_content_thumbnail(
    call: Call, server_name: str, media_id: str, query: ThumbnailQuery
) -> web.StreamResponse:
    _check_unauthenticated(call)
    return await get_content_thumbnail_authed(call, server_name, media_id, query)


def _check_unauthenticated(call: Call) -> None:
    if call.ctx.settings.media_unauthenticated != "on":
        raise errors.NotFound("Files are given to people with an access token: see /_matrix/client/v1/media.")


def _content_type(call: Call) -> str:
    given = call.request.headers.get("Content-Type", "").strip()
    if not given or len(given) > 255 or not given.isascii() or not given.isprintable() or "/" not in given:
        given = "application/octet-stream"
    media.check_type(call.ctx, given)
    return given


async def _pieces(call: Call) -> AsyncIterator[bytes]:
    most = call.ctx.settings.media_max_bytes
    if (call.request.content_length or 0) > most:
        raise errors.TooLarge(f"A file may have at most {most} bytes.")
    while True:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                piece = await call.request.content.readany()
        except TimeoutError:
            raise errors.TooSlow("The file did not arrive in time.") from None
        if not piece:
            return
        yield piece


async def _send(call: Call, found: Media, file_name: str | None) -> web.StreamResponse:
    """Streams a file or the part of it that the client asks for (RFC 9110, "Range Requests": one range)."""
    size, kind = found.size or 0, found.content_type or "application/octet-stream"
    etag = f'"{found.stored_as}"'
    headers = FILE_HEADERS | {"Content-Type": kind, "ETag": etag, "Content-Disposition": _disposition(kind, file_name)}
    if call.request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=headers)
    start, length = 0, size
    response = web.StreamResponse(headers=headers)
    wanted = _range(call, size, etag)
    if wanted is not None:
        start, length = wanted
        if length <= 0:
            headers["Content-Range"] = f"bytes */{size}"
            return web.Response(status=416, headers=headers)
        response.set_status(206)
        response.headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    response.content_length = length
    async with aclosing(call.ctx.media.read(found.stored_as or found.media_id, start, length)) as pieces:
        # The first piece before the first byte of the answer: a file that is missing can still be told as an error.
        first = await anext(pieces, b"")
        await response.prepare(call.request)
        if first:
            await response.write(first)
            async for piece in pieces:
                await response.write(piece)
    await response.write_eof()
    return response


def _range(call: Call, size: int, etag: str) -> tuple[int, int] | None:
    """(start, length) of the range asked for; a length of 0 for one that can't be given; None for the whole file."""
    condition = call.request.headers.get("If-Range")
    if "Range" not in call.request.headers or (condition is not None and condition != etag):
        return None
    try:
        wanted = call.request.http_range
    except ValueError:
        # Several ranges, or another unit: a server may answer with the whole.
        return None
    if wanted.start is None and wanted.stop is None:
        return None
    start, stop, _ = wanted.indices(size)
    if wanted.start is not None and wanted.start >= size:
        return 0, 0
    return start, max(0, stop - start)


def _disposition(kind: str, file_name: str | None) -> str:
    """Inline for what is safe to show, attachment for all else; the name as RFC 6266 says (ASCII where it can be)."""
    manner = "inline" if kind.partition(";")[0].strip().lower() in INLINE else "attachment"
    if not file_name:
        return manner
    if file_name.isascii() and all(c.isalnum() or c in "._-" for c in file_name):
        return f"{manner}; filename={file_name}"
    return f"{manner}; filename*=utf-8''{quote(file_name.encode('utf-8', 'replace'), safe='')}"
