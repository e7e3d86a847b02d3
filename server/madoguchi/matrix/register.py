"""Making an account: chapter "Legacy API", sections "Account registration" and "Registration tokens"."""

import hmac
from typing import Any

import msgspec

from madoguchi import errors, ids
from madoguchi.core.chat import accounts, appservices, interactive_auth, sessions
from madoguchi.core.chat.interactive_auth import DUMMY, REGISTRATION_TOKEN, Auth
from madoguchi.matrix.login import APPLICATION_SERVICE, Logged, logged
from madoguchi.web.endpoint import Call
from madoguchi.web.reading import token_of


class Register(msgspec.Struct):
    """Body of `register`. `type` and `user` are an application service's (and the older) way to say it."""

    auth: Auth | None = None
    type: str | None = None
    username: str | None = None
    user: str | None = None
    password: str | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    inhibit_login: bool | None = None
    refresh_token: bool | None = None


class RegisterQuery(msgspec.Struct):
    """Query of `register`."""

    kind: str = "user"


class AvailableQuery(msgspec.Struct):
    """Query of `check_username_availability`."""

    username: str


class ValidityQuery(msgspec.Struct):
    """Query of `registration_token_validity`."""

    token: str


async def register(call: Call, body: Register, query: RegisterQuery) -> Logged:
    if query.kind == "guest":
        raise errors.GuestNotAllowed("There are no guest accounts here.")
    if query.kind != "user":
        raise errors.Invalid("The kind of an account is user or guest.")
    if body.type == APPLICATION_SERVICE or (body.auth is not None and body.auth.type == APPLICATION_SERVICE):
        return await _by_appservice(call, body)
    return await _by_person(call, body)


async def _by_person(call: Call, body: Register) -> Logged:
    flows = _flows(call)
    # One address may look as often as it likes who is there only where registration is open anyway; still limited.
    call.ctx.limits.check("register", call)
    if body.device_id is not None:
        sessions.check_device_id(body.device_id)
    sessions.check_display_name(body.initial_device_display_name)
    if body.username is not None:
        async with call.ctx.db.transaction() as tx:
            await accounts.check_available(call.ctx, tx, body.username)
    await interactive_auth.require(call, body.auth, "register", flows=flows)
    return await _make(call, body, body.username, None)


async def _by_appservice(call: Call, body: Register) -> Logged:
    token = token_of(call.request)
    service = appservices.by_token(call.ctx, token) if token is not None else None
    if service is None:
        # Not a 401: on this path that is how the stages of interactive authentication are asked for.
        raise errors.NotAllowed("Only an application service registers in this way, with its as_token.")
    name = body.username if body.username is not None else body.user
    if name is None:
        raise errors.MissingParam("A username is needed.")
    if name.startswith("@"):
        name = ids.localpart_of(name)
    return await _make(call, body, name, service.id)


async def _make(call: Call, body: Register, localpart: str | None, appservice: str | None) -> Logged:
    kind: accounts.Kind = "ghost" if appservice is not None else "user"
    # Worked out before a connection is taken.
    password_hash = await accounts.hash_password(body.password, kind) if body.password is not None else None
    async with call.ctx.db.transaction() as tx:
        user_id = await accounts.create(
            call.ctx, tx, localpart, password=None, password_hash=password_hash, kind=kind, appservice=appservice
        )
        if body.inhibit_login:
            return Logged(user_id=user_id, home_server=call.ctx.settings.server_name)
        name, refresh = body.initial_device_display_name, bool(body.refresh_token)
        return logged(call, await sessions.start(call.ctx, tx, user_id, body.device_id, name, refresh=refresh))


def _flows(call: Call) -> interactive_auth.Flows:
    match call.ctx.settings.registration:
        case "open":
            return [[DUMMY]]
        case "token":
            return [[REGISTRATION_TOKEN]]
    raise errors.NotAllowed("Nobody can make an account here without an invitation. The desk is open without one.")


async def check_username_availability(call: Call, query: AvailableQuery) -> dict[str, Any]:
    _flows(call)
    await accounts.check_available(call.ctx, call.tx, query.username)
    return {"available": True}


async def registration_token_validity(call: Call, query: ValidityQuery) -> dict[str, Any]:
    if call.ctx.settings.registration != "token":
        raise errors.NotAllowed("Accounts are not made with tokens here.")
    call.ctx.limits.guess("registration", call)
    wanted = call.ctx.settings.registration_token
    return {"valid": hmac.compare_digest(query.token.encode("utf-8", "surrogatepass"), wanted.encode())}
