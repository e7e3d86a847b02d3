"""Files of a conversation, opened: under names of our own, because a name somebody sent may be anything."""

from collections.abc import Awaitable, Callable

from nio.crypto.attachments import decrypt_attachment
from nio.exceptions import EncryptionError

from madoguchi.vault.transcript import Entry, File
from madoguchi.vault.written import Attached

# What a sender claims never becomes a page or a program on the reader's machine.
_ENDINGS = {
    "image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp", "audio/ogg": "ogg",
    "audio/mp4": "m4a", "audio/mpeg": "mp3", "audio/webm": "weba", "video/mp4": "mp4", "video/webm": "webm",
    "application/pdf": "pdf", "text/plain": "txt",
}  # fmt: skip

Fetch = Callable[[str], Awaitable[bytes | None]]
"""Content address (mxc://…) → the stored bytes, or None when they are not there."""


async def opened(entries: list[Entry], folder: str, fetch: Fetch) -> dict[str, Attached]:
    """Event id → its file. Names are `folder`/0001.jpg and so on."""
    found: dict[str, Attached] = {}
    for entry in entries:
        if entry.file is not None:
            number = len(found) + 1
            found[entry.event_id] = await _opened(entry.file, f"{folder}/{number:04}", fetch)
    return found


async def _opened(file: File, name: str, fetch: Fetch) -> Attached:
    kind = file.content_type.partition(";")[0].strip().lower()
    name, kind = f"{name}.{_ENDINGS.get(kind, 'bin')}", kind if kind in _ENDINGS else "application/octet-stream"
    stored = await fetch(file.url)
    if stored is None:
        return Attached(name, kind, None, "ファイルが保存先にありません")
    try:
        return Attached(name, kind, decrypt_attachment(stored, file.key, file.sha256, file.iv))
    except (EncryptionError, ValueError, TypeError):
        return Attached(name, kind, None, "ファイルか、その鍵が壊れています")
