"""Which vault a desk seals to, as a file of the operator's says: `madoguchi vault init`, `rotate` and `pin` write it.

The keeper seals to no other key, whatever the server gives it.
"""

import os
from pathlib import Path

from madoguchi.crypto import pinned
from madoguchi.crypto.cross_signing import encode_base64

# The vault's public key (X25519), unpadded base64 and a line's end.
KEY_FILE = "vault.pub"


def write(keys: Path, public_key: bytes) -> None:
    """From now on the desk seals to this vault. keys: DATA/keys. Raises OSError."""
    pinned.write(keys / KEY_FILE, encode_base64(public_key))


def is_missing(keys: Path) -> bool:
    """Whether the operator has not said which. Raises OSError."""
    return pinned.read(keys / KEY_FILE) is None


def refused(data: Path) -> Path:
    """The keeper's file that says: the server gives another key, of this short name, and nothing is sealed to it."""
    return data / "keeper" / "vault.refused"


def was_refused(data: Path) -> bool:
    """Whether there is that file, for whoever may look into the keeper's directory."""
    return os.path.exists(refused(data))


def is_it(keys: Path, public_key: bytes) -> bool:
    """Whether this is the one. Raises OSError."""
    return pinned.read(keys / KEY_FILE) == encode_base64(public_key)
