"""What is asked of application services: whether they know a user or room that is not there yet ("Querying"), and what
they know of the networks they bridge ("Third-party networks").

All of it waits for somebody else's program: never call it with a connection in hand.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import structlog

from madoguchi import errors
from madoguchi.core import egress
from madoguchi.core.chat.registrations import AppService
from madoguchi.ids import UserID
from madoguchi.storage import accounts
from madoguchi.storage import rooms as stored_rooms

if TYPE_CHECKING:
    from madoguchi.context import Context

log = structlog.get_logger()

_API = "/_matrix/app/v1"
_T = TypeVar("_T")


class FieldType(msgspec.Struct):
    """What a field may hold."""

    regexp: str
    placeholder: str


class Instance(msgspec.Struct):
    """One network of a protocol. instance_id: this server's name for it, under which its rooms are listed."""

    desc: str
    network_id: str
    fields: dict[str, Any] = {}
    icon: str | msgspec.UnsetType = msgspec.UNSET
    instance_id: str = ""


class Protocol(msgspec.Struct):
    """What can be looked up of a third-party network, and how."""

    user_fields: list[str]
    location_fields: list[str]
    icon: str
    field_types: dict[str, FieldType]
    instances: list[Instance] = []


class Location(msgspec.Struct):
    """A room of a third-party network."""

    alias: str
    protocol: str
    fields: dict[str, Any]


class User(msgspec.Struct):
    """Somebody on a third-party network."""

    userid: str
    protocol: str
    fields: dict[str, Any]


# -- users and rooms that are not there yet ----------------------------------------------------------------------------
async def summon_user(ctx: "Context", user_id: UserID) -> None:
    """Lets the application service in whose namespace an unknown user lies make the account, if it knows them."""
    asked = _reachable(ctx, lambda service: any(space.has(user_id) for space in service.users))
    if not asked or len(user_id) > 255:
        return
    async with ctx.db.transaction() as tx:
        if await accounts.get_account(tx, user_id) is not None:
            return
    await _summon(asked, f"/users/{quote(user_id, safe='')}")


async def summon_alias(ctx: "Context", alias: str) -> None:
    """Lets the application service in whose namespace an unknown alias lies make the room, if it knows it."""
    asked = _reachable(ctx, lambda service: service.names(alias))
    if not asked or len(alias) > 255:
        return
    async with ctx.db.transaction() as tx:
        if await stored_rooms.get_alias(tx, alias) is not None:
            return
    await _summon(asked, f"/rooms/{quote(alias, safe='')}")


async def _summon(asked: Iterable[AppService], path: str) -> None:
    for service in asked:
        answer = await _ask(service, path)
        if answer is not None and answer.status == 200:
            return


# -- third-party networks ----------------------------------------------------------------------------------------------
async def protocols(ctx: "Context") -> dict[str, Protocol]:
    """All networks that can be looked up, by name."""
    names = sorted({name for service in ctx.appservices if service.url for name in service.protocols})
    found = await asyncio.gather(*(_protocol(ctx, name) for name in names))
    return {name: protocol for name, protocol in zip(names, found, strict=True) if protocol is not None}


async def protocol(ctx: "Context", name: str) -> Protocol:
    """One network. Raises NotFound."""
    found = await _protocol(ctx, name)
    if found is None:
        raise errors.NotFound("No such third-party network is looked up here.")
    return found


async def _protocol(ctx: "Context", name: str) -> Protocol | None:
    asked = _reachable(ctx, lambda service: name in service.protocols)
    told = await _gather(asked, f"/thirdparty/protocol/{quote(name, safe='')}", Protocol)
    merged: Protocol | None = None
    for service, protocol in told:
        for instance in protocol.instances:
            instance.instance_id = f"{service.id}|{instance.network_id}"
        if merged is None:
            merged = protocol
        else:
            merged.instances += protocol.instances
    return merged


async def locations(ctx: "Context", name: str | None, fields: Iterable[tuple[str, str]]) -> list[Location]:
    """Rooms of a network (None: of all), by its fields, or by an alias. Raises NotFound where nobody looks."""
    return await _look_up(ctx, "location", name, fields, Location)


async def users(ctx: "Context", name: str | None, fields: Iterable[tuple[str, str]]) -> list[User]:
    """Users of a network (None: of all), by its fields, or by a user id. Raises NotFound where nobody looks."""
    return await _look_up(ctx, "user", name, fields, User)


async def _look_up(
    ctx: "Context", what: str, name: str | None, fields: Iterable[tuple[str, str]], kind: type[_T]
) -> list[_T]:
    asked = _reachable(ctx, lambda service: bool(service.protocols) if name is None else name in service.protocols)
    if not asked:
        raise errors.NotFound("No such third-party network is looked up here.")
    path = f"/thirdparty/{what}" + ("" if name is None else f"/{quote(name, safe='')}")
    told = await _gather(asked, f"{path}?{urlencode(list(fields))}", list[kind])  # type: ignore[valid-type]
    return [entry for _, entries in told for entry in entries]


# -- asking ------------------------------------------------------------------------------------------------------------
def _reachable(ctx: "Context", concerns: Callable[[AppService], bool]) -> list[AppService]:
    return [service for service in ctx.appservices if service.url is not None and concerns(service)]


async def _gather(asked: list[AppService], path: str, kind: type[_T]) -> list[tuple[AppService, _T]]:
    """The answers that have the right shape."""
    answers = await asyncio.gather(*(_ask(service, path) for service in asked))
    told: list[tuple[AppService, _T]] = []
    for service, answer in zip(asked, answers, strict=True):
        if answer is None or answer.status != 200:
            continue
        try:
            told.append((service, msgspec.json.decode(answer.body, type=kind)))
        except (msgspec.DecodeError, UnicodeDecodeError):
            log.warning("application service answers with something else", appservice=service.id)
    return told


async def _ask(service: AppService, path: str) -> egress.Answer | None:
    assert service.url is not None
    try:
        async with egress.way(service.url, service.hs_token) as way:
            return await way.call("GET", _API + path)
    except (errors.ConnectionFailed, errors.ConnectionTimeout):
        return None
