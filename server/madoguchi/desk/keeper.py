"""What the keeper asks of the desk about the vault. Mounted by desk/api.py, for the keeper alone."""

from typing import Annotated

import msgspec

from madoguchi.errors import Conflict, Invalid, NotFound
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


async def get_vault_key(call: Call) -> dict[str, str | bytes | int]:
    """The public key to seal to, its name, and how many keys are sealed to it. NotFound while there is no vault."""
    vault = await rows.get_vault(call.tx)
    if vault is None:
        raise NotFound("There is no vault yet.")
    return {"public_key": vault.public_key, "key_id": vault.key_id, "stored": await rows.count_keys(call.tx)}


async def put_vault_keys(call: Call, body: VaultKeys) -> dict[str, int]:
    """Keep sealed keys until their case is purged, and none after that. The same again changes nothing."""
    vault = await rows.get_vault(call.tx)
    if vault is None:
        raise NotFound("There is no vault yet.")
    if body.key_id not in (None, vault.key_id):
        raise Conflict("These keys are sealed to another vault key.", key_id=vault.key_id)
    if any(len(key.sealed) > _LARGEST_SEALED for key in body.keys):
        raise Invalid("A sealed key is not that long.")
    purged = await rows.lock_purged(call.tx, {key.room_id for key in body.keys})
    keys = [
        rows.SealedKey(key.room_id, key.session_id, key.sender_key, key.first_index, key.sealed)
        for key in body.keys
        if key.room_id not in purged
    ]
    await rows.put_keys(call.tx, vault.key_id, keys)
    return {"stored": len(body.keys)}
