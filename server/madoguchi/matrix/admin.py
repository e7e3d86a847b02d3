"""Chapter "Server administration": for the desk's administrators."""

from typing import Any

import msgspec

from madoguchi import errors, ids
from madoguchi.core.chat import accounts
from madoguchi.ids import UserID
from madoguchi.storage import audit, devices
from madoguchi.storage.accounts import Account
from madoguchi.web.endpoint import Call


class Lock(msgspec.Struct):
    """Body of `set_admin_lock_user`."""

    locked: bool


class Suspend(msgspec.Struct):
    """Body of `set_admin_suspend_user`."""

    suspended: bool


async def get_who_is(call: Call, user_id: str) -> dict[str, Any]:
    if user_id != call.session.user_id and not await accounts.is_administrator(call.tx, call.session.user_id):
        raise errors.NotAllowed("Only administrators may look others up.")
    await call.ctx.sessions.write_down_for(call.tx, user_id)
    shown: dict[str, Any] = {}
    for device in await devices.list_devices(call.tx, user_id):
        connection: dict[str, Any] = {}
        if device.last_seen_address is not None:
            connection["ip"] = device.last_seen_address
        if device.last_seen_at is not None:
            connection["last_seen"] = device.last_seen_at
        if device.last_seen_agent is not None:
            connection["user_agent"] = device.last_seen_agent
        shown[device.device_id] = {"sessions": [{"connections": [connection] if connection else []}]}
    if shown and user_id != call.session.user_id:
        await _note(call, "account.looked_up", user_id)
    return {"user_id": user_id, "devices": shown}


async def get_admin_lock_user(call: Call, user_id: str) -> dict[str, Any]:
    account = await _subject(call, user_id)
    return {"locked": account.locked_at is not None}


async def set_admin_lock_user(call: Call, user_id: str, body: Lock) -> dict[str, Any]:
    await _subject(call, user_id, change=True)
    await accounts.lock(call.ctx, call.tx, user_id, body.locked)
    await _note(call, "account.locked" if body.locked else "account.unlocked", user_id)
    return {"locked": body.locked}


async def get_admin_suspend_user(call: Call, user_id: str) -> dict[str, Any]:
    account = await _subject(call, user_id)
    return {"suspended": account.suspended_at is not None}


async def set_admin_suspend_user(call: Call, user_id: str, body: Suspend) -> dict[str, Any]:
    await _subject(call, user_id, change=True)
    await accounts.suspend(call.ctx, call.tx, user_id, body.suspended)
    await _note(call, "account.suspended" if body.suspended else "account.resumed", user_id)
    return {"suspended": body.suspended}


async def _note(call: Call, act: str, user_id: UserID) -> None:
    await audit.append(call.tx, call.ctx.clock.now(), call.session.user_id, act, user_id)


async def _subject(call: Call, user_id: UserID, *, change: bool = False) -> Account:
    # Who asks is looked at before whom they ask about: nobody else learns who has an account.
    if not await accounts.is_administrator(call.tx, call.session.user_id):
        raise errors.NotAllowed("Only administrators may do this.")
    if not ids.is_user_id(user_id) or ids.server_name_of(user_id) != call.ctx.settings.server_name:
        raise errors.Invalid("This is not a user of this server.")
    if change and user_id == call.session.user_id:
        raise errors.NotAllowed("You can't do this to yourself.")
    if user_id != call.session.user_id and await accounts.is_administrator(call.tx, user_id):
        raise errors.NotAllowed("This is an administrator too.")
    account = await accounts.get_open(call.tx, user_id)
    if change and account.kind in ("keeper", "appservice"):
        raise errors.NotAllowed("The desk itself would stop without this account.")
    return account
