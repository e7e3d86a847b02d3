"""Chapter "Third-party networks", and what the application services add to the lookup of users and rooms."""

from typing import Any

from madoguchi import errors
from madoguchi.core.chat import appservice_queries as queries
from madoguchi.core.chat.appservice_queries import Location, Protocol, User
from madoguchi.web.endpoint import ANYONE, Call

_NOT_FIELDS = ("access_token", "user_id", "device_id", "org.matrix.msc3202.device_id")


async def get_protocols(call: Call) -> dict[str, Protocol]:
    return await queries.protocols(call.ctx) if _looks_around(call) else {}


async def get_protocol_metadata(call: Call, protocol: str) -> Protocol:
    _must_look_around(call)
    return await queries.protocol(call.ctx, protocol)


async def query_location_by_protocol(call: Call, protocol: str) -> list[Location]:
    _must_look_around(call)
    return await queries.locations(call.ctx, protocol, _fields(call))


async def query_user_by_protocol(call: Call, protocol: str) -> list[User]:
    _must_look_around(call)
    return await queries.users(call.ctx, protocol, _fields(call))


async def query_location_by_alias(call: Call) -> list[Location]:
    _must_look_around(call)
    return await queries.locations(call.ctx, None, [("alias", _given(call, "alias"))])


async def query_user_by_id(call: Call) -> list[User]:
    _must_look_around(call)
    return await queries.users(call.ctx, None, [("userid", _given(call, "userid"))])


def _fields(call: Call) -> list[tuple[str, str]]:
    return [(name, value) for name, value in call.query.items() if name not in _NOT_FIELDS]


def _given(call: Call, name: str) -> str:
    if name not in call.query:
        raise errors.MissingParam(f"{name} is missing.")
    return call.query[name]


# -- `before` of rows that look for somebody or a room -----------------------------------------------------------------
async def summon_user(call: Call, given: dict[str, Any]) -> None:
    """For rows with a user id in the path or the body, or with a list of those to invite."""
    body = given.get("body")
    named = [given.get("user_id") or getattr(body, "user_id", None), *getattr(body, "invite", ())]
    if _looks_around(call):
        for user_id in filter(None, named):
            await queries.summon_user(call.ctx, user_id)


async def summon_alias(call: Call, given: dict[str, Any]) -> None:
    """For rows with a room alias in the path."""
    alias = str(given.get("room_alias") or given.get("room_id_or_alias") or "")
    if alias.startswith("#") and (call.row.who is ANYONE or _looks_around(call)):
        await queries.summon_alias(call.ctx, alias)


def _looks_around(call: Call) -> bool:
    # Young people and ghosts meet only whom they share a room with. A call with an as_token has no caller yet when
    # `before` is asked: an application service knows its own names.
    return call.caller is not None and call.caller.kind not in ("youth", "ghost")


def _must_look_around(call: Call) -> None:
    if not _looks_around(call):
        raise errors.NotFound("No such third-party network is looked up here.")
