"""A private key in a file that a passphrase opens: argon2id and SecretBox (libsodium's, by PyNaCl)."""

import base64
import json
import os
from pathlib import Path
from typing import Any

from nacl import pwhash, secret, utils
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey

# What a file is for; it opens as nothing else.
SIGNING = "madoguchi signing key 1"
RECOVERY = "madoguchi recovery key 1"
_KDF = pwhash.argon2id


class WrongPassphrase(ValueError):
    """The passphrase does not open the file, or somebody has changed the file."""


class BadKeyFile(ValueError):
    """Not such a file, or a damaged one."""


def write(path: Path, key: SigningKey, passphrase: str) -> None:
    """Writes a new file that only its owner can read. Raises OSError, FileExistsError where there is one already."""
    write_secret(path, bytes(key), bytes(key.verify_key), passphrase, kind=SIGNING)


def read(path: Path, passphrase: str) -> SigningKey:
    """The key in a file. Raises OSError, BadKeyFile, WrongPassphrase."""
    return SigningKey(read_secret(path, passphrase, kind=SIGNING))


def write_secret(path: Path, private: bytes, public: bytes, passphrase: str, *, kind: str) -> None:
    """The same for any key of 32 bytes; its public half stands in the file for everybody to see."""
    salt = utils.random(_KDF.SALTBYTES)
    box = secret.SecretBox(_derive(passphrase, salt, _KDF.OPSLIMIT_MODERATE, _KDF.MEMLIMIT_MODERATE))
    told = {
        "format": kind,
        "public_key": _text(public),
        "ops": _KDF.OPSLIMIT_MODERATE,
        "memory": _KDF.MEMLIMIT_MODERATE,
        "salt": _text(salt),
        "box": _text(box.encrypt(private)),
    }
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(json.dumps(told, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_secret(path: Path, passphrase: str, *, kind: str) -> bytes:
    """The key of 32 bytes in a file of this kind. Raises OSError, BadKeyFile, WrongPassphrase."""
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != kind:
            raise BadKeyFile(f"{path} is not a {kind.rpartition(' ')[0].removeprefix('madoguchi ')} of madoguchi.")
        salt, box = _bytes(told["salt"]), _bytes(told["box"])
        ops, memory = int(told["ops"]), int(told["memory"])
        if not (_KDF.OPSLIMIT_MIN <= ops <= _KDF.OPSLIMIT_SENSITIVE and memory <= _KDF.MEMLIMIT_SENSITIVE):
            raise BadKeyFile(f"{path} is damaged.")
        derived = _derive(passphrase, salt, ops, memory)
    except (ValueError, KeyError, TypeError) as wrong:
        raise (wrong if isinstance(wrong, BadKeyFile) else BadKeyFile(f"{path} is damaged, or not a key.")) from wrong
    try:
        return secret.SecretBox(derived).decrypt(box)
    except (CryptoError, ValueError):
        raise WrongPassphrase("The passphrase does not open this key.") from None


def _derive(passphrase: str, salt: bytes, ops: int, memory: int) -> bytes:
    key: bytes = _KDF.kdf(secret.SecretBox.KEY_SIZE, passphrase.encode(), salt, opslimit=ops, memlimit=memory)
    return key


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
