"""What the keeper asks of the desk about the vault, and tells it. Mounted by desk/api.py, for the keeper alone."""

from typing import Annotated

import msgspec

from madoguchi.errors import Conflict, Invalid, NotFound
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import accounts, audit, cases, side_rooms
from madoguchi.storage import vault as rows
from madoguchi.web.endpoint import Call

_LARGEST_SEALED = 4096


class VaultKey(msgspec.Struct):
    """A sealed session key; `sealed` is base64; first_index: the first message index it opens."""

    room_id: str
    session_id: str
    sender_key: str
    sealed: bytes
    first_index: Annotated[int, msgspec.Meta(ge=0)] = 0


class VaultKeys(msgspec.Struct):
    """At most 1,000 keys sealed to the vault key `key_id` (without it: to the present one)."""

    keys: Annotated[list[VaultKey], msgspec.Meta(max_length=1000)]
    key_id: str | None = None


class Vault(msgspec.Struct, frozen=True):
    """public_key: X25519, 32 bytes, base64; key_id: its short name; stored: how many keys are sealed to it."""

    public_key: bytes
    key_id: str
    stored: int


class Stored(msgspec.Struct, frozen=True):
    """How many keys were taken in."""

    stored: int


class HistoryGiven(msgspec.Struct, forbid_unknown_fields=True):
    """user_id has been given the room's keys: how many sessions, on how many devices."""

    room_id: Annotated[str, msgspec.Meta(max_length=255)]
    user_id: Annotated[str, msgspec.Meta(max_length=255)]
    sessions: Annotated[int, msgspec.Meta(ge=0)]
    devices: Annotated[int, msgspec.Meta(ge=0)]


class Logged(msgspec.Struct, frozen=True):
    """logged: true."""

    logged: bool = True


async def post_history_given(call: Call, body: HistoryGiven) -> Logged:
    """Tells that somebody has been given a case's history; it stands in the audit log. Raises NotFound for a room that
    is no case's, and somebody who has no account."""
    room_id = RoomID(body.room_id)
    case = await cases.get_case_of_room(call.tx, room_id)
    side = await side_rooms.get_by_room(call.tx, room_id) if case is None else None
    case_id = case.id if case is not None else side.case_id if side is not None else None
    account = await accounts.get_account(call.tx, UserID(body.user_id))
    if case_id is None or account is None:
        raise NotFound("There is no such case, or no such account.")
    which = "conversation" if case is not None else "side room"
    figures = {"room": which, "sessions": body.sessions, "devices": body.devices}
    at = call.ctx.clock.now()
    await audit.append(call.tx, at, call.session.user_id, "history.given", case_id, to=account.user_id, **figures)
    return Logged()


async def get_vault_key(call: Call) -> Vault:
    """The public key to seal to, its name, and how many keys are sealed to it. NotFound while there is no vault."""
    vault = await rows.get_vault(call.tx)
    if vault is None:
        raise NotFound("There is no vault yet.")
    return Vault(vault.public_key, vault.key_id, await rows.count_keys(call.tx))


async def put_vault_keys(call: Call, body: VaultKeys) -> Stored:
    """Keep sealed keys until their case is purged, and none after that. The same again changes nothing."""
    vault = await rows.keep_vault(call.tx)
    if vault is None:
        raise NotFound("There is no vault yet.")
    if body.key_id not in (None, vault.key_id):
        raise Conflict("These keys are sealed to another vault key.", key_id=vault.key_id)
    if any(len(key.sealed) > _LARGEST_SEALED for key in body.keys):
        raise Invalid("A sealed key is not that long.")
    purged = await cases.lock_purged(call.tx, {key.room_id for key in body.keys})
    keys = [
        rows.SealedKey(key.room_id, key.session_id, key.sender_key, key.first_index, key.sealed)
        for key in body.keys
        if key.room_id not in purged
    ]
    await rows.put_keys(call.tx, vault.key_id, keys)
    return Stored(len(body.keys))
