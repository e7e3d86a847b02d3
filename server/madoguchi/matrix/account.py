"""One's own account: whoami, password, closing it, and (none) third-party identifiers."""

from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import accounts, interactive_auth, membership, sessions
from madoguchi.core.chat.interactive_auth import Auth
from madoguchi.storage import accounts as store
from madoguchi.storage import rooms
from madoguchi.web.endpoint import Call


class ChangePassword(msgspec.Struct):
    """Body of `change_password`. Without `auth` and new password it asks for the stages."""

    new_password: str | None = None
    logout_devices: bool = True
    auth: Auth | None = None


class Deactivate(msgspec.Struct):
    """Body of `deactivate_account`."""

    auth: Auth | None = None
    erase: bool = False
    id_server: str | None = None


async def get_token_owner(call: Call) -> dict[str, Any]:
    session = call.session
    answer: dict[str, Any] = {"user_id": session.user_id, "is_guest": session.is_guest}
    if session.device_id:
        answer["device_id"] = session.device_id
    return answer


async def change_password(call: Call, body: ChangePassword) -> dict[str, Any]:
    await interactive_auth.require(call, body.auth, "change_password")
    if body.new_password is None:
        raise errors.MissingParam("A new password is needed.")
    session = call.session
    account_kind: accounts.Kind = session.kind  # type: ignore[assignment]
    # Worked out before a connection is taken.
    password_hash = await accounts.hash_password(body.new_password, account_kind)
    async with call.ctx.db.transaction() as tx:
        await accounts.get_open(tx, session.user_id)
        await store.update_password(tx, session.user_id, password_hash)
        if body.logout_devices:
            await sessions.end_all(call.ctx, tx, session.user_id, keep=session.device_id)
    return {}


async def deactivate_account(call: Call, body: Deactivate) -> dict[str, Any]:
    session = call.session
    if session.kind in ("staff", "keeper", "appservice"):
        raise errors.NotAllowed("The accounts of the desk itself are ended by its administrators.")
    await interactive_auth.require(call, body.auth, "deactivate")
    async with call.ctx.db.transaction() as tx:
        await accounts.get_open(tx, session.user_id)
        for room in await rooms.list_memberships(tx, session.user_id):
            if room.membership in ("join", "invite", "knock"):
                await membership.leave(call.ctx, tx, room.room_id, session.user_id)
        await accounts.end(call.ctx, tx, session.user_id)
    # No identity server was ever told about anybody.
    return {"id_server_unbind_result": "no-support"}


async def get_account_3_pids(call: Call) -> dict[str, Any]:
    return {"threepids": []}
