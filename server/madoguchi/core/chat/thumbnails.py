"""Small pictures of pictures that are not encrypted ("Thumbnails", client-server API).

Made once per size by `thumbnailer.py`, a few at a time, and kept in the store beside the original.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

import structlog

from madoguchi import errors
from madoguchi.core.chat.media import new_media_id
from madoguchi.storage import media as store
from madoguchi.storage.media import Media, Thumbnail

if TYPE_CHECKING:
    from madoguchi.context import Context

log = structlog.get_logger()

# What a thumbnail is made of: types that browsers show as pictures, and that cannot hold anything else.
IMAGES = frozenset(("image/jpeg", "image/gif", "image/png", "image/webp"))
LARGEST_BYTES = 20 * 1024 * 1024
MOST_PIXELS = 40_000_000
# "The recommended sizes": (width, height, method).
SIZES = ((32, 32, "crop"), (96, 96, "crop"), (320, 240, "scale"), (640, 480, "scale"), (800, 600, "scale"))
_AT_ONCE = 2
_MOST_WAITING = 30
_SECONDS = 20.0


class Thumbnailer:
    """Makes thumbnails, a few at a time in this process."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def get(self, ctx: "Context", found: Media, width: int, height: int, method: str) -> Thumbnail:
        """The thumbnail of a standard size that is nearest to what was asked for, and no larger than the original.

        Raises Unknown for what is no picture, TooLarge, LimitExceeded while too many wait.
        """
        if (found.content_type or "").partition(";")[0].strip().lower() not in IMAGES:
            raise errors.Unknown("No thumbnail can be made of this file.")
        if (found.size or 0) > LARGEST_BYTES:
            raise errors.TooLarge("This picture is too large for a thumbnail.")
        size = standard(width, height, method)
        name = f"{size[0]}x{size[1]}-{size[2]}"
        async with ctx.db.connection() as tx:
            known = await store.get_thumbnail(tx, found.media_id, name)
        if known is not None:
            return known
        if self._waiting >= _MOST_WAITING:
            raise errors.LimitExceeded("Too many pictures at once. Please wait.", retry_after_ms=2_000)
        self._waiting += 1
        try:
            async with self._places:
                return await self._make(ctx, found, name, size)
        finally:
            self._waiting -= 1

    async def _make(self, ctx: "Context", found: Media, name: str, size: tuple[int, int, str]) -> Thumbnail:
        original = await _whole(ctx, found)
        made = await _run(original, size)
        if made is None:
            raise errors.Unknown("No thumbnail can be made of this file.")
        kind, content = made
        stored_as = new_media_id()
        await ctx.media.put(stored_as, _one(content), len(content))
        thumbnail = Thumbnail(found.media_id, name, stored_as, kind, len(content))
        try:
            async with ctx.db.transaction() as tx:
                kept = await store.insert_thumbnail(tx, thumbnail)
        except BaseException:
            await ctx.media.delete(stored_as)
            raise
        if kept.stored_as != stored_as:
            # Somebody else was making the same one.
            await ctx.media.delete(stored_as)
        return kept


def standard(width: int, height: int, method: str) -> tuple[int, int, str]:
    """The smallest standard size of the method that is no smaller than what was asked for, or the largest there is."""
    same = [size for size in SIZES if size[2] == method]
    fitting = [size for size in same if size[0] >= width and size[1] >= height]
    if fitting:
        return fitting[0]
    # Of cropped ones there are only small ones; whoever wants a larger one gets a scaled one.
    return next((size for size in SIZES if size[0] >= width and size[1] >= height), SIZES[-1])


async def _whole(ctx: "Context", found: Media) -> bytes:
    async with aclosing(ctx.media.read(found.stored_as or found.media_id, 0, found.size or 0)) as pieces:
        return b"".join([piece async for piece in pieces])


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _run(original: bytes, size: tuple[int, int, str]) -> tuple[str, bytes] | None:
    width, height, method = size
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "madoguchi.thumbnailer", str(width), str(height), method, str(MOST_PIXELS),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        # Nothing of the server's secrets is handed on.
        env={},
    )  # fmt: skip
    try:
        async with asyncio.timeout(_SECONDS):
            told, _ = await process.communicate(original)
    except TimeoutError:
        log.warning("a thumbnail took too long", seconds=_SECONDS)
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        return None
    kind, _, content = told.partition(b"\n")
    return kind.decode(), content
