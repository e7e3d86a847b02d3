"""Files in a bucket of an S3-compatible store (`media.MediaStore`), for a `serve` that runs on several machines."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import S3Store

from madoguchi import errors
from madoguchi.config import Settings
from madoguchi.core import egress
from madoguchi.core.chat.media import Stored, is_media_id

log = structlog.get_logger()

# A multipart upload's parts are 5 MiB or more; two are under way at once, and no more is in memory.
_PART = 8 * 1024 * 1024
_PARTS_AT_ONCE = 2
_PIECE = 256 * 1024
_TIMEOUT = "30s"


class BucketStore:
    """Files in a bucket, under the hexadecimal form of their ids."""

    def __init__(self, settings: Settings) -> None:
        self._endpoint = settings.media_s3_endpoint
        self._store = S3Store(
            settings.media_s3_bucket,
            endpoint=settings.media_s3_endpoint,
            region=settings.media_s3_region,
            access_key_id=settings.media_s3_key,
            secret_access_key=settings.media_s3_secret,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True, "timeout": _TIMEOUT},
        )

    def _name(self, media_id: str) -> str:
        """Under what a file lies that is about to be asked for."""
        if not is_media_id(media_id):
            raise errors.NotFound("There is no such file.")
        egress.note(self._endpoint)
        # Ids differ by case, and not every store's names do.
        return f"media/{media_id.encode().hex()}"

    async def put(self, media_id: str, pieces: AsyncIterator[bytes], most: int) -> Stored:
        """As MediaStore.put: the store takes all of it or nothing."""
        digest, size = hashlib.sha256(), 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for piece in pieces:
                size += len(piece)
                if size > most:
                    raise errors.TooLarge(f"A file may have at most {most} bytes.")
                digest.update(piece)
                yield piece

        try:
            await obstore.put_async(
                self._store, self._name(media_id), counted(), chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE
            )
        except (BaseError, OSError) as failed:
            raise _unavailable(failed) from None
        return Stored(size, digest.digest())

    async def read(self, media_id: str, start: int, length: int) -> AsyncGenerator[bytes, None]:
        """As MediaStore.read."""
        if length <= 0:
            return
        try:
            found = await obstore.get_async(
                self._store, self._name(media_id), options={"range": (start, start + length)}
            )
            async for piece in found.stream(min_chunk_size=_PIECE):
                yield bytes(piece)
        except FileNotFoundError:
            raise errors.NotFound("There is no such file.") from None
        except (BaseError, OSError) as failed:
            raise _unavailable(failed) from None

    async def delete(self, media_id: str) -> None:
        """As MediaStore.delete."""
        try:
            await obstore.delete_async(self._store, self._name(media_id))
        except FileNotFoundError:
            pass
        except (BaseError, OSError) as failed:
            raise _unavailable(failed) from None

    async def answers(self) -> None:
        """Asks the bucket for a file that is not there. Raises Unavailable if it can't be asked."""
        egress.note(self._endpoint)
        try:
            await obstore.head_async(self._store, "media/none")
        except FileNotFoundError:
            pass
        except (BaseError, OSError) as failed:
            raise _unavailable(failed) from None


def _unavailable(failed: Exception) -> errors.Unavailable:
    # Its text may quote addresses and keys: only its kind is told.
    log.warning("media store is not answering", error=type(failed).__name__)
    return errors.Unavailable("The store of files is not answering. Please try again.")
