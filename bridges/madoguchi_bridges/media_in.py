"""What people send besides words: fetched from the app once, sealed on its way, put into the room as an attachment."""

import asyncio
from typing import Any

from . import attachments, notices
from .attachments import Ciphertext, TooLarge
from .config import Config
from .desk import Desk
from .network import FetchesMedia, Media, MediaKind, Network, NotReady, Unavailable

# So long the words that come after a picture wait for it.
AT_ONCE_SECONDS = 4.0
# After so long the app will not give it out any more, and the counsellor is told.
PATIENCE_MS = 6 * 60 * 60 * 1000
USUAL_TYPES: dict[MediaKind, str] = {"image": "image/jpeg", "video": "video/mp4", "audio": "audio/mp4"}
ENDINGS = {
    "image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp", "video/mp4": ".mp4",
    "audio/mp4": ".m4a", "audio/x-m4a": ".m4a", "audio/aac": ".aac", "audio/mpeg": ".mp3", "audio/ogg": ".ogg",
}  # fmt: skip
# Beside `m.audio`: somebody's voice, not any sound (MSC3245).
VOICE = "org.matrix.msc3245.voice"
MESSAGE_TYPES: dict[MediaKind, str] = {"image": "m.image", "video": "m.video", "audio": "m.audio", "file": "m.file"}


class MediaIn:
    def __init__(self, desk: Desk, config: Config) -> None:
        self._desk = desk
        self._config = config

    async def fetch(self, network: Network, media: Media, seconds: float | None) -> tuple[Ciphertext, str]:
        """(the file, sealed; its type). After `seconds` it is not ready. Raises NotReady, Unavailable, TryAgain."""
        most = self._config.largest_file
        if not isinstance(network, FetchesMedia):
            raise Unavailable("kind")
        if media.size is not None and media.size > most:
            raise Unavailable("too_large")
        try:
            async with asyncio.timeout(seconds), network.fetch(media) as fetched:
                if fetched.size is not None and fetched.size > most:
                    raise Unavailable("too_large")
                ciphertext = await attachments.seal(fetched.pieces, most, self._config.store)
        except TooLarge:
            raise Unavailable("too_large") from None
        except TimeoutError:
            raise NotReady from None
        usual = attachments.mime_type(media.type) or USUAL_TYPES.get(media.kind, "application/octet-stream")
        given = attachments.mime_type(fetched.type)
        return ciphertext, usual if given in ("", "application/octet-stream") else given

    async def put(self, media: Media, ciphertext: Ciphertext, type_: str, user_id: str, room_id: str) -> dict[str, Any]:
        """Uploads the file for a room; gives the content of its event. Raises Unreachable, Refused."""
        mxc = await self._desk.upload(user_id, room_id, ciphertext.file)
        # What calls itself a picture and is none would be opened as one.
        kind = media.kind if media.kind == "file" or type_.startswith(media.kind + "/") else "file"
        name = attachments.file_name(media.name) or notices.NAMES[media.kind] + ENDINGS.get(type_, "")
        info: dict[str, Any] = {"mimetype": type_, "size": ciphertext.size}
        more = {"duration": media.duration_ms, "w": media.width, "h": media.height}
        info |= {key: value for key, value in more.items() if value is not None}
        # Who speaks into the app sends a sound without a name; one with a name is a file.
        voice = kind == "audio" and not media.name
        return {
            **({VOICE: {}} if voice else {}),
            "msgtype": MESSAGE_TYPES[kind],
            "body": name,
            "filename": name,
            "info": info,
            "file": ciphertext.content(mxc),
        }
