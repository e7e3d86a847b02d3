"""A Matrix device of ours: what the keeper, the bridges and their ghosts have in common.

matrix-nio's AsyncClient with everything around it that an unattended device needs: it logs in once and stays the same
device over restarts, is cross-signed, keeps its secrets encrypted at rest, never confirms a sync to the server before
all that came with it is stored, and goes on by itself after any failure of network or server. See README.md.
"""

import asyncio
import json
import logging
import secrets
import string
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode

import structlog
from aiohttp import ClientError
from nio import AsyncClient, AsyncClientConfig, KeysQueryResponse, RoomSendResponse, SyncResponse
from nio.crypto import OlmDevice
from nio.events import ToDeviceEvent
from nio.exceptions import LocalProtocolError
from nio.store import SqliteStore

from madoguchi.crypto import cross_signing
from madoguchi.crypto.cross_signing import JSON, CrossSigningKeys
from madoguchi.crypto.olm import AgentOlm, AgentStore
from madoguchi.crypto.sealed_file import SealedFile

log = structlog.get_logger()
# nio quotes pieces of events (decrypted ones too) in its warnings.
logging.getLogger("nio").setLevel(logging.CRITICAL)

V3 = "/_matrix/client/v3"
_DEVICE_ID_LETTERS = string.ascii_uppercase
_POLL_MS = 30_000


def room_path(room_id: str, rest: str) -> str:
    """The path of something in a room: room_path("!a:x", "/invite")."""
    return f"{V3}/rooms/{quote(room_id, safe='')}{rest}"


class Refused(Exception):
    """The server said no. `status`: HTTP status; `errcode`: the Matrix error code; `body`: the whole answer."""

    def __init__(self, status: int, body: JSON, what: str) -> None:
        self.status = status
        self.errcode = str(body.get("errcode", ""))
        self.body = body
        super().__init__(f"{what}: {status} {self.errcode}")


def described(error: BaseException) -> str:
    """What a log may say of an error of the line: a refusal's path and code, otherwise only its kind."""
    return str(error) if isinstance(error, Refused) else type(error).__name__


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


class AgentDevice(AsyncClient):  # type: ignore[misc]
    """One device. `store_dir` is this device's own directory (made 0700), `store_key` 32 bytes that seal it.

    `follows_rooms=False` leaves out nio's model of rooms and opens no message: for a device that only keeps keys.
    `sync_filter`: a Matrix filter, sent with every sync.
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
        follows_rooms: bool = True,
        sync_filter: JSON | None = None,
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
        self.follows_rooms = follows_rooms
        self._state_file = SealedFile(store_dir / "device.sealed", store_key)
        self._state: JSON = {}
        self._filter = json.dumps(sync_filter) if sync_filter else None
        self._full_state = follows_rooms
        self._login: Login | None = None
        self.after_sync: list[Callable[[JSON], Awaitable[None]]] = []

    # Starting

    async def start(self, login: Login) -> None:
        """Be this device: log in or take the stored login up again, publish keys, cross-sign. Safe to repeat.

        Raises Refused when the server does not accept the login, aiohttp.ClientError when it is not there.
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
        keys = CrossSigningKeys.from_seeds(self.user, self._state["cross_signing"])
        if cross_signing.master_of(query, self.user) != keys.master_public:
            await self._upload_cross_signing(keys.upload_body())
        own = {key: value for key, value in device_keys.items() if key != "unsigned"}
        signed = keys.sign_device(own)
        if signed["signatures"] != own["signatures"]:
            body = {self.user: {self.device_id: signed}}
            answer = await self.call("POST", f"{V3}/keys/signatures/upload", body)
            if answer.get("failures"):
                raise Refused(200, {"errcode": "M_INVALID_SIGNATURE"}, "signing our own device")
        self.machine.sender_device_keys = signed

    async def _upload_cross_signing(self, body: JSON) -> None:
        path = f"{V3}/keys/device_signing/upload"
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

    # Keys

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

    async def send_encrypted(self, devices: Iterable[OlmDevice], kind: str, content: JSON) -> list[OlmDevice]:
        """Send a to-device event, Olm-encrypted, to each device; gives those that could be reached."""
        wanted = list(devices)
        missing: dict[str, list[str]] = {}
        for device in wanted:
            if self.machine.session_store.get(device.curve25519) is None:
                missing.setdefault(device.user_id, []).append(device.id)
        if missing:
            await self.keys_claim(missing)
        messages: dict[str, JSON] = {}
        reached = []
        for device in wanted:
            session = self.machine.session_store.get(device.curve25519)
            if session is None:
                continue
            body = self.machine.olm_encrypt(session, device, kind, content)
            messages.setdefault(device.user_id, {})[device.id] = body
            reached.append(device)
        if messages:
            path = f"{V3}/sendToDevice/m.room.encrypted/{secrets.token_hex(8)}"
            await self.call("PUT", path, {"messages": messages})
        return reached

    async def say(self, room_id: str, content: JSON, txn_id: str, kind: str = "m.room.message") -> str:
        """Send an event into a room, encrypted where the room is; gives the event id.

        The same `txn_id` again (also after a restart) sends nothing twice. Raises Refused, aiohttp.ClientError,
        or nio's LocalProtocolError when the room has not come with a sync yet.
        """
        if self.should_query_keys:
            await self.query_devices(set(self.users_for_key_query))
        response = await self.room_send(room_id, kind, content, tx_id=txn_id, ignore_unverified_devices=True)
        if not isinstance(response, RoomSendResponse):
            raise Refused(response.transport_response.status, {"errcode": response.status_code}, "sending an event")
        return str(response.event_id)

    def _is_shareable(self, room_id: str) -> bool:
        room = self.rooms.get(room_id)
        return room is not None and room.history_visibility in ("shared", "world_readable")

    # Syncing

    async def run(self, stop: asyncio.Event) -> None:
        """Sync until `stop` is set, whatever happens to network and server.

        Functions in `after_sync` get each sync's JSON; nio's event callbacks work as well. When one of them raises,
        the same sync is taken in again after a pause, so they see everything at least once.
        """
        pause = 0.5
        while not stop.is_set():
            try:
                await _unless(stop, self.sync_once())
                pause = 0.5
            except Refused as error:
                if error.errcode == "M_UNKNOWN_TOKEN":
                    await self._log_in_again()
                log.warning("sync refused", status=error.status, errcode=error.errcode)
                pause = await _rest(stop, pause)
            except (ClientError, TimeoutError, OSError) as error:
                log.warning("server not reachable", error=type(error).__name__)
                pause = await _rest(stop, pause)
            except Exception as error:
                log.warning("sync could not be taken in", exc_info=error)
                pause = await _rest(stop, pause)

    async def _log_in_again(self) -> None:
        try:
            await self._log_in()
            await self._publish_identity()
        except (Refused, ClientError, TimeoutError) as error:
            log.warning("login did not succeed", error=described(error))

    async def sync_once(self, timeout_ms: int = _POLL_MS) -> JSON:
        """One sync, taken in whole and only then confirmed; gives the server's JSON. Raises Refused, ClientError."""
        since = self.kept.load_token()
        query: dict[str, str] = {"timeout": str(timeout_ms)}
        if since:
            query["since"] = since
        if self._full_state:
            query |= {"full_state": "true", "timeout": "0"}
        if self._filter:
            query["filter"] = self._filter
        body = await self.call("GET", f"{V3}/sync", query=query, timeout=timeout_ms / 1000 + 30)
        await self._take_in(body)
        for told in self.after_sync:
            await told(body)
        self.kept.save_token(body["next_batch"])
        self._full_state = False
        await self._look_after_keys(body)
        return body

    async def _take_in(self, body: JSON) -> None:
        raw = body.get("to_device", {}).get("events", [])
        parsed = [(event, ToDeviceEvent.parse_event(event)) for event in raw]
        try:
            opened = self.machine.open_batch([(event, known) for event, known in parsed if known is not None])
        except Exception:
            # What memory holds is ahead of what is stored; go back to what is stored.
            self._load_machine()
            raise
        for event in opened:
            await self._on_to_device(event)
        if not self.follows_rooms:
            return
        response = SyncResponse.from_dict({**body, "to_device": {"events": []}})
        if not isinstance(response, SyncResponse):
            raise TypeError("The server's sync is not of the form that nio reads.")
        # nio passes over a sync whose position it has seen, also when taking it in failed half-way.
        self.next_batch = ""
        await self.receive_response(response)
        for room_id in body.get("rooms", {}).get("leave", {}):
            self.rooms.pop(room_id, None)

    async def _look_after_keys(self, body: JSON) -> None:
        counts = body.get("device_one_time_keys_count")
        if counts is not None:
            self.machine.uploaded_key_count = counts.get("signed_curve25519", 0)
        if self.machine.should_upload_keys:
            await self.upload_keys()
        unused = body.get("device_unused_fallback_key_types")
        if unused is not None and "signed_curve25519" not in unused:
            await self._upload_fallback_key()
        if self.follows_rooms and self.should_query_keys:
            await self.query_devices(set(self.users_for_key_query))
        if self.machine.wedged_devices or self.machine.key_request_devices_no_session:
            await self.keys_claim(self.machine.get_users_for_key_claiming())
        if self.machine.outgoing_to_device_messages:
            await self.send_to_device_messages()

    # Speaking HTTP

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, str] | None = None,
        token: str | None = None,
        timeout: float | None = None,
        content_type: str = "application/json",
    ) -> JSON:
        """One request as this device; gives the JSON answer. `body`: JSON value, or bytes with a `content_type`.

        `token` replaces the device's own ("" = none); `timeout` in seconds. Raises Refused, aiohttp.ClientError or
        TimeoutError. Waits and tries again when the server asks for patience (429).
        """
        bearer = self.access_token if token is None else token
        headers = {"Content-Type": content_type} if body is not None else {}
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body)
        url = path + (f"?{urlencode(query)}" if query else "")
        while True:
            response = await self.send(method, url, data, headers, None, timeout)
            try:
                answer = await response.json(content_type=None)
            except ValueError:
                answer = {}
            if not isinstance(answer, dict):
                answer = {}
            if response.status < 400:
                return answer
            if response.status != 429:
                raise Refused(response.status, answer, f"{method} {path.split('/rooms/')[0]}")
            await asyncio.sleep(min(int(answer.get("retry_after_ms", 1000)), 30_000) / 1000)

    async def download(self, mxc: str) -> bytes:
        """The bytes behind an mxc:// address. Raises Refused."""
        server, _, media_id = mxc.removeprefix("mxc://").partition("/")
        path = f"/_matrix/client/v1/media/download/{quote(server)}/{quote(media_id)}"
        response = await self.send("GET", path, None, {"Authorization": f"Bearer {self.access_token}"})
        content = await response.read()
        if response.status != 200:
            raise Refused(response.status, {}, "download")
        return cast(bytes, content)

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


def _new_device_id() -> str:
    return "".join(secrets.choice(_DEVICE_ID_LETTERS) for _ in range(10))


async def _rest(stop: asyncio.Event, pause: float) -> float:
    try:
        await asyncio.wait_for(stop.wait(), pause * (0.5 + secrets.randbelow(1000) / 1000))
    except TimeoutError:
        pass
    return min(pause * 2, 30.0)


async def _unless(stop: asyncio.Event, work: Awaitable[Any]) -> None:
    """Do the work, but leave it when `stop` is set."""
    doing = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
    finally:
        for task in (doing, stopping):
            if not task.done():
                task.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)
