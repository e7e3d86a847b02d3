"""Key management and cross-signing (client-server API, "End-to-end encryption")."""

from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import acquaintance, cross_signing, device_lists, keys, tokens
from madoguchi.core.chat.cross_signing import Usage
from madoguchi.core.chat.interactive_auth import Auth, require
from madoguchi.ids import server_name_of
from madoguchi.storage import stream
from madoguchi.web.endpoint import Call

Json = dict[str, Any]


class UploadKeys(msgspec.Struct):
    device_keys: Json | None = None
    one_time_keys: Json | None = None
    fallback_keys: Json | None = None
    unstable_fallback_keys: Json | None = msgspec.field(default=None, name="org.matrix.msc2732.fallback_keys")


async def upload_keys(call: Call, body: UploadKeys) -> Json:
    counts = await keys.upload(
        call.tx,
        call.session.user_id,
        device_of(call),
        body.device_keys,
        body.one_time_keys or {},
        body.fallback_keys or body.unstable_fallback_keys or {},
    )
    return {"one_time_key_counts": counts}


def device_of(call: Call) -> str:
    """The device that calls. Raises Invalid for an application service that does not say for which one."""
    device_id = call.session.device_id
    if not device_id:
        raise errors.Invalid("This needs a device: name one with ?device_id=.")
    return device_id


class QueryKeys(msgspec.Struct):
    device_keys: dict[str, list[str]]
    timeout: int | None = None


async def query_keys(call: Call, body: QueryKeys) -> Json:
    wanted = await acquaintance.known(call.tx, call.session, body.device_keys)
    answer = await keys.query(call.tx, call.ctx.settings.server_name, call.session.user_id, wanted)
    # Nobody can be told from somebody that one may not find.
    hidden = (user_id for user_id in body.device_keys if user_id not in wanted)
    here = call.ctx.settings.server_name
    answer["device_keys"] |= {user_id: {} for user_id in hidden if server_name_of(user_id) == here}
    return answer


class ClaimKeys(msgspec.Struct):
    one_time_keys: dict[str, dict[str, str]]
    timeout: int | None = None


async def claim_keys(call: Call, body: ClaimKeys) -> Json:
    wanted = await acquaintance.known(call.tx, call.session, body.one_time_keys)
    return await keys.claim(call.tx, call.ctx.settings.server_name, wanted)


class Between(msgspec.Struct):
    from_: str = msgspec.field(name="from")
    to: str = ""


async def get_keys_changes(call: Call, query: Between) -> Json:
    """`to` is a hint that the specification lets a server pass over: what is newer is told too."""
    after = tokens.position(query.from_)
    changed, left = await device_lists.changes(call.tx, call.session.user_id, after, await stream.position(call.tx))
    return {"changed": changed, "left": left}


class UploadCrossSigningKeys(msgspec.Struct):
    master_key: Json | None = None
    self_signing_key: Json | None = None
    user_signing_key: Json | None = None
    auth: Auth | None = None


async def upload_cross_signing_keys(call: Call, body: UploadCrossSigningKeys) -> Json:
    """Asks for authentication only where keys would be replaced. A row with tx=False: what authentication has reached
    must outlast its refusal."""
    given: dict[Usage, Json | None] = {
        "master": body.master_key,
        "self_signing": body.self_signing_key,
        "user_signing": body.user_signing_key,
    }
    offered = {usage: key for usage, key in given.items() if key is not None}
    user_id = call.session.user_id
    async with call.ctx.db.transaction() as tx:
        asks = await cross_signing.needs_interactive_auth(tx, user_id, offered)
        if not asks:
            await cross_signing.upload(tx, user_id, offered)
            return {}
    await require(call, body.auth, "replace cross-signing keys")
    async with call.ctx.db.transaction() as tx:
        await cross_signing.upload(tx, user_id, offered)
    return {}


async def upload_cross_signing_signatures(call: Call, body: dict[str, dict[str, Any]]) -> Json:
    return {"failures": await cross_signing.upload_signatures(call.tx, call.session.user_id, body)}
