"""Files: kept in a store that knows nothing of Matrix, described in the database ("Content repository").

A store is anything with the three methods of `MediaStore`; `FolderStore` keeps files in a directory. What is encrypted
stays so: nobody here has the keys.
"""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import msgspec

from madoguchi import errors
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import media as store
from madoguchi.storage.db import Tx
from madoguchi.storage.media import Media

if TYPE_CHECKING:
    from madoguchi.config import Settings
    from madoguchi.context import Context
    from madoguchi.core.chat.sessions import Session

UNUSED_LIFE_MS = 24 * 60 * 60 * 1000
MOST_PENDING = 20
DAY_MS = 24 * 60 * 60 * 1000
# How many files of the largest size somebody may upload in a day.
FILES_A_DAY = 4
LONGEST_WAIT_MS = 60_000
USUAL_WAIT_MS = 20_000
_PIECE = 256 * 1024
_ENCRYPTED_TYPE = "application/octet-stream"


class Stored(msgspec.Struct, frozen=True):
    """What the store took in: bytes, and their SHA-256."""

    size: int
    sha256: bytes


class MediaStore(Protocol):
    """Where the bytes are."""

    async def put(self, media_id: str, pieces: AsyncIterator[bytes], most: int) -> Stored:
        """Takes a file in, whole and on disk on return. Raises TooLarge beyond `most` bytes, keeping nothing."""
        ...

    def read(self, media_id: str, start: int, length: int) -> AsyncGenerator[bytes, None]:
        """Gives `length` bytes from `start`. Raises NotFound for a file that is not there."""
        ...

    async def delete(self, media_id: str) -> None:
        """Takes a file away, if it is there."""
        ...


class FolderStore:
    """Files in a directory, in sub-directories by the first letters of their ids. Disk work is done in threads."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _path(self, media_id: str) -> Path:
        if not is_media_id(media_id):
            raise errors.NotFound("There is no such file.")
        # Ids differ by case, and not every file system does.
        folder = hashlib.sha256(media_id.encode()).hexdigest()[:2]
        return self._root / folder / media_id.encode().hex()

    async def put(self, media_id: str, pieces: AsyncIterator[bytes], most: int) -> Stored:
        """As MediaStore.put: written beside, flushed to disk, then renamed."""
        path = self._path(media_id)
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        file = await asyncio.to_thread(_begin, partial)
        digest, size = hashlib.sha256(), 0
        try:
            gathered = bytearray()
            async for piece in pieces:
                size += len(piece)
                if size > most:
                    raise errors.TooLarge(f"A file may have at most {most} bytes.")
                gathered += piece
                if len(gathered) >= _PIECE:
                    await asyncio.to_thread(_write, file, digest, bytes(gathered))
                    gathered.clear()
            await asyncio.to_thread(_finish, file, digest, bytes(gathered), partial, path)
        except BaseException:
            file.close()
            partial.unlink(missing_ok=True)
            raise
        return Stored(size, digest.digest())

    async def read(self, media_id: str, start: int, length: int) -> AsyncGenerator[bytes, None]:
        """As MediaStore.read."""
        try:
            file = await asyncio.to_thread(open, self._path(media_id), "rb")
        except FileNotFoundError:
            raise errors.NotFound("There is no such file.") from None
        try:
            file.seek(start)
            while length > 0:
                piece = await asyncio.to_thread(file.read, min(_PIECE, length))
                if not piece:
                    return
                length -= len(piece)
                yield piece
        finally:
            file.close()

    async def delete(self, media_id: str) -> None:
        """As MediaStore.delete."""
        await asyncio.to_thread(self._path(media_id).unlink, missing_ok=True)


def open_store(settings: "Settings") -> MediaStore:
    """The store that the operator has chosen."""
    if settings.media_store == "folder":
        return FolderStore(settings.data / "media")
    # Only where it is used: its library takes memory in every process.
    from madoguchi.core.chat.media_s3 import BucketStore

    return BucketStore(settings)


def _begin(partial: Path) -> BinaryIO:
    partial.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _write(file: BinaryIO, digest: "hashlib._Hash", data: bytes) -> None:
    digest.update(data)
    file.write(data)


def _finish(file: BinaryIO, digest: "hashlib._Hash", data: bytes, partial: Path, path: Path) -> None:
    _write(file, digest, data)
    file.flush()
    os.fsync(file.fileno())
    file.close()
    os.replace(partial, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def new_media_id() -> str:
    """An id that can't be guessed: whoever is given it may have the file."""
    return secrets.token_urlsafe(24)


def is_media_id(media_id: str) -> bool:
    """Whether it has the form of an id of ours (so that no path can be made with it)."""
    return 0 < len(media_id) <= 128 and all(c.isascii() and (c.isalnum() or c in "-_") for c in media_id)


def check_server(ctx: "Context", server_name: str) -> None:
    """Raises NotFound for media of another server: nothing is fetched from anywhere."""
    if server_name != ctx.settings.server_name:
        raise errors.NotFound("Files of other servers are not fetched.")


def check_type(ctx: "Context", content_type: str) -> None:
    """Raises NotAllowed for a type of file that the operator does not want."""
    wanted = ctx.settings.media_types
    kind = content_type.partition(";")[0].strip().lower()
    if wanted and not any(kind == each or (each.endswith("/*") and kind.startswith(each[:-1])) for each in wanted):
        raise errors.NotAllowed("Files of this type are not taken here.")


async def check_allowance(ctx: "Context", session: "Session") -> None:
    """Raises LimitExceeded for somebody who has filled much of the disk today: an account takes only one tap."""
    if ctx.settings.limits != "on" or session.kind in ("staff", "keeper"):
        return
    now = ctx.clock.ms()
    async with ctx.db.connection() as tx:
        taken = await store.sum_uploaded(tx, session.user_id, now - DAY_MS)
    if taken >= FILES_A_DAY * ctx.settings.media_max_bytes:
        raise errors.LimitExceeded("That is a lot of files for one day. Please wait.", retry_after_ms=60 * 60 * 1000)


async def upload(
    ctx: "Context",
    session: "Session",
    pieces: AsyncIterator[bytes],
    content_type: str,
    file_name: str | None,
    room_id: RoomID | None = None,
) -> str:
    """Takes a file in; gives its media id once it is on disk and recorded. Raises TooLarge.

    room_id: the room that it is for, if its owner says so; see `_belongs`.
    """
    media_id = new_media_id()
    stored = await ctx.media.put(media_id, pieces, ctx.settings.media_max_bytes)
    try:
        async with ctx.db.transaction() as tx:
            await store.insert_media(
                tx,
                media_id,
                session.user_id,
                content_type,
                _kept_name(content_type, file_name),
                stored.size,
                stored.sha256,
                ctx.clock.ms(),
            )
            await _belongs(tx, media_id, session, content_type, room_id)
    except BaseException:
        await ctx.media.delete(media_id)
        raise
    return media_id


async def reserve(ctx: "Context", owner: UserID) -> tuple[str, int]:
    """An id for a file that comes later, and until when (ms since 1970). Raises LimitExceeded for too many unused."""
    media_id, now = new_media_id(), ctx.clock.ms()
    async with ctx.db.transaction() as tx:
        if await store.count_pending(tx, owner, now) >= MOST_PENDING:
            raise errors.LimitExceeded("Too many uploads have been begun and not finished.", retry_after_ms=60_000)
        await store.insert_pending(tx, media_id, owner, now, now + UNUSED_LIFE_MS)
    return media_id, now + UNUSED_LIFE_MS


async def upload_reserved(
    ctx: "Context",
    session: "Session",
    media_id: str,
    pieces: AsyncIterator[bytes],
    content_type: str,
    file_name: str | None,
    room_id: RoomID | None = None,
) -> None:
    """Takes in the file for a reserved id. Raises NotFound, NotAllowed, CannotOverwriteMedia, TooLarge."""
    async with ctx.db.transaction() as tx:
        reserved = await store.get_media(tx, media_id)
    if reserved is None or (reserved.size is None and (reserved.unused_expires_at or 0) <= ctx.clock.ms()):
        raise errors.NotFound("This media id was not reserved, or too long ago.")
    if reserved.owner != session.user_id:
        raise errors.NotAllowed("Somebody else reserved this media id.")
    if reserved.size is not None:
        raise errors.CannotOverwriteMedia("This file has been uploaded already.")
    # Under a name of its own: of two uploads at once, the loser must not leave its bytes under the winner's row.
    stored_as = new_media_id()
    stored = await ctx.media.put(stored_as, pieces, ctx.settings.media_max_bytes)
    try:
        async with ctx.db.transaction() as tx:
            name = _kept_name(content_type, file_name)
            if not await store.update_uploaded(
                tx, media_id, stored_as, content_type, name, stored.size, stored.sha256, ctx.clock.ms()
            ):
                raise errors.CannotOverwriteMedia("This file has been uploaded already.")
            await _belongs(tx, media_id, session, content_type, room_id)
    except BaseException:
        await ctx.media.delete(stored_as)
        raise


async def get(ctx: "Context", server_name: str, media_id: str, wait_ms: int | None = None) -> Media:
    """What is known of a file, waiting up to `wait_ms` for one that is reserved and not there yet.

    Raises NotFound, NotYetUploaded.
    """
    check_server(ctx, server_name)
    wait_ms = USUAL_WAIT_MS if wait_ms is None else max(0, min(wait_ms, LONGEST_WAIT_MS))
    until = ctx.clock.ms() + wait_ms
    pause_s = 0.1
    while True:
        async with ctx.db.connection() as tx:
            found = await store.get_media(tx, media_id)
        if found is None or (found.size is None and (found.unused_expires_at or 0) <= ctx.clock.ms()):
            raise errors.NotFound("There is no such file.")
        if found.size is not None:
            return found
        left_ms = until - ctx.clock.ms()
        if left_ms <= 0:
            raise errors.NotYetUploaded("This file has not been uploaded yet.")
        await asyncio.sleep(min(pause_s, left_ms / 1000))
        pause_s = min(pause_s * 2, 1.0)


async def _belongs(tx: Tx, media_id: str, session: "Session", content_type: str, room_id: RoomID | None) -> None:
    """Notes with which cases an encrypted file goes: nobody can tell from the file, so with the last of its owner's.

    The keeper is in every room and says for which one a file is.
    """
    if content_type == _ENCRYPTED_TYPE and (room_id is not None or session.kind != "keeper"):
        await store.insert_rooms(tx, media_id, session.user_id, room_id)


def _kept_name(content_type: str, file_name: str | None) -> str | None:
    if content_type == _ENCRYPTED_TYPE or not file_name:
        return None
    return file_name[:255].replace("\0", "")
