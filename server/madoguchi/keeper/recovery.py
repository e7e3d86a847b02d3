"""What brings a lost keeper back: its identity, and its room keys in the key backup of its own account.

    the recovery key (X25519; its private half in the operator's file)  opens  the identity, with the backup's secrets
    the backup's secret (X25519)                                        opens  the room keys of running cases

Both lie on the server, which can neither open nor make them: the identity has to be the one that the roster names, and
each room key carries a keyed hash that nobody can make who has not opened the identity. The backup is the standard's
("Server-side key backups", m.megolm_backup.v1.curve25519-aes-sha2), which by itself would take a key from anybody.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.utils import random
from nio.crypto import InboundGroupSession
from vodozemac import Curve25519PublicKey, Curve25519SecretKey, Message, PkDecodeException, PkDecryption, PkEncryption

from madoguchi.crypto import canonical_json
from madoguchi.crypto.cross_signing import JSON, CrossSigningKeys, decode_base64, encode_base64
from madoguchi.crypto.key_bundle import MEGOLM, exported
from madoguchi.crypto.sealed_file import SealedFile
from madoguchi.vault.sealing import SessionSecret

ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2"
# The public half of the recovery key, unpadded base64, in DATA/keys.
KEY_FILE = "keeper-recovery.pub"
_MAC = "jp.madoguchi.mac"


class NotOpened(ValueError):
    """Sealed to another key, or changed, or of somebody else."""


@dataclass(frozen=True)
class Secrets:
    """Of the backup. private_key: X25519; mac: for the hash in each copy. 32 bytes each."""

    private_key: bytes
    mac: bytes

    @classmethod
    def make(cls) -> "Secrets":
        """New ones."""
        return cls(bytes(PrivateKey.generate()), random(32))

    @classmethod
    def read(cls, told: JSON) -> "Secrets":
        """What `told` gave. Raises KeyError, ValueError."""
        return cls(decode_base64(told["private_key"]), decode_base64(told["mac"]))

    @property
    def told(self) -> dict[str, str]:
        """For a sealed file or a sealed box."""
        return {"private_key": encode_base64(self.private_key), "mac": encode_base64(self.mac)}

    @property
    def public_key(self) -> str:
        """Of the backup, unpadded base64."""
        return encode_base64(bytes(PrivateKey(self.private_key).public_key))


def pinned_key(file: Path) -> str | None:
    """The public half of the recovery key, None where the operator has made none."""
    try:
        return file.read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def seal_identity(recovery_key: str, keys: CrossSigningKeys, secrets: Secrets) -> JSON:
    """The account data. recovery_key: public, unpadded base64."""
    told = {"user_id": keys.user_id, "cross_signing": keys.seeds(), "backup": secrets.told}
    sealed = SealedBox(PublicKey(decode_base64(recovery_key))).encrypt(json.dumps(told).encode())
    return {"key": recovery_key, "sealed": encode_base64(sealed)}


def open_identity(private_key: bytes, account_data: JSON, user_id: str) -> tuple[CrossSigningKeys, Secrets]:
    """The identity and the backup's secrets. Raises NotOpened."""
    try:
        told = json.loads(SealedBox(PrivateKey(private_key)).decrypt(decode_base64(account_data["sealed"])))
        if told["user_id"] != user_id:
            raise NotOpened("What was kept is of another desk's keeper.")
        return CrossSigningKeys.from_seeds(user_id, told["cross_signing"]), Secrets.read(told["backup"])
    except NotOpened:
        raise
    except (CryptoError, KeyError, ValueError, TypeError) as wrong:
        raise NotOpened("This key does not open what the keeper has kept.") from wrong


def backed_up(secrets: Secrets, session: InboundGroupSession) -> JSON:
    """A session as a KeyBackupData of the specification."""
    key = exported(session)
    told = {name: key[name] for name in ("algorithm", "sender_key", "sender_claimed_keys", "session_key")}
    told |= {"forwarding_curve25519_key_chain": session.forwarding_chain, _MAC: _mac(secrets, key)}
    public_key = Curve25519PublicKey.from_base64(secrets.public_key)
    sealed = PkEncryption.from_key(public_key).encrypt(json.dumps(told).encode())
    parts = {"ciphertext": sealed.ciphertext, "mac": sealed.mac, "ephemeral": sealed.ephemeral_key}
    return {
        "first_message_index": session.first_known_index,
        "forwarded_count": len(session.forwarding_chain),
        "is_verified": False,
        "session_data": {name: encode_base64(part) for name, part in parts.items()},
    }


def opened_copy(secrets: Secrets, room_id: str, session_id: str, session_data: JSON) -> JSON:
    """A copy as a HistoricRoomKey of the specification. Raises NotOpened."""
    try:
        private_key = Curve25519SecretKey.from_bytes(secrets.private_key)
        sealed = Message.from_base64(*(session_data[name] for name in ("ciphertext", "mac", "ephemeral")))
        told = json.loads(PkDecryption.from_key(private_key).decrypt(sealed))
        named = {"room_id": room_id, "session_id": session_id}
        key = {name: told[name] for name in ("algorithm", "sender_key", "sender_claimed_keys", "session_key")} | named
        if not hmac.compare_digest(_mac(secrets, key), told[_MAC]):
            raise NotOpened("A room key was not kept by this keeper.")
    except (PkDecodeException, KeyError, ValueError, TypeError) as wrong:
        raise wrong if isinstance(wrong, NotOpened) else NotOpened("A room key was damaged.") from wrong
    return key


def historic_key(secret: SessionSecret) -> JSON:
    """What the vault has of a session, as a HistoricRoomKey."""
    return {
        "algorithm": MEGOLM,
        "room_id": secret.room_id,
        "sender_key": secret.sender_key,
        "session_id": secret.session_id,
        "session_key": secret.session_key,
        "sender_claimed_keys": {"ed25519": secret.signing_key},
    }


def _mac(secrets: Secrets, key: JSON) -> str:
    return hashlib.blake2b(canonical_json.encode(key), key=secrets.mac, digest_size=32).hexdigest()


class Brought:
    """Room keys that wait in the keeper's directory until it takes them up: `madoguchi keeper recover` writes them,
    sealed under the key of the keeper's store."""

    def __init__(self, directory: Path, store_key: bytes) -> None:
        self._file = SealedFile(directory / "brought.sealed", store_key)

    def put(self, keys: Iterable[JSON]) -> None:
        """Replace what waits. Raises OSError."""
        self._file.write({"keys": list(keys)})

    def sessions(self) -> list[InboundGroupSession]:
        """Those that wait; what is no session is left out. Raises SealBroken."""
        found: list[Any] = (self._file.read() or {}).get("keys", [])
        return [session for key in found if (session := _imported(key)) is not None]

    def taken(self) -> None:
        """They are in the keeper's store now."""
        self._file.path.unlink(missing_ok=True)


def _imported(key: JSON) -> InboundGroupSession | None:
    try:
        session = InboundGroupSession.import_session(
            key["session_key"], key["sender_claimed_keys"]["ed25519"], key["sender_key"], key["room_id"]
        )
    except (KeyError, ValueError):
        return None
    return session if session.id == key["session_id"] else None
