"""Being one device: logged in once, the same after every restart, its keys published and cross-signed."""

import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nio import AsyncClientConfig, KeysQueryResponse
from nio.exceptions import LocalProtocolError
from nio.store import SqliteStore

from madoguchi.crypto import cross_signing
from madoguchi.crypto.cross_signing import JSON, CrossSigningKeys
from madoguchi.crypto.http import V3, HttpClient, Refused
from madoguchi.crypto.olm import AgentOlm, AgentStore
from madoguchi.crypto.sealed_file import SealedFile

_DEVICE_ID_LETTERS = string.ascii_uppercase


@dataclass(frozen=True)
class Login:
    """How a device proves who it is: `Login.by_password(…)` or `Login.by_appservice(as_token)`."""

    password: str | None = None
    as_token: str | None = None

    @classmethod
    def by_password(cls, password: str) -> "Login":
        """With the account's password."""
        return cls(password=password)

    @classmethod
    def by_appservice(cls, as_token: str) -> "Login":
        """As a user in the namespace of an application service."""
        return cls(as_token=as_token)


class IdentityLost(Exception):
    """The account has an identity whose keys are not here, and this device must not put another in its place."""


def kept_identity(store_dir: Path, store_key: bytes, user_id: str) -> CrossSigningKeys | None:
    """The identity of the device whose directory this is; None where it has none. Raises SealBroken."""
    seeds = (_state_file(store_dir, store_key).read() or {}).get("cross_signing")
    return None if seeds is None else CrossSigningKeys.from_seeds(user_id, seeds)


def give_identity(store_dir: Path, store_key: bytes, keys: CrossSigningKeys) -> None:
    """Let a device that has no identity begin, or go on, with this one. Raises SealBroken, OSError."""
    file = _state_file(store_dir, store_key)
    state = file.read() or {"user_id": keys.user_id, "device_id": _new_device_id()}
    file.write(state | {"cross_signing": keys.seeds()})


class OwnDevice(HttpClient):
    """A device and its secrets, before it speaks or listens; see AgentDevice.

    begins_anew: whether it may take a new identity where its account has one already that it does not know.
    """

    store: AgentStore | None
    olm: AgentOlm | None

    def __init__(
        self,
        base_url: str,
        user_id: str,
        store_dir: Path,
        store_key: bytes,
        *,
        name: str,
        begins_anew: bool = True,
    ) -> None:
        store_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = AsyncClientConfig(
            store=SqliteStore,
            store_name="keys.db",
            pickle_key=store_key.hex(),
            store_sync_tokens=False,
            request_timeout=60,
            max_timeouts=2,
        )
        super().__init__(base_url.rstrip("/"), user_id, "", str(store_dir), config)
        self.user = user_id
        self.name = name
        self.begins_anew = begins_anew
        self._state_file = _state_file(store_dir, store_key)
        self._state: JSON = {}
        self._login: Login | None = None

    async def start(self, login: Login) -> None:
        """Be this device: log in or take the stored login up again, publish keys, cross-sign. Safe to repeat.

        Raises Refused when the server does not accept the login, aiohttp.ClientError when it is not there, and
        IdentityLost.
        """
        self._login = login
        state = self._state_file.read() or {}
        if state.get("user_id") != self.user:
            state = {"user_id": self.user, "device_id": _new_device_id()}
            # Before the login: a crash after it then finds its way back to the same device.
            self._state_file.write(state)
        self._state = state
        if not state.get("access_token"):
            await self._log_in()
        self.restore_login(self.user, self._state["device_id"], self._state["access_token"])
        try:
            await self._publish_identity()
        except Refused as error:
            if error.errcode != "M_UNKNOWN_TOKEN":
                raise
            await self._log_in()
            await self._publish_identity()

    def load_store(self) -> None:
        """Open the encrypted store with our own store and Olm machine (called by nio's restore_login)."""
        if self.store:
            return
        config = self.config
        self.store = AgentStore(self.user_id, self.device_id, self.store_path, config.pickle_key, config.store_name)
        self._load_machine()

    def _load_machine(self) -> None:
        before, self.olm = self.olm, AgentOlm(self.user_id, self.device_id, self.kept)
        if before is not None:
            self.olm.on_session, self.olm.sender_device_keys = before.on_session, before.sender_device_keys
        self.olm.is_shareable = self._is_shareable
        self.encrypted_rooms = self.kept.load_encrypted_rooms()

    @property
    def machine(self) -> AgentOlm:
        """The Olm machine; there is one once `start` has logged in."""
        if self.olm is None:
            raise LocalProtocolError("The device has not been started.")
        return self.olm

    @property
    def identity(self) -> CrossSigningKeys:
        """The keys by which the device is cross-signed; there are some once `start` is done."""
        return CrossSigningKeys.from_seeds(self.user, self._state["cross_signing"])

    @property
    def kept(self) -> AgentStore:
        """The store; there is one once `start` has logged in."""
        if self.store is None:
            raise LocalProtocolError("The device has not been started.")
        return self.store

    async def _log_in(self) -> None:
        login = self._login
        assert login is not None
        body: JSON = {
            "identifier": {"type": "m.id.user", "user": self.user},
            "device_id": self._state["device_id"],
            "initial_device_display_name": self.name,
        }
        if login.as_token is not None:
            body["type"] = "m.login.application_service"
        else:
            body |= {"type": "m.login.password", "password": login.password}
        answer = await self.call("POST", f"{V3}/login", body, token=login.as_token or "")
        self._state |= {"access_token": answer["access_token"], "device_id": answer["device_id"]}
        self._state_file.write(self._state)
        self.access_token = answer["access_token"]

    async def _publish_identity(self) -> None:
        query = await self.call("POST", f"{V3}/keys/query", {"device_keys": {self.user: []}})
        knows_itself = self.begins_anew or "cross_signing" in self._state
        if not knows_itself and cross_signing.master_of(query, self.user) is not None:
            raise IdentityLost(self.user)
        published = (query.get("device_keys") or {}).get(self.user, {}).get(self.device_id)
        own = self.machine.device_keys()
        if published is not None and published.get("keys") != own["keys"]:
            # The store was lost and the device id with it: a device's keys never change.
            await self._become_another_device()
            return await self._publish_identity()
        if published is None or not self.machine.account.shared:
            self.machine.account.shared = False
            await self.upload_keys()
        await self._upload_fallback_key()
        await self._cross_sign(query, published or own)
        return None

    async def _become_another_device(self) -> None:
        self.kept.database.close()
        (Path(self.store_path) / "keys.db").unlink(missing_ok=True)
        self.store = self.olm = None
        self._state = {**self._state, "device_id": _new_device_id()}
        self._state_file.write(self._state)
        await self._log_in()
        self.restore_login(self.user, self._state["device_id"], self._state["access_token"])

    async def _cross_sign(self, query: JSON, device_keys: JSON) -> None:
        if "cross_signing" not in self._state:
            self._state["cross_signing"] = CrossSigningKeys.make(self.user).seeds()
            self._state_file.write(self._state)
        keys = self.identity
        if cross_signing.master_of(query, self.user) != keys.master_public:
            await self._call_with_proof(f"{V3}/keys/device_signing/upload", keys.upload_body())
        own = {key: value for key, value in device_keys.items() if key != "unsigned"}
        signed = keys.sign_device(own)
        if signed["signatures"] != own["signatures"]:
            body = {self.user: {self.device_id: signed}}
            answer = await self.call("POST", f"{V3}/keys/signatures/upload", body)
            if answer.get("failures"):
                raise Refused(200, {"errcode": "M_INVALID_SIGNATURE"}, "signing our own device")
        self.machine.sender_device_keys = signed

    async def end_other_devices(self) -> None:
        """Log out every other device of the account: for an account that only this device may use."""
        devices = (await self.call("GET", f"{V3}/devices"))["devices"]
        others = [device["device_id"] for device in devices if device["device_id"] != self.device_id]
        if others:
            await self._call_with_proof(f"{V3}/delete_devices", {"devices": others})

    async def _call_with_proof(self, path: str, body: JSON) -> None:
        """POST something for which the server may ask the password again (user-interactive authentication)."""
        try:
            await self.call("POST", path, body)
        except Refused as error:
            password = self._login.password if self._login else None
            if error.status != 401 or "session" not in error.body or password is None:
                raise
            proof = {
                "type": "m.login.password",
                "identifier": {"type": "m.id.user", "user": self.user},
                "password": password,
                "session": error.body["session"],
            }
            await self.call("POST", path, {**body, "auth": proof})

    async def upload_keys(self) -> None:
        """Publish device keys (the first time) and as many one-time keys as are missing."""
        if not self.machine.should_upload_keys:
            return
        first = not self.machine.account.shared
        body = self.machine.share_keys()
        if first:
            body["device_keys"] = self.machine.device_keys()
        # Before they are published: a peer may use a one-time key the moment the server has it.
        self.machine.save_account()
        answer = await self.call("POST", f"{V3}/keys/upload", body)
        self.machine.account.shared = True
        self.machine.uploaded_key_count = answer.get("one_time_key_counts", {}).get("signed_curve25519", 0)
        self.machine.mark_keys_as_published()
        self.machine.save_account()

    async def _upload_fallback_key(self) -> None:
        await self.call("POST", f"{V3}/keys/upload", {"fallback_keys": self.machine.fallback_keys()})
        self.machine.mark_keys_as_published()
        self.machine.save_account()

    async def query_devices(self, user_ids: Iterable[str]) -> JSON:
        """Ask for the users' devices and cross-signing keys, remember the devices; gives the server's answer."""
        answer = await self.call("POST", f"{V3}/keys/query", {"device_keys": {user_id: [] for user_id in user_ids}})
        parsed = KeysQueryResponse.from_dict(answer)
        if isinstance(parsed, KeysQueryResponse):
            await self.receive_response(parsed)
        return answer

    async def end(self) -> None:
        """Log the device out for good and forget its keys."""
        try:
            await self.call("POST", f"{V3}/logout", {})
        except Refused as error:
            if error.errcode != "M_UNKNOWN_TOKEN":
                raise
        await self.close()
        for path in Path(self.store_path).iterdir():
            path.unlink()
        Path(self.store_path).rmdir()

    async def close(self) -> None:
        """Close connections and store; the device lives on for the next `start`."""
        await super().close()
        if self.store is not None:
            self.store.database.close()
            self.store = self.olm = None

    def _is_shareable(self, room_id: str) -> bool:
        room = self.rooms.get(room_id)
        return room is not None and room.history_visibility in ("shared", "world_readable")


def _state_file(store_dir: Path, store_key: bytes) -> SealedFile:
    return SealedFile(store_dir / "device.sealed", store_key)


def _new_device_id() -> str:
    return "".join(secrets.choice(_DEVICE_ID_LETTERS) for _ in range(10))
