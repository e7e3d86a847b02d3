"""A transcript's manifest: what lies in the folder, signed by the vault itself. Imports nothing of the server.

The key that signs (Ed25519) follows from the vault's private key, so only the holders together can sign: neither the
database nor any process of the desk could make a transcript that looks genuine. Its public half is no secret.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
FORMAT = "madoguchi-transcript-1"


class NotGenuine(Exception):
    """What was handed in is not what was signed. The text says what is wrong, one thing a line."""


def signing_key(private_key: bytes) -> SigningKey:
    """The key that signs for the vault with this private key: its seed is BLAKE2b keyed with the private key."""
    seed = hashlib.blake2b(b"transcript", key=private_key, digest_size=32, person=b"madoguchi sign").digest()
    return SigningKey(seed)


def public_half(private_key: bytes) -> bytes:
    """What a signature is checked with, 32 bytes."""
    return bytes(signing_key(private_key).verify_key)


def read_public(text: str) -> bytes:
    """A public key as `madoguchi vault key` prints it. Raises NotGenuine."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise NotGenuine("This is no public key: 32 bytes in base64, as `madoguchi vault key` prints it.")
    return key


def sign(files: Mapping[str, bytes], facts: Mapping[str, Any], private_key: bytes) -> dict[str, bytes]:
    """The files with their manifest (`facts`, and every file's SHA-256) and its signature beside them."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    key = signing_key(private_key)
    told = {
        "format": FORMAT,
        "signing_key": base64.b64encode(bytes(key.verify_key)).decode(),
        **facts,
        "files": sums,
    }
    manifest = json.dumps(told, ensure_ascii=False, indent=2).encode() + b"\n"
    signature = base64.b64encode(key.sign(manifest).signature) + b"\n"
    return {**files, MANIFEST: manifest, SIGNATURE: signature}


def check(content: bytes, signature: bytes, public_key: bytes) -> None:
    """Raises NotGenuine unless the vault with this public key has signed exactly these bytes."""
    try:
        VerifyKey(public_key).verify(content, signature)
    except (BadSignatureError, ValueError):
        raise NotGenuine("The signature is not this key's: another vault's, or something was changed.") from None


def verify(files: Mapping[str, bytes], public_key: bytes) -> dict[str, Any]:
    """The manifest of a folder in which nothing was altered, removed or added. Raises NotGenuine, which names all."""
    missing = [name for name in (MANIFEST, SIGNATURE) if name not in files]
    if missing:
        raise NotGenuine(f"{' and '.join(missing)} missing: without them nothing can be verified.")
    try:
        signature = base64.b64decode(files[SIGNATURE].strip(), validate=True)
    except ValueError:
        raise NotGenuine(f"altered: {SIGNATURE}") from None
    check(files[MANIFEST], signature, public_key)
    told: Any = json.loads(files[MANIFEST])
    if not isinstance(told, dict) or told.get("format") != FORMAT or not isinstance(told.get("files"), dict):
        raise NotGenuine("What was signed is no transcript that this version knows.")
    sums: dict[str, str] = told["files"]
    wrong = [f"missing: {name}" for name in sums if name not in files]
    present = files.keys() - {MANIFEST, SIGNATURE}
    wrong += [f"added: {name}" for name in sorted(present - sums.keys())]
    altered = (name for name in sums if name in files and hashlib.sha256(files[name]).hexdigest() != sums[name])
    wrong += [f"altered: {name}" for name in altered]
    if wrong:
        raise NotGenuine("\n".join(wrong))
    return told
