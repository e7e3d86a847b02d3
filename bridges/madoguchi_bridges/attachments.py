"""Files of encrypted rooms, sealed and opened piece by piece (Client-Server API, "Sending encrypted attachments").

What lies on disk meanwhile is ciphertext, in a file that has no name and goes when it is closed.
"""

import base64
import binascii
import hashlib
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from Crypto.Cipher import AES
from Crypto.Util import Counter

from .network import MediaKind
from .text import clean

PIECE = 64 * 1024
LONGEST_NAME = 200
KINDS: dict[str, MediaKind] = {"m.image": "image", "m.video": "video", "m.audio": "audio", "m.file": "file"}


class TooLarge(Exception):
    """The file has more bytes than are carried."""


class Damaged(Exception):
    """The file is not the one that was sent, or its keys are none."""


class Attachment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file of a room, with all it takes to open it: never logged, never stored but sealed."""

    kind: MediaKind
    mxc: str
    key: str
    iv: str
    sha256: str
    name: str = ""
    type: str = ""
    size: int = 0
    duration_ms: int | None = None
    width: int | None = None
    height: int | None = None


class Ciphertext(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed file, to be uploaded. Close `file` afterwards."""

    file: BinaryIO
    size: int
    key: str
    iv: str
    sha256: str

    def content(self, mxc: str) -> dict[str, Any]:
        """The `file` of an event (EncryptedFile)."""
        jwk = {"kty": "oct", "alg": "A256CTR", "ext": True, "key_ops": ["encrypt", "decrypt"], "k": self.key}
        return {"v": "v2", "url": mxc, "key": jwk, "iv": self.iv, "hashes": {"sha256": self.sha256}}


async def seal(pieces: AsyncIterator[bytes], most: int, directory: Path) -> Ciphertext:
    """Encrypts what comes, without ever holding it whole. Raises TooLarge beyond `most` bytes."""
    key, nonce = secrets.token_bytes(32), secrets.token_bytes(8)
    cipher, digest, size = _cipher(key, nonce + bytes(8), 0), hashlib.sha256(), 0
    file = _nameless(directory)
    try:
        async for piece in pieces:
            size += len(piece)
            if size > most:
                raise TooLarge
            sealed = cipher.encrypt(piece)
            digest.update(sealed)
            file.write(sealed)
    except BaseException:
        file.close()
        raise
    return Ciphertext(
        file=file,
        size=size,
        key=base64.urlsafe_b64encode(key).decode().rstrip("="),
        iv=_base64(nonce + bytes(8)),
        sha256=_base64(digest.digest()),
    )


async def take_in(pieces: AsyncIterator[bytes], attachment: Attachment, most: int, directory: Path) -> BinaryIO:
    """The ciphertext of an attachment, whole and as it was sent. Raises TooLarge, Damaged."""
    digest, size, file = hashlib.sha256(), 0, _nameless(directory)
    try:
        async for piece in pieces:
            size += len(piece)
            if size > most:
                raise TooLarge
            digest.update(piece)
            file.write(piece)
        file.flush()
        if not secrets.compare_digest(_base64(digest.digest()), attachment.sha256.rstrip("=")):
            raise Damaged
    except BaseException:
        file.close()
        raise
    return file


async def opened(
    file: BinaryIO, attachment: Attachment, start: int = 0, length: int | None = None
) -> AsyncIterator[bytes]:
    """The plaintext of `length` bytes from `start`, from ciphertext that was taken in. Raises Damaged."""
    try:
        key = base64.urlsafe_b64decode(attachment.key + "=" * (-len(attachment.key) % 4))
        iv = base64.b64decode(attachment.iv + "=" * (-len(attachment.iv) % 4))
        cipher = _cipher(key, iv, start // 16)
    except (binascii.Error, ValueError):
        raise Damaged from None
    at, ends = start - start % 16, size_of(file) if length is None else start + length
    skipped = start - at
    while at < ends and (piece := os.pread(file.fileno(), min(PIECE, ends - at), at)):
        at += len(piece)
        yield cipher.decrypt(piece)[skipped:]
        skipped = 0


def size_of(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def attachment_of(content: dict[str, Any]) -> Attachment | None:
    """The encrypted file of an event's content, or None where there is none that could be opened. Any field may hold
    anything."""
    kind, file, info = KINDS.get(str(content.get("msgtype"))), content.get("file"), content.get("info")
    if kind is None or not isinstance(file, dict):
        return None
    info = info if isinstance(info, dict) else {}
    jwk, hashes = file.get("key"), file.get("hashes")
    found = (
        file.get("url"),
        jwk.get("k") if isinstance(jwk, dict) else None,
        file.get("iv"),
        hashes.get("sha256") if isinstance(hashes, dict) else None,
    )
    mxc, key, iv, sha256 = (value if isinstance(value, str) else "" for value in found)
    if not (mxc.startswith("mxc://") and key and iv and sha256):
        return None
    name = content.get("filename", content.get("body"))
    return Attachment(
        kind=kind,
        mxc=mxc,
        key=key,
        iv=iv,
        sha256=sha256,
        name=file_name(name) if isinstance(name, str) else "",
        type=mime_type(info.get("mimetype")),
        size=_whole(info.get("size")) or 0,
        duration_ms=_whole(info.get("duration")),
        width=_whole(info.get("w")),
        height=_whole(info.get("h")),
    )


def file_name(name: str) -> str:
    """A file's name that can stand in a header and in a list: no paths, nothing that is not to be seen."""
    name = clean(name).replace("\\", "/").rpartition("/")[2]
    return "".join(each for each in name if each.isprintable()).strip(". ")[:LONGEST_NAME]


def mime_type(value: object) -> str:
    """A type of file as `image/jpeg`, without parameters; "" for anything else."""
    if not isinstance(value, str):
        return ""
    kind = value.partition(";")[0].strip().lower()
    main, slash, sub = kind.partition("/")
    fine = slash and all(part and part.isascii() and part.replace("-", "").replace(".", "").replace("+", "").isalnum()
                         for part in (main, sub))  # fmt: skip
    return kind if fine and len(kind) <= 100 else ""


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def _cipher(key: bytes, iv: bytes, block: int) -> Any:
    if len(key) != 32 or len(iv) != 16:
        raise ValueError("Not an A256CTR key.")
    first = (int.from_bytes(iv[8:], "big") + block) % 2**64
    return AES.new(key, AES.MODE_CTR, counter=Counter.new(64, prefix=iv[:8], initial_value=first))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _nameless(directory: Path) -> BinaryIO:
    return tempfile.TemporaryFile(dir=directory)
