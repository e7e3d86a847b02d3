"""The Olm machine and the store of our devices: matrix-nio's, made safe against a crash at any point.

What nio lacks and is added here: one transaction around a batch of to-device messages, the memory of which messages
of an unconfirmed batch were already opened, sender_device_keys in every Olm payload (MSC4147, which history sharing
asks for), the better of two copies of a Megolm session, forwarded keys from the session's own maker, and
`m.room_key_bundle`.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import structlog
from nio.api import Api
from nio.crypto import InboundGroupSession, OlmDevice, Session
from nio.crypto.olm_machine import Olm
from nio.events import ForwardedRoomKeyEvent, ToDeviceEvent, UnknownToDeviceEvent
from nio.responses import KeysQueryResponse
from nio.store import SqliteStore
from unpaddedbase64 import encode_base64

log = structlog.get_logger()

BUNDLE = "m.room_key_bundle"
# Named so until the stable name is understood by every client in use (MSC4268).
UNSTABLE_BUNDLE = "io.element.msc4268.room_key_bundle"


class AgentStore(SqliteStore):  # type: ignore[misc]
    """nio's SQLite store (keys pickled under the device's store key) and three tables of ours beside it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.database.execute_sql("PRAGMA synchronous = FULL")
        # What is deleted is written over, so that it can't be found in the file.
        self.database.execute_sql("PRAGMA secure_delete = ON")
        for table in (
            "agent_opened (digest BLOB PRIMARY KEY)",
            "agent_token (one INTEGER PRIMARY KEY CHECK (one = 1), token TEXT NOT NULL)",
        ):
            self.database.execute_sql(f"CREATE TABLE IF NOT EXISTS {table}")

    def load_token(self) -> str | None:
        """The sync position up to which everything has been taken in."""
        row = self.database.execute_sql("SELECT token FROM agent_token").fetchone()
        return str(row[0]) if row else None

    def save_token(self, token: str) -> None:
        """Everything up to `token` has been taken in; the server may forget it."""
        with self.database.atomic():
            self.database.execute_sql("INSERT OR REPLACE INTO agent_token (one, token) VALUES (1, ?)", (token,))
            self.database.execute_sql("DELETE FROM agent_opened")

    def was_opened(self, digest: bytes) -> bool:
        """Whether this to-device message was opened before and its batch not yet confirmed."""
        row = self.database.execute_sql("SELECT 1 FROM agent_opened WHERE digest = ?", (digest,)).fetchone()
        return row is not None

    def mark_opened(self, digest: bytes) -> None:
        """Remember it until the next `save_token`: an Olm message can be opened only once."""
        self.database.execute_sql("INSERT OR IGNORE INTO agent_opened (digest) VALUES (?)", (digest,))

    def delete_room(self, room_id: str) -> None:
        """Forget a room: its Megolm sessions are gone for good."""
        with self.database.atomic():
            for statement in (
                "DELETE FROM forwardedchains WHERE session_id IN"
                " (SELECT session_id FROM megolminboundsessions WHERE room_id = ?)",
                "DELETE FROM megolminboundsessions WHERE room_id = ?",
                "DELETE FROM outgoingkeyrequests WHERE room_id = ?",
                "DELETE FROM encryptedrooms WHERE room_id = ?",
            ):
                self.database.execute_sql(statement, (room_id,))


class AgentOlm(Olm):  # type: ignore[misc]
    """nio's Olm machine for one of our devices.

    `sender_device_keys`: our device keys with the device's and the self-signing key's signatures, once they are made.
    `on_session`: called with every Megolm session that is stored, inside the transaction that stores it.
    `broken_lines`: (user id, Curve25519 key) of devices whose Olm messages could not be opened and who are unknown.
    `is_shareable`: whether a room's history is visible to those who come later (sets the session's flag, MSC3061).
    """

    sender_device_keys: dict[str, Any] | None
    on_session: Callable[[InboundGroupSession], None] | None
    is_shareable: Callable[[str], bool]

    def __init__(self, user_id: str, device_id: str, store: AgentStore) -> None:
        self.sender_device_keys = None
        self.on_session = None
        self.is_shareable = lambda _room_id: False
        self.broken_lines: set[tuple[str, str]] = set()
        super().__init__(user_id, device_id, store)

    def open_batch(self, events: list[tuple[dict[str, Any], ToDeviceEvent]]) -> list[ToDeviceEvent]:
        """Open one sync's to-device messages, in order, and store what they bring, all or nothing.

        `events`: each message as it came and as nio parsed it. Gives the opened (or plain) messages, without those
        opened before. A message that nio chokes on is passed over; it cannot take the others with it.
        """
        opened: list[ToDeviceEvent] = []
        if not events:
            return opened
        with self.store.database.atomic():
            for raw, event in events:
                digest = hashlib.blake2b(json.dumps(raw, sort_keys=True).encode(), digest_size=16).digest()
                if self.store.was_opened(digest):
                    continue
                try:
                    with self.store.database.atomic():
                        opened.append(self.handle_to_device_event(event) or event)
                except Exception as error:
                    log.warning("to-device message passed over", error=type(error).__name__)
                self.store.mark_opened(digest)
            # A one-time key that was used must not come back with the next start.
            self.save_account()
        return opened

    def _handle_key_query(self, response: KeysQueryResponse) -> None:
        """Remember the devices that were told, those among them as well that had not been told of for a while.

        A server tells no devices of whom one shares no room with. nio takes them for deleted, and leaves them so when
        they are told of again: whoever came back into a room would then give its keys to nobody.
        """
        super()._handle_key_query(response)
        back: dict[str, dict[str, OlmDevice]] = {}
        for user_id, told in response.device_keys.items():
            for device_id, keys in told.items():
                device = self.device_store[user_id].get(device_id)
                # A device's keys never change: with others it is none that was known.
                if device is not None and device.deleted and device.ed25519 == _signing_key(keys, device_id):
                    device.deleted = False
                    back.setdefault(user_id, {})[device_id] = device
        self.store.save_device_keys(back)
        for user_id, devices in back.items():
            response.changed.setdefault(user_id, {}).update(devices)

    def _mark_device_for_unwedging(self, sender: str, sender_key: str) -> None:
        # nio gives up on a device it does not know; it may only not have been asked for yet.
        if self.device_store.device_from_sender_key(sender, sender_key) is None:
            self.broken_lines.add((sender, sender_key))
        super()._mark_device_for_unwedging(sender, sender_key)

    def mend(self, lines: set[tuple[str, str]]) -> None:
        """Begin new Olm sessions with these devices, which are known by now if they exist."""
        self.broken_lines -= lines
        for sender, sender_key in lines:
            super()._mark_device_for_unwedging(sender, sender_key)

    def device_keys(self) -> dict[str, Any]:
        """Our device keys, signed by the device itself, as POST /keys/upload wants them."""
        keys = {
            "algorithms": self._algorithms,
            "device_id": self.device_id,
            "user_id": self.user_id,
            "keys": {
                f"curve25519:{self.device_id}": self.account.identity_keys["curve25519"],
                f"ed25519:{self.device_id}": self.account.identity_keys["ed25519"],
            },
        }
        return {**keys, "signatures": {self.user_id: {f"ed25519:{self.device_id}": self.sign_json(keys)}}}

    def fallback_keys(self) -> dict[str, Any]:
        """A new fallback key, signed: used when the one-time keys have run out while we were away."""
        account = self.account._account
        account.generate_fallback_key()
        made = {}
        for key_id, key in account.fallback_key.items():
            body = {"key": key.to_base64(), "fallback": True}
            signature = self.sign_json(body)
            body["signatures"] = {self.user_id: {f"ed25519:{self.device_id}": signature}}
            made[f"signed_curve25519:{key_id}"] = body
        self.save_account()
        return made

    def olm_encrypt(self, session: Session, device: OlmDevice, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """`content` as m.room.encrypted for one device; the session's new state is stored before it is returned."""
        return self._olm_encrypt(session, device, kind, content)

    def _olm_encrypt(self, session: Session, device: OlmDevice, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        if kind == "m.room_key" and self.is_shareable(content["room_id"]):
            content = {**content, "org.matrix.msc3061.shared_history": True}
        payload = {
            "sender": self.user_id,
            "sender_device": self.device_id,
            "keys": {"ed25519": self.account.identity_keys["ed25519"]},
            "recipient": device.user_id,
            "recipient_keys": {"ed25519": device.ed25519},
            "type": kind,
            "content": content,
        }
        if self.sender_device_keys is not None:
            payload["sender_device_keys"] = self.sender_device_keys
        message_type, ciphertext = session.encrypt(Api.to_json(payload)).to_parts()
        self.store.save_session(device.curve25519, session)
        body = {"type": message_type, "body": encode_base64(ciphertext)}
        return {
            "algorithm": self._olm_algorithm,
            "sender_key": self.account.identity_keys["curve25519"],
            "ciphertext": {device.curve25519: body},
        }

    def sessions_of(self, room_id: str) -> list[InboundGroupSession]:
        """Every Megolm session known for the room."""
        return [session for by_id in self.inbound_group_store[room_id].values() for session in by_id.values()]

    def find_session(self, room_id: str, session_id: str) -> InboundGroupSession | None:
        """The session, whoever made it."""
        for by_id in self.inbound_group_store[room_id].values():
            if session_id in by_id:
                found: InboundGroupSession = by_id[session_id]
                return found
        return None

    def forget_room(self, room_id: str) -> None:
        """Forget every key of a room, here and in the store."""
        self.store.delete_room(room_id)
        self.inbound_group_store._entries.pop(room_id, None)
        self.outbound_group_sessions.pop(room_id, None)
        for request in [each for each in self.outgoing_key_requests.values() if each.room_id == room_id]:
            del self.outgoing_key_requests[request.session_id]

    def keep_session(self, session: InboundGroupSession) -> bool:
        """Store a session unless one that reaches further back is there already. Says whether it was stored."""
        known = self.find_session(session.room_id, session.id)
        if known is not None:
            # nio would put a later copy over an earlier one and so lose the beginning of the conversation.
            if known.first_known_index <= session.first_known_index or known.sender_key != session.sender_key:
                return False
            del self.inbound_group_store[session.room_id][known.sender_key][known.id]
        self.inbound_group_store.add(session)
        self.save_inbound_group_session(session)
        if self.on_session is not None:
            self.on_session(session)
        return True

    def create_group_session(
        self, sender_key: str, sender_fp_key: str, room_id: str, session_id: str, session_key: str
    ) -> None:
        session = InboundGroupSession(session_key, sender_fp_key, sender_key, room_id)
        if session.id == session_id:
            self.keep_session(session)
        else:
            log.warning("a room key names another session than it holds")

    def _handle_forwarded_room_key_event(self, sender: str, sender_key: str, payload: dict[str, Any]) -> Any:
        event = ForwardedRoomKeyEvent.from_dict(payload, sender, sender_key)
        if not isinstance(event, ForwardedRoomKeyEvent) or not self._should_accept_forward(sender, sender_key, event):
            return None
        content = payload["content"]
        session = self._import_group_session(
            content["session_key"],
            content["sender_claimed_ed25519_key"],
            content["sender_key"],
            event.room_id,
            [*content["forwarding_curve25519_key_chain"], sender_key],
        )
        if session is None or session.id != event.session_id:
            return None
        self.keep_session(session)
        request = self.outgoing_key_requests.pop(event.session_id)
        self.store.remove_outgoing_key_request(request)
        self.outgoing_to_device_messages.append(request.as_cancellation(self.user_id, self.device_id))
        return event

    def _should_accept_forward(self, sender: str, sender_key: str, event: ForwardedRoomKeyEvent) -> bool:
        request = self.outgoing_key_requests.get(event.session_id)
        if request is None or request.room_id != event.room_id or request.algorithm != event.algorithm:
            return False
        # The maker of a session says no more by forwarding it than it said by sharing it at first; anybody else
        # could claim anything.
        if event.sender_key == sender_key and event.source["content"]["sender_key"] == sender_key:
            return True
        return bool(super()._should_accept_forward(sender, sender_key, event))

    def _handle_olm_event(self, sender: str, sender_key: str, payload: dict[str, Any]) -> Any:
        if payload["type"] in (BUNDLE, UNSTABLE_BUNDLE):
            return UnknownToDeviceEvent({**payload, "sender_key": sender_key}, sender, BUNDLE)
        return super()._handle_olm_event(sender, sender_key, payload)


def _signing_key(device_keys: dict[str, Any], device_id: str) -> str | None:
    key: str | None = device_keys.get("keys", {}).get(f"ed25519:{device_id}")
    return key
