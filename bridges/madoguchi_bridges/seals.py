"""Sealing and naming: what lies in the database is closed, and people stand there under names nobody can turn back."""

import base64
import hashlib
from pathlib import Path

from nacl.public import PrivateKey, SealedBox


class Seals:
    """The bridges' key pair at work.

    Sealing is NaCl's anonymous public-key box (SealedBox), names are keyed BLAKE2b: without `bridges.key` the database
    tells neither what was said nor who, on which app, said it.
    """

    def __init__(self, private_key: bytes) -> None:
        key = PrivateKey(private_key)
        self._seal = SealedBox(key.public_key)
        self._open = SealedBox(key)
        self._naming_key = hashlib.blake2b(private_key, person=b"madoguchi names").digest()

    @classmethod
    def read(cls, path: Path) -> "Seals":
        """Reads `keys/bridges.key`: 32 bytes, raw or base64 (with or without padding). Raises OSError, ValueError."""
        return cls(decode_key(path.read_bytes()))

    def seal(self, content: bytes) -> bytes:
        return self._seal.encrypt(content)

    def open(self, sealed: bytes) -> bytes:
        """Raises nacl.exceptions.CryptoError when it was not sealed for us."""
        return self._open.decrypt(sealed)

    def name(self, purpose: str, *parts: str) -> str:
        """A stable name for `parts`: 32 characters of a-z and 2-7, the same for ever, different for each purpose.

        160 bits, so that two people never share one.
        """
        return base64.b32encode(self._derive(purpose, parts, 20)).decode().lower()

    def key(self, purpose: str, *parts: str) -> bytes:
        """A secret key of 32 bytes for `parts`, the same for ever, different for each purpose."""
        return self._derive(purpose, parts, 32)

    def _derive(self, purpose: str, parts: tuple[str, ...], size: int) -> bytes:
        digest = hashlib.blake2b(digest_size=size, key=self._naming_key, person=purpose.encode())
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.digest()


def decode_key(data: bytes) -> bytes:
    """A 32-byte key, written raw or as base64. Raises ValueError."""
    if len(data) == 32:
        return data
    text = data.strip()
    key = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    if len(key) != 32:
        raise ValueError("A key of 32 bytes was expected.")
    return key
