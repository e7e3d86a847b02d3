"""Every session the keeper knows, sealed into the vault; what is not there yet is found again after any crash."""

import base64
from dataclasses import dataclass
from pathlib import Path

import structlog
from nio.crypto import InboundGroupSession

from madoguchi.crypto.device import AgentDevice, Refused
from madoguchi.keeper.ledger import Ledger
from madoguchi.keeper.waiting import Waiting
from madoguchi.vault import pin, sealing
from madoguchi.vault.sealing import SessionSecret

log = structlog.get_logger()

DESK = "/_madoguchi/desk/v1"
_BATCH = 200


@dataclass(frozen=True)
class VaultKey:
    """The public key to seal to, and its short name."""

    key_id: str
    public_key: bytes


class Seal:
    """Which vault key is believed: the operator's, in `keys` (vault/pin.py). refused: the file that says that the
    server gave another."""

    def __init__(self, keys: Path, refused: Path, ledger: Ledger) -> None:
        self._keys, self._refused, self._ledger = keys, refused, ledger

    def admits(self, key: VaultKey) -> bool:
        """Whether to seal to it; what is refused is written down. Raises OSError."""
        if pin.is_missing(self._keys) and self._ledger.sealed_to() == {key.key_id}:
            # A keeper of a version that took the key from the server: it goes on with the one that it has known.
            pin.write(self._keys, key.public_key)
        if pin.is_it(self._keys, key.public_key):
            self._refused.unlink(missing_ok=True)
            return True
        if not self._refused.exists() or self._refused.read_text(encoding="ascii") != key.key_id:
            log.error("the server gives a vault key that is not the operator's; keys wait", key_id=key.key_id)
            self._refused.write_text(key.key_id, encoding="ascii")
        return False


class Sealer(Waiting):
    """Puts into the vault what is not in it: the device's store lists what should be there, the ledger what is.

    While there is no vault, or another one than the operator's, one is looked for now and then.
    """

    where = "vault"
    look_again_s = 10.0

    def __init__(self, device: AgentDevice, ledger: Ledger, seal: Seal) -> None:
        super().__init__()
        self._device = device
        self._ledger = ledger
        self._seal = seal
        self._key: VaultKey | None = None

    async def put_waiting(self) -> int:
        """Seal all that waits; gives how many keys the vault took. Raises Refused or aiohttp.ClientError."""
        key = await self._vault_key()
        if key is None:
            return 0
        done = 0
        while batch := self.batch(_BATCH):
            keys = [_sealed(session, key) for _, session in batch]
            try:
                await self._device.call("PUT", f"{DESK}/keeper/vault_keys", {"key_id": key.key_id, "keys": keys})
            except Refused as error:
                if error.status in (404, 409):
                    self._key = None
                raise
            for name, session in batch:
                if self.still_waits(name, session):
                    self._ledger.mark_sealed(*name, key.key_id, session.first_known_index)
                    del self.waiting[name]
            done += len(batch)
        return done

    async def _vault_key(self) -> VaultKey | None:
        if self._key is None:
            try:
                answer = await self._device.call("GET", f"{DESK}/keeper/vault_key")
            except Refused as error:
                if error.status == 404:
                    return None
                raise
            public_key = base64.b64decode(answer["public_key"])
            key = VaultKey(sealing.key_id(public_key), public_key)
            if not self._seal.admits(key):
                return None
            self._key = key
            self._find_unsealed(key, int(answer.get("stored", 0)))
        return self._key

    def _find_unsealed(self, key: VaultKey, stored: int) -> None:
        sealed = self._ledger.sealed(key.key_id)
        if stored < len(sealed):
            # The database is older than we are, as after a restore: what it has forgotten goes there again.
            sealed = {}
        for session in self._device.machine.inbound_group_store:
            known = sealed.get((session.room_id, session.id))
            if known is None or known > session.first_known_index:
                self.waiting[session.room_id, session.id] = session


def _sealed(session: InboundGroupSession, key: VaultKey) -> dict[str, str | int]:
    first = session.first_known_index
    secret = SessionSecret(
        session.room_id, session.id, session.sender_key, session.ed25519, session.export_session(first), first
    )
    return {
        "room_id": session.room_id,
        "session_id": session.id,
        "sender_key": session.sender_key,
        "first_index": first,
        "sealed": base64.b64encode(sealing.seal(key.public_key, secret)).decode(),
    }
