"""Every session the keeper knows, sealed into the vault; what is not there yet is found again after any crash."""

import asyncio
import base64
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import ClientError
from nio.crypto import InboundGroupSession

from madoguchi.crypto.device import AgentDevice, Refused, described
from madoguchi.keeper.ledger import Ledger
from madoguchi.vault import sealing
from madoguchi.vault.sealing import SessionSecret

log = structlog.get_logger()

DESK = "/_madoguchi/desk/v1"
_BATCH = 200
_LOOK_AGAIN_S = 10.0


@dataclass(frozen=True)
class VaultKey:
    """The public key to seal to, and its short name."""

    key_id: str
    public_key: bytes


class Sealer:
    """Puts into the vault what is not in it: the device's store lists what should be there, the ledger what is."""

    def __init__(self, device: AgentDevice, ledger: Ledger) -> None:
        self._device = device
        self._ledger = ledger
        self._key: VaultKey | None = None
        self._waiting: dict[tuple[str, str], InboundGroupSession] = {}
        self._news = asyncio.Event()

    def add(self, session: InboundGroupSession) -> None:
        """A session was stored."""
        self._waiting[session.room_id, session.id] = session
        self._news.set()

    def forget_room(self, room_id: str) -> None:
        """The room is purged; what waits for the vault would not be taken."""
        for waiting in [key for key in self._waiting if key[0] == room_id]:
            del self._waiting[waiting]

    async def run(self, stop: asyncio.Event) -> None:
        """Seal what comes, until `stop`. While there is no vault, look for one now and then."""
        while not stop.is_set():
            self._news.clear()
            try:
                await self.seal_waiting()
            except (Refused, ClientError, TimeoutError, OSError) as error:
                log.warning("keys wait for the vault", error=described(error))
                await first_of(stop.wait(), timeout=2)
            await first_of(stop.wait(), self._news.wait(), timeout=_LOOK_AGAIN_S)

    async def seal_waiting(self) -> int:
        """Seal all that waits; gives how many keys the vault took. Raises Refused or aiohttp.ClientError."""
        key = await self._vault_key()
        if key is None:
            return 0
        done = 0
        while self._waiting:
            batch = list(self._waiting.items())[:_BATCH]
            keys = [_sealed(session, key) for _, session in batch]
            try:
                await self._device.call("PUT", f"{DESK}/keeper/vault_keys", {"key_id": key.key_id, "keys": keys})
            except Refused as error:
                if error.status in (404, 409):
                    self._key = None
                raise
            for (room_id, session_id), session in batch:
                # One that waits no more was forgotten meanwhile; one that was replaced by a better one goes again.
                first = session.first_known_index
                if self._waiting.get((room_id, session_id)) is session:
                    self._ledger.mark_sealed(room_id, session_id, key.key_id, first)
                    del self._waiting[room_id, session_id]
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
            self._key = VaultKey(answer["key_id"], base64.b64decode(answer["public_key"]))
            self._find_unsealed(self._key, int(answer.get("stored", 0)))
        return self._key

    def _find_unsealed(self, key: VaultKey, stored: int) -> None:
        sealed = self._ledger.sealed(key.key_id)
        if stored < len(sealed):
            # The database is older than we are, as after a restore: what it has forgotten goes there again.
            sealed = {}
        for session in self._device.machine.inbound_group_store:
            known = sealed.get((session.room_id, session.id))
            if known is None or known > session.first_known_index:
                self._waiting[session.room_id, session.id] = session


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


async def first_of(*waits: Coroutine[Any, Any, object], timeout: float) -> None:
    """Wait until one of these is done, `timeout` seconds at most; the others are left."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
