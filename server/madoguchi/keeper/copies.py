"""What recovery.py opens, kept up to date on the server, where the operator has made a recovery key."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog

from madoguchi.core.desk.case_room import KEEPER_RECOVERY
from madoguchi.crypto.device import V3, AgentDevice, Refused
from madoguchi.crypto.sealed_file import SealedFile
from madoguchi.keeper import recovery
from madoguchi.keeper.ledger import Ledger
from madoguchi.keeper.recovery import Secrets
from madoguchi.keeper.waiting import Waiting

log = structlog.get_logger()

STATE_FILE = "recovery.sealed"
_BATCH = 200


class Copies(Waiting):
    """Seals the identity once for each recovery key, and copies every room key into the backup.

    key_file: the recovery key's public half, read anew each time. state: of STATE_FILE, {"for": the recovery key,
    "identity": the master key that was sealed, "secrets": …, "version": of the backup, "etag": of its last change}.
    """

    where = "backup"
    look_again_s = 2.0

    def __init__(self, device: AgentDevice, ledger: Ledger, key_file: Path, state: SealedFile) -> None:
        super().__init__()
        self._device, self._ledger = device, ledger
        self._key_file, self._file = key_file, state
        self._state: dict[str, Any] | None = None

    async def put_waiting(self) -> int:
        """Copy all that waits; gives how many keys that were. Raises Refused or aiohttp.ClientError."""
        key = recovery.pinned_key(self._key_file)
        if key is None:
            # There may be one later; then all are looked for in the store.
            self.waiting.clear()
            self._state = None
            return 0
        if self._state is None or self._state["for"] != key:
            self._state = await self._begin(key)
        state, done = self._state, 0
        secrets = Secrets.read(state["secrets"])
        while batch := self.batch(_BATCH):
            rooms: dict[str, Any] = {}
            for (room_id, session_id), session in batch:
                room = rooms.setdefault(room_id, {"sessions": {}})
                room["sessions"][session_id] = recovery.backed_up(secrets, session)
            query = {"version": state["version"]}
            try:
                answer = await self._device.call("PUT", f"{V3}/room_keys/keys", {"rooms": rooms}, query=query)
            except Exception:
                # The backup may not be the one that we knew, nor the database: looked at anew.
                self._state = None
                raise
            for name, copied in batch:
                if self.still_waits(name, copied):
                    self._ledger.mark_copied(*name, copied.first_known_index)
                    del self.waiting[name]
            state["etag"] = int(answer["etag"])
            self._file.write(state)
            done += len(batch)
        return done

    async def _begin(self, key: str) -> dict[str, Any]:
        """The backup that belongs to the recovery key, begun where there is none."""
        identity = self._device.identity
        state = self._file.read() or {}
        if (state.get("for"), state.get("identity")) != (key, identity.master_public):
            state = {"for": key, "identity": identity.master_public, "secrets": Secrets.make().told}
            # Before anything is sealed: a crash after it then goes on with the same secrets.
            self._file.write(state)
        secrets = Secrets.read(state["secrets"])
        known = await self._current()
        if known is None or known["auth_data"].get("public_key") != secrets.public_key:
            path = f"{V3}/user/{quote(self._device.user)}/account_data/{KEEPER_RECOVERY}"
            await self._device.call("PUT", path, recovery.seal_identity(key, identity, secrets))
            body = {"algorithm": recovery.ALGORITHM, "auth_data": {"public_key": secrets.public_key, "signatures": {}}}
            made = await self._device.call("POST", f"{V3}/room_keys/version", body)
            if known is not None:
                await self._device.call("DELETE", f"{V3}/room_keys/version/{known['version']}")
            known = {"version": made["version"], "etag": "0"}
            log.info("a new backup of the room keys", version=made["version"])
        if state.get("version") != known["version"] or int(known["etag"]) < state.get("etag", 0):
            # Another one, or a database older than we are, as after a restore.
            self._ledger.forget_copied()
        state |= {"version": known["version"], "etag": int(known["etag"])}
        self._file.write(state)
        copied = self._ledger.copied()
        for session in self._device.machine.inbound_group_store:
            name = session.room_id, session.id
            if name not in copied or copied[name] > session.first_known_index:
                self.waiting[name] = session
        return state

    async def _current(self) -> dict[str, Any] | None:
        try:
            return await self._device.call("GET", f"{V3}/room_keys/version")
        except Refused as error:
            if error.status == 404:
                return None
            raise
