"""Pages that are signed and bound to the page before: whoever has the public key can check each, and their order.

A page is a JSON object with `before`, the hash (SHA-256, base64) of the page before, or "" for the first. What is
hashed and signed (Ed25519, PyNaCl) is its canonical JSON, signed behind a word of its kind. A
certificate is signed in the same way, follows no other, and has no `before`.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from madoguchi.crypto import canonical_json

_WORD = b"madoguchi viewing ledger\n"


class Signed(NamedTuple):
    """A page as it was signed."""

    page: dict[str, Any]
    hash: bytes
    signature: bytes


def sign(key: SigningKey, page: dict[str, Any], word: bytes = _WORD) -> Signed:
    """A page, signed. Raises TypeError, ValueError for what has no canonical form."""
    raw = canonical_json.encode(page)
    return Signed(page, hashlib.sha256(raw).digest(), key.sign(word + raw).signature)


def fault(signed: Signed, public_key: bytes, word: bytes = _WORD) -> str | None:
    """What is wrong with a page by itself; None if nothing is."""
    raw = canonical_json.encode(signed.page)
    if hashlib.sha256(raw).digest() != signed.hash:
        return "is not what its hash says"
    try:
        VerifyKey(public_key).verify(word + raw, signed.signature)
    except (BadSignatureError, ValueError):
        return "was not signed by this key"
    return None


def faults(pages: Iterable[Signed], public_key: bytes) -> list[str]:
    """What is wrong with pages from the first one on, in words; nothing if they are whole."""
    found: list[str] = []
    before = ""
    for number, signed in enumerate(pages, 1):
        wrong = fault(signed, public_key)
        if wrong is not None:
            found.append(f"ledger {number} {wrong}")
        if signed.page.get("before") != before:
            found.append(f"ledger {number} does not follow the one before it")
        before = text(signed.hash)
    return found


def text(data: bytes) -> str:
    """Bytes as they stand in a page and in a file."""
    return base64.b64encode(data).decode()


def of_file(given: Any, name: str = "ledger") -> Signed:
    """A page from its file: `{name: …, "hash": …, "signature": …}`. Raises ValueError."""
    try:
        hashed, signature = (base64.b64decode(given[name], validate=True) for name in ("hash", "signature"))
        page = given[name]
    except (KeyError, TypeError, binascii.Error):
        raise ValueError(f"not a signed {name}") from None
    if not isinstance(page, dict):
        raise ValueError(f"not a signed {name}")
    return Signed(page, hashed, signature)
