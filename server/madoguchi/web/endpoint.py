"""A row of a table of contents: method, path, handler, who may call. And the call that a handler receives."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from madoguchi import errors
from madoguchi.context import Context

if TYPE_CHECKING:
    from madoguchi.core.chat.sessions import Session
    from madoguchi.storage.db import Tx

Handler = Callable[..., Awaitable[Any]]
# Takes the call and the handler's arguments.
Before = Callable[["Call", dict[str, Any]], Awaitable[None]]


class Call:
    """One request on its way through a handler.

    ctx: the process-wide parts
    tx: a database connection in a transaction that commits when the handler returns; None for rows with tx=False
    session: who calls; for rows that anyone may call without a token it is None, and reading it then is a mistake
    request: aiohttp's request; remote: the client's address; request_id: stands in the log and in `X-Request-Id`
    """

    __slots__ = ("_session", "_tx", "ctx", "query", "remote", "request", "request_id", "row")

    def __init__(self, ctx: Context, request: web.BaseRequest, row: "Row", request_id: str, remote: str) -> None:
        self.ctx = ctx
        self.request = request
        self.row = row
        self.request_id = request_id
        self.remote = remote
        self.query: Mapping[str, str] = request.query
        self._session: Session | None = None
        self._tx: Tx | None = None

    @property
    def session(self) -> "Session":
        if self._session is None:
            raise errors.MissingToken("An access token is needed here.")
        return self._session

    @session.setter
    def session(self, session: "Session") -> None:
        self._session = session

    @property
    def caller(self) -> "Session | None":
        """Who calls, or None for somebody without a token."""
        return self._session

    @property
    def tx(self) -> "Tx":
        if self._tx is None:
            raise RuntimeError("This row was declared with tx=False.")
        return self._tx

    @tx.setter
    def tx(self, tx: "Tx") -> None:
        self._tx = tx


Who = Callable[[Call], Awaitable[None]]


async def ANYONE(call: Call) -> None:
    """No token is asked for; one that is given is not looked at."""


async def OPTIONAL(call: Call) -> None:
    """A token is taken if given (and must then be good)."""


async def USER(call: Call) -> None:
    """Whoever has logged in, ghosts of application services included."""
    _ = call.session


async def APPSERVICE(call: Call) -> None:
    """An application service, by its as_token."""
    if call.session.appservice is None:
        raise errors.NotAllowed("Only an application service may do this.")


@dataclass(frozen=True, slots=True)
class Row:
    """One operation. `operation` is the spec's operationId for rows that have no handler's name to show.

    before: what has to wait for somebody else first, without holding a connection
    """

    method: str
    path: str
    handler: Handler
    who: Who = USER
    tx: bool = True
    limit: str | None = None
    refused: str | None = None
    max_body: int = 4 * 1024 * 1024
    operation: str = field(default="")
    also: bool = False
    before: Before | None = None


def GET(path: str, handler: Handler, **options: Any) -> Row:
    """A row that reads."""
    return Row("GET", path, handler, **options)


def POST(path: str, handler: Handler, **options: Any) -> Row:
    """A row that does something."""
    return Row("POST", path, handler, **options)


def PUT(path: str, handler: Handler, **options: Any) -> Row:
    """A row that sets something: the same request twice does the same as once."""
    return Row("PUT", path, handler, **options)


def DELETE(path: str, handler: Handler, **options: Any) -> Row:
    """A row that takes something away."""
    return Row("DELETE", path, handler, **options)


def REFUSED(
    method: str,
    path: str,
    operation: str,
    reason: str,
    error: type[errors.Refused] = errors.Unrecognized,
) -> Row:
    """An operation of the specification that this server does not offer, and why."""

    async def refuse(call: Call, **_variables: str) -> None:
        raise error(reason)

    return Row(method, path, refuse, who=ANYONE, tx=False, refused=reason, operation=operation)


def ALSO(method: str, path: str, operation: str, reason: str) -> Row:
    """An operation that the specification puts on the method and path of another one, whose row answers both."""
    return replace(REFUSED(method, path, operation, reason), also=True)
