"""Application services: bridges that speak for the people of another network (Application Service API v1.19).

Each is described by a registration file (YAML). With its as_token it acts as its own user, or as any user of its
namespaces through `?user_id=`, on a device of that user through `?device_id=`.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import aiohttp
import msgspec
import yaml

from madoguchi import errors
from madoguchi.core.chat.sessions import Session
from madoguchi.ids import UserID
from madoguchi.storage import accounts as store
from madoguchi.storage import devices
from madoguchi.storage.db import Tx

if TYPE_CHECKING:
    from madoguchi.context import Context

_Text = Annotated[str, msgspec.Meta(min_length=1)]


class RegistrationError(Exception):
    """A registration file that can't be used; the text says which and why, without its secrets."""


class _Namespace(msgspec.Struct):
    regex: str
    exclusive: bool = False


class _Namespaces(msgspec.Struct):
    users: list[_Namespace] = []
    aliases: list[_Namespace] = []
    rooms: list[_Namespace] = []


class _Registration(msgspec.Struct):
    id: _Text
    as_token: _Text
    hs_token: _Text
    sender_localpart: _Text
    namespaces: _Namespaces = msgspec.field(default_factory=_Namespaces)
    url: str | None = None
    protocols: list[str] | None = None
    rate_limited: bool = True
    receive_ephemeral: bool = False


class Namespace(msgspec.Struct, frozen=True):
    """A family of names; nobody else may make one of an exclusive family."""

    pattern: re.Pattern[str]
    exclusive: bool

    def has(self, name: str) -> bool:
        """Whether the name belongs to the family (from its start, as the specification's regexes are meant)."""
        return self.pattern.match(name) is not None


class AppService(msgspec.Struct, frozen=True):
    """One application service."""

    id: str
    as_token_digest: bytes
    hs_token: str
    url: str | None
    sender: UserID
    users: tuple[Namespace, ...]
    aliases: tuple[Namespace, ...]
    rooms: tuple[Namespace, ...]
    rate_limited: bool
    receive_ephemeral: bool
    protocols: tuple[str, ...]

    def speaks_for(self, user_id: UserID) -> bool:
        """Whether it may act as this user."""
        return user_id == self.sender or any(space.has(user_id) for space in self.users)

    def may_be(self, account: store.Account) -> bool:
        """Whether it may act as the owner of this account. The desk's own people and those whom it gave a nameless
        account are no bridge's, however wide its namespaces are written."""
        return self.speaks_for(account.user_id) and account.kind in ("ghost", "appservice", "user")

    def keeps_for_itself(self, user_id: UserID) -> bool:
        """Whether nobody else may make an account of this name."""
        return user_id == self.sender or any(space.exclusive and space.has(user_id) for space in self.users)


def load(paths: Iterable[Path], server_name: str) -> list[AppService]:
    """Reads registration files. Raises RegistrationError for one that is missing, wrong, or clashes with another."""
    found: list[AppService] = []
    for path in paths:
        service = _read(path, server_name)
        for other in found:
            if other.id == service.id or other.as_token_digest == service.as_token_digest:
                raise RegistrationError(f"{path}: its id or as_token is that of another registration.")
        found.append(service)
    return found


def _read(path: Path, server_name: str) -> AppService:
    try:
        raw: Any = yaml.safe_load(path.read_bytes())
        given = msgspec.convert(raw, _Registration)
    except OSError as error:
        raise RegistrationError(f"{path}: {error.strerror}.") from None
    except yaml.YAMLError:
        raise RegistrationError(f"{path}: this is not YAML.") from None
    except msgspec.ValidationError as error:
        raise RegistrationError(f"{path}: {error}.") from None
    return AppService(
        id=given.id,
        as_token_digest=hashlib.sha256(given.as_token.encode()).digest(),
        hs_token=given.hs_token,
        url=given.url or None,
        sender=f"@{given.sender_localpart}:{server_name}",
        users=_compiled(path, given.namespaces.users),
        aliases=_compiled(path, given.namespaces.aliases),
        rooms=_compiled(path, given.namespaces.rooms),
        rate_limited=given.rate_limited,
        receive_ephemeral=given.receive_ephemeral,
        protocols=tuple(given.protocols or ()),
    )


def _compiled(path: Path, spaces: list[_Namespace]) -> tuple[Namespace, ...]:
    try:
        return tuple(Namespace(re.compile(space.regex), space.exclusive) for space in spaces)
    except re.error as error:
        raise RegistrationError(f"{path}: a namespace is not a regular expression: {error}.") from None


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
    body = {} if transaction_id is None else {"transaction_id": transaction_id}
    headers = {"Authorization": f"Bearer {service.hs_token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10), headers=headers) as http,
            http.post(f"{service.url.rstrip('/')}/_matrix/app/v1/ping", json=body, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise errors.BadStatus("The application service answered with an error.", status=answer.status)
    except TimeoutError:
        raise errors.ConnectionTimeout("The application service did not answer in time.") from None
    except aiohttp.ClientError:
        raise errors.ConnectionFailed("The application service can't be reached.") from None
    return ctx.clock.ms() - began


async def make_accounts(ctx: "Context", tx: Tx) -> None:
    """Makes the accounts of the application services' own users where they are missing."""
    for service in ctx.appservices:
        await store.insert_account(tx, service.sender, "appservice", None, service.id, ctx.clock.ms())


def owner_of(ctx: "Context", user_id: UserID) -> AppService | None:
    """The application service that keeps this user id for itself, if any."""
    return next((service for service in ctx.appservices if service.keeps_for_itself(user_id)), None)
