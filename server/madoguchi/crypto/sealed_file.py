"""A small JSON document on disk that only the holder of a key can read, replaced atomically."""

import json
from pathlib import Path
from typing import Any

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from nacl.utils import random

from madoguchi.files import write_private


class SealBroken(Exception):
    """The file was written with another key, or has been changed."""


class SealedFile:
    """`path` holds JSON encrypted with PyNaCl's SecretBox under `key` (32 bytes)."""

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self._box = SecretBox(key)

    def read(self) -> dict[str, Any] | None:
        """The document, or None when there is none yet. Raises SealBroken."""
        try:
            sealed = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            document: dict[str, Any] = json.loads(self._box.decrypt(sealed))
        except (CryptoError, ValueError) as error:
            raise SealBroken(f"{self.path} cannot be opened with this key.") from error
        return document

    def write(self, document: dict[str, Any]) -> None:
        """Replace the document; after a crash either the old or the new one stands, whole."""
        sealed = self._box.encrypt(json.dumps(document).encode(), random(SecretBox.NONCE_SIZE))
        write_private(self.path, sealed)
