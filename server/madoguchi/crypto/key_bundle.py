"""Room history for whoever is invited: the key bundle of Matrix v1.19 ("Sharing keys between users", MSC4268).

The inviter gathers the room's Megolm sessions into a JSON bundle, uploads it as an encrypted attachment and sends its
address and key, Olm-encrypted, to those devices of the invitee that the invitee has cross-signed; the invitee's client
takes it in when the invitation is accepted. Matrix sdk clients believe it only from a cross-signed device.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nio.crypto import InboundGroupSession
from nio.crypto.attachments import decrypt_attachment, encrypt_attachment

from madoguchi.crypto import cross_signing
from madoguchi.crypto.cross_signing import JSON
from madoguchi.crypto.device import AgentDevice
from madoguchi.crypto.olm import BUNDLE

MEGOLM = "m.megolm.v1.aes-sha2"


@dataclass(frozen=True)
class Given:
    """What was given to whom: the number of sessions and the ids of the devices reached."""

    sessions: int
    devices: frozenset[str]


def exported(session: InboundGroupSession) -> JSON:
    """A session as a HistoricRoomKey of the specification."""
    return {
        "algorithm": MEGOLM,
        "room_id": session.room_id,
        "sender_key": session.sender_key,
        "session_id": session.id,
        "session_key": session.export_session(session.first_known_index),
        "sender_claimed_keys": {"ed25519": session.ed25519},
    }


def build(sessions: Iterable[InboundGroupSession]) -> JSON:
    """The RoomKeyBundle of a room's sessions. Only for rooms whose history is open to those who come later."""
    return {"room_keys": [exported(session) for session in sessions], "withheld": []}


def seal(bundle: JSON) -> tuple[bytes, JSON]:
    """The bundle encrypted as an attachment: the bytes to upload and the EncryptedFile, still without `url`."""
    ciphertext, file = encrypt_attachment(json.dumps(bundle).encode())
    return ciphertext, file


def unseal(ciphertext: bytes, file: JSON) -> JSON:
    """The bundle again. Raises nio's EncryptionError, TypeError or ValueError."""
    # nio decodes the key as standard base64; the specification writes it url-safe.
    key = file["key"]["k"].replace("-", "+").replace("_", "/")
    bundle: Any = json.loads(decrypt_attachment(ciphertext, key, file["hashes"]["sha256"], file["iv"]))
    if not isinstance(bundle, dict):
        raise TypeError("A key bundle is a JSON object.")
    return bundle


async def give(
    device: AgentDevice,
    room_id: str,
    user_id: str,
    except_devices: frozenset[str] = frozenset(),
    *,
    master: str | None = None,
) -> Given:
    """Give the user everything the device can read in the room. Safe to repeat; the last bundle counts.

    master: the identity that they must have (public key, unpadded base64); by another one they are given nothing.
    Raises Refused or aiohttp.ClientError. With no session, or no cross-signed device, nothing is sent.
    """
    query = await device.query_devices([user_id])
    if master is not None and cross_signing.master_of(query, user_id) != master:
        return Given(0, frozenset())
    trusted = cross_signing.signed_devices(query, user_id).keys() - except_devices
    sessions = device.machine.sessions_of(room_id)
    if not trusted or not sessions:
        return Given(len(sessions), frozenset())
    ciphertext, file = seal(build(sessions))
    uploaded = await device.call(
        "POST",
        "/_matrix/media/v3/upload",
        ciphertext,
        # Whoever is in many rooms says for which one it is: it is purged with that one.
        query={"jp.madoguchi.room_id": room_id},
        content_type="application/octet-stream",
    )
    content = {"room_id": room_id, "file": {**file, "url": uploaded["content_uri"]}}
    known = [peer for peer in device.machine.device_store.active_user_devices(user_id) if peer.id in trusted]
    reached = await device.send_encrypted(known, BUNDLE, content)
    return Given(len(sessions), frozenset(peer.id for peer in reached))


async def accept(device: AgentDevice, event: JSON, inviter: str) -> int:
    """Take in a bundle that `inviter` sent us; gives the number of sessions that were new.

    `event`: the opened to-device event (`source` of the UnknownToDeviceEvent of type m.room_key_bundle). Only from a
    device that the inviter has cross-signed, and only sessions of the room that the event names. Raises Refused.
    """
    if event.get("sender") != inviter:
        return 0
    query = await device.query_devices([inviter])
    signed = cross_signing.signed_devices(query, inviter)
    if event["sender_key"] not in {keys["keys"].get(f"curve25519:{name}") for name, keys in signed.items()}:
        return 0
    room_id, file = event["content"]["room_id"], event["content"]["file"]
    bundle = unseal(await device.download(file["url"]), file)
    return sum(_keep(device, room_id, key) for key in bundle.get("room_keys", []))


def _keep(device: AgentDevice, room_id: str, key: JSON) -> bool:
    if key.get("room_id") != room_id or key.get("algorithm") != MEGOLM:
        return False
    try:
        session = InboundGroupSession.import_session(
            key["session_key"], key["sender_claimed_keys"]["ed25519"], key["sender_key"], room_id, [device.user_id]
        )
    except (KeyError, ValueError):
        return False
    return session.id == key["session_id"] and device.machine.keep_session(session)
