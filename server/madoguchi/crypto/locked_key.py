"""A signing key in a file that a passphrase opens: argon2id and SecretBox (libsodium's, by PyNaCl)."""

import base64
import json
import os
from pathlib import Path
from typing import Any

from nacl import pwhash, secret, utils
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey

FORMAT = "madoguchi signing key 1"
_KDF = pwhash.argon2id


class WrongPassphrase(ValueError):
    """The passphrase does not open the file, or somebody has changed the file."""


class BadKeyFile(ValueError):
    """Not such a file, or a damaged one."""


def write(path: Path, key: SigningKey, passphrase: str) -> None:
    """Writes a new file that only its owner can read. Raises OSError, FileExistsError where there is one already."""
    salt = utils.random(_KDF.SALTBYTES)
    box = secret.SecretBox(_derive(passphrase, salt, _KDF.OPSLIMIT_MODERATE, _KDF.MEMLIMIT_MODERATE))
    told = {
        "format": FORMAT,
        "public_key": _text(bytes(key.verify_key)),
        "ops": _KDF.OPSLIMIT_MODERATE,
        "memory": _KDF.MEMLIMIT_MODERATE,
        "salt": _text(salt),
        "box": _text(box.encrypt(bytes(key))),
    }
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(json.dumps(told, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path, passphrase: str) -> SigningKey:
    """The key in a file. Raises OSError, BadKeyFile, WrongPassphrase."""
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise BadKeyFile(f"{path} is not a signing key of madoguchi.")
        salt, box = _bytes(told["salt"]), _bytes(told["box"])
        ops, memory = int(told["ops"]), int(told["memory"])
        if not (_KDF.OPSLIMIT_MIN <= ops <= _KDF.OPSLIMIT_SENSITIVE and memory <= _KDF.MEMLIMIT_SENSITIVE):
            raise BadKeyFile(f"{path} is damaged.")
        derived = _derive(passphrase, salt, ops, memory)
    except (ValueError, KeyError, TypeError) as wrong:
        raise (
            wrong if isinstance(wrong, BadKeyFile) else BadKeyFile(f"{path} is damaged, or not a signing key.")
        ) from wrong
    try:
        return SigningKey(secret.SecretBox(derived).decrypt(box))
    except (CryptoError, ValueError):
        raise WrongPassphrase("The passphrase does not open this key.") from None


def _derive(passphrase: str, salt: bytes, ops: int, memory: int) -> bytes:
    key: bytes = _KDF.kdf(secret.SecretBox.KEY_SIZE, passphrase.encode(), salt, opslimit=ops, memlimit=memory)
    return key


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
