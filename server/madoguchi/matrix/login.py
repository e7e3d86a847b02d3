"""Beginning and ending sessions: chapter "Legacy API", sections "Login", "Refreshing access tokens", "Logout"."""

from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import accounts, appservices, interactive_auth, sessions
from madoguchi.core.chat.interactive_auth import Auth
from madoguchi.core.chat.sessions import Session, Started
from madoguchi.core.desk import resting
from madoguchi.ids import UserID
from madoguchi.storage import accounts as store
from madoguchi.web.endpoint import Call
from madoguchi.web.reading import token_of

PASSWORD = "m.login.password"
TOKEN = "m.login.token"
APPLICATION_SERVICE = "m.login.application_service"
LOGIN_TOKEN_LIFE_MS = 2 * 60 * 1000


class Login(msgspec.Struct):
    """Body of `login`; `user` is the older form of `identifier`."""

    type: str
    identifier: dict[str, Any] | None = None
    user: str | None = None
    medium: str | None = None
    address: str | None = None
    password: str | None = None
    token: str | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    refresh_token: bool | None = None


class GetToken(msgspec.Struct):
    """Body of `generate_login_token`."""

    auth: Auth | None = None


class Refresh(msgspec.Struct):
    """Body of `refresh`."""

    refresh_token: str


class Logged(msgspec.Struct, omit_defaults=True):
    """Answer of `login` and `register`."""

    user_id: UserID
    access_token: str | None = None
    device_id: str | None = None
    refresh_token: str | None = None
    expires_in_ms: int | None = None
    home_server: str | None = None


def logged(call: Call, started: Started) -> Logged:
    """What the client is told about its new session."""
    return Logged(
        user_id=started.user_id,
        access_token=started.access_token,
        device_id=started.device_id,
        refresh_token=started.refresh_token,
        expires_in_ms=started.expires_in_ms,
        home_server=call.ctx.settings.server_name,
    )


async def get_login_flows(call: Call) -> dict[str, Any]:
    return {
        "flows": [
            {"type": PASSWORD},
            {"type": TOKEN, "get_login_token": True},
            {"type": APPLICATION_SERVICE},
        ]
    }


async def login(call: Call, body: Login) -> Logged:
    if body.type == PASSWORD:
        return await _by_password(call, body)
    if body.type == TOKEN:
        return await _by_token(call, body)
    if body.type == APPLICATION_SERVICE:
        return await _by_appservice(call, body)
    raise errors.Unknown("This type of login is not offered here.")


async def _by_password(call: Call, body: Login) -> Logged:
    if body.password is None:
        raise errors.MissingParam("A password is needed.")
    if body.identifier is None and body.user is None and body.medium is not None:
        raise errors.NotAllowed("No e-mail addresses or telephone numbers are known here.")
    named = interactive_auth.identified(call.ctx, body.identifier, body.user)
    if named is None:
        raise errors.MissingParam("The login does not say whose it is.")
    async with call.ctx.db.transaction() as tx:
        account = await store.get_account(tx, named) or await store.get_account(tx, named.lower())
    user_id = account.user_id if account is not None else named
    call.ctx.limits.guess(user_id, call)
    # No connection is held while the password is worked on.
    good = await accounts.verify(account.password_hash if accounts.is_open(account) else None, body.password)
    if not good or account is None:
        raise errors.NotAllowed("The user name or password is wrong.")
    async with call.ctx.db.transaction() as tx:
        now = await accounts.get_open(tx, user_id)
        if now.password_hash != account.password_hash:
            raise errors.NotAllowed("The user name or password is wrong.")
        if now.locked_at is not None:
            raise errors.UserLocked("Your account has been locked.", soft_logout=True)
        return logged(call, await _start(call, tx, user_id, body))


async def _by_token(call: Call, body: Login) -> Logged:
    if body.token is None:
        raise errors.MissingParam("A token is needed.")
    async with call.ctx.db.transaction() as tx:
        user_id = await store.delete_login_token(tx, sessions.digest_of(body.token), call.ctx.clock.ms())
        account = await store.get_account(tx, user_id) if user_id is not None else None
        if account is None or account.deactivated_at is not None or account.locked_at is not None:
            raise errors.NotAllowed("This login token is unknown, used, or too old.")
        return logged(call, await _start(call, tx, account.user_id, body))


async def _by_appservice(call: Call, body: Login) -> Logged:
    token = token_of(call.request)
    if token is None:
        raise errors.MissingToken("An application service logs in with its as_token.")
    service = appservices.by_token(call.ctx, token)
    if service is None:
        raise errors.NotAllowed("This is not the token of an application service.")
    user_id = interactive_auth.identified(call.ctx, body.identifier, body.user)
    if user_id is None:
        raise errors.MissingParam("The login does not say whose it is.")
    if not service.speaks_for(user_id):
        raise errors.Exclusive("This user id is outside of the application service's namespaces.")
    async with call.ctx.db.transaction() as tx:
        account = await store.get_account_for_update(tx, user_id)
        if account is None or account.deactivated_at is not None:
            raise errors.NotAllowed("The application service has not registered this user.")
        if not service.may_be(account):
            raise errors.NotAllowed("The application service may not act as this user.")
        return logged(call, await _start(call, tx, user_id, body))


async def _start(call: Call, tx: Any, user_id: UserID, body: Login) -> Started:
    name = body.initial_device_display_name
    return await sessions.start(call.ctx, tx, user_id, body.device_id, name, refresh=bool(body.refresh_token))


async def generate_login_token(call: Call, body: GetToken) -> dict[str, Any]:
    await interactive_auth.require(call, body.auth, "get_token")
    token = sessions.new_token("l")
    expires_at = call.ctx.clock.ms() + LOGIN_TOKEN_LIFE_MS
    async with call.ctx.db.transaction() as tx:
        await store.insert_login_token(tx, sessions.digest_of(token), call.session.user_id, expires_at)
    return {"login_token": token, "expires_in_ms": LOGIN_TOKEN_LIFE_MS}


async def refresh(call: Call, body: Refresh) -> dict[str, Any]:
    started = await sessions.renew(call.ctx, call.tx, body.refresh_token)
    return {
        "access_token": started.access_token,
        "refresh_token": started.refresh_token,
        "expires_in_ms": started.expires_in_ms,
    }


async def logout(call: Call) -> dict[str, Any]:
    session = await _even_locked(call)
    async with call.ctx.db.transaction() as tx:
        if session.kind == "youth" and await sessions.is_last(tx, session.user_id, session.device_id):
            await resting.signed_out(call.ctx, tx, session.user_id)
        await sessions.end(call.ctx, tx, session.user_id, [session.device_id])
    return {}


async def logout_all(call: Call) -> dict[str, Any]:
    session = await _even_locked(call)
    async with call.ctx.db.transaction() as tx:
        if session.kind == "youth":
            await resting.signed_out(call.ctx, tx, session.user_id)
        await sessions.end_all(call.ctx, tx, session.user_id)
    return {}


async def _even_locked(call: Call) -> Session:
    # These two rows let in anyone and look at the token themselves: a locked account may still log out.
    token = token_of(call.request)
    if token is None:
        raise errors.MissingToken("An access token is needed here.")
    session = await call.ctx.sessions.get_even_locked(token)
    if session is None:
        async with call.ctx.db.transaction() as tx:
            session = await appservices.authenticate(call.ctx, tx, token, call.query)
    if session is None:
        raise errors.UnknownToken("This access token is not known here.", soft_logout=False)
    return session
