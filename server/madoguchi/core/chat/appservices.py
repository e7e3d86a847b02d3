"""Application services: bridges that speak for the people of another network (Application Service API v1.19).

Each is described by a registration file (`registrations.py`). With its as_token it acts as its own user, or as any user
of its namespaces through `?user_id=`, on a device of that user through `?device_id=`.
"""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from madoguchi import errors
from madoguchi.core import egress
from madoguchi.core.chat.registrations import AppService
from madoguchi.core.chat.sessions import Session
from madoguchi.ids import UserID
from madoguchi.storage import accounts as store
from madoguchi.storage import appservices as stored
from madoguchi.storage import devices
from madoguchi.storage.db import Tx

if TYPE_CHECKING:
    from madoguchi.context import Context


def by_token(ctx: "Context", token: str) -> AppService | None:
    """The application service whose as_token this is."""
    digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
    return next((service for service in ctx.appservices if service.as_token_digest == digest), None)


def by_id(ctx: "Context", service_id: str) -> AppService:
    """The application service of a session. Raises NotAllowed if it is no longer registered."""
    for service in ctx.appservices:
        if service.id == service_id:
            return service
    raise errors.NotAllowed("This application service is not registered.")


async def authenticate(ctx: "Context", tx: Tx, token: str, query: Mapping[str, str]) -> Session | None:
    """The session of an as_token with `user_id` and `device_id` of the query; None if it is no as_token.

    Raises NotAllowed for a user outside of its namespaces or without an account, UnknownDevice for a device that the
    user does not have ("Identity assertion").
    """
    service = by_token(ctx, token)
    if service is None:
        return None
    user_id = query.get("user_id") or service.sender
    if not service.speaks_for(user_id):
        raise errors.NotAllowed("The application service may not act as this user.")
    account = await store.get_account(tx, user_id)
    if account is None or account.deactivated_at is not None:
        raise errors.NotAllowed("The application service has not registered this user.")
    if not service.may_be(account):
        raise errors.NotAllowed("The application service may not act as this user.")
    if account.locked_at is not None:
        raise errors.UserLocked("This account has been locked.", soft_logout=True)
    device_id = query.get("device_id") or query.get("org.matrix.msc3202.device_id") or ""
    if device_id and await devices.get_device(tx, user_id, device_id) is None:
        raise errors.UnknownDevice("This user has no such device.")
    return Session(
        user_id=user_id,
        device_id=device_id,
        token_id=0,
        appservice=service.id,
        kind=account.kind,
        suspended=account.suspended_at is not None,
    )


async def ping(ctx: "Context", session: Session, service_id: str, transaction_id: str | None) -> int:
    """Calls the application service that asks for it; gives how long that took, in ms ("Pinging").

    Raises NotAllowed for anybody but the service itself, UrlNotSet, BadStatus, ConnectionFailed, ConnectionTimeout.
    """
    if session.appservice != service_id:
        raise errors.NotAllowed("Only the application service itself may ask for this.")
    service = by_id(ctx, service_id)
    if service.url is None:
        raise errors.UrlNotSet("The registration of this application service has no URL.")
    began = ctx.clock.ms()
    body = msgspec.json.encode({} if transaction_id is None else {"transaction_id": transaction_id})
    timeout_s = min(egress.TIMEOUT_S, ctx.settings.appservice_timeout)
    async with egress.way(service.url, service.hs_token, timeout_s=timeout_s) as way:
        answer = await way.call("POST", "/_matrix/app/v1/ping", body)
    # Whatever it answers, it is there again: what waits for it need not wait out its pause.
    async with ctx.db.transaction() as tx:
        await stored.nudge(tx, service.id)
    if answer.status != 200:
        told = answer.body.decode("utf-8", "replace")
        raise errors.BadStatus("The application service answered with an error.", status=answer.status, body=told)
    return ctx.clock.ms() - began


async def make_accounts(ctx: "Context", tx: Tx) -> None:
    """Makes the accounts of the application services' own users where they are missing. From here on nothing that
    concerns one with an address is lost to it."""
    for service in ctx.appservices:
        await store.insert_account(tx, service.sender, "appservice", None, service.id, ctx.clock.ms())
        if service.url is not None:
            await stored.insert_queue(tx, service.id)


def owner_of(ctx: "Context", user_id: UserID) -> AppService | None:
    """The application service that keeps this user id for itself, if any."""
    return next((service for service in ctx.appservices if service.keeps_for_itself(user_id)), None)
