"""Runs a row: find it, read and decode the body, take a connection, authenticate, handle, commit, encode.

The body is read before a connection is taken, so that a slow phone holds none.
"""

import asyncio
import inspect
import secrets
import typing
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import structlog
from aiohttp import web

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.chat import appservices
from madoguchi.web.endpoint import ANYONE, OPTIONAL, Call, Row
from madoguchi.web.router import Router

log = structlog.get_logger()

# The one place where a domain error becomes an HTTP status and a Matrix error code.
ANSWERS: dict[type[errors.Refused], tuple[int, str]] = {
    errors.NotAllowed: (403, "M_FORBIDDEN"),
    errors.NotFound: (404, "M_NOT_FOUND"),
    errors.Invalid: (400, "M_INVALID_PARAM"),
    errors.BadJson: (400, "M_BAD_JSON"),
    errors.NotJson: (400, "M_NOT_JSON"),
    errors.MissingParam: (400, "M_MISSING_PARAM"),
    errors.MissingToken: (401, "M_MISSING_TOKEN"),
    errors.UnknownToken: (401, "M_UNKNOWN_TOKEN"),
    errors.TooLarge: (413, "M_TOO_LARGE"),
    errors.LimitExceeded: (429, "M_LIMIT_EXCEEDED"),
    errors.UserInUse: (400, "M_USER_IN_USE"),
    errors.InvalidUsername: (400, "M_INVALID_USERNAME"),
    errors.Exclusive: (400, "M_EXCLUSIVE"),
    errors.RoomInUse: (400, "M_ROOM_IN_USE"),
    errors.WeakPassword: (400, "M_WEAK_PASSWORD"),
    errors.WrongVersion: (403, "M_WRONG_ROOM_KEYS_VERSION"),
    errors.ServerControlled: (405, "M_BAD_JSON"),
    errors.InvalidSignature: (400, "M_INVALID_SIGNATURE"),
    errors.UnsupportedRoomVersion: (400, "M_UNSUPPORTED_ROOM_VERSION"),
    errors.InvalidRoomState: (400, "M_INVALID_ROOM_STATE"),
    errors.GuestNotAllowed: (403, "M_GUEST_ACCESS_FORBIDDEN"),
    errors.UserDeactivated: (403, "M_USER_DEACTIVATED"),
    errors.UserLocked: (401, "M_USER_LOCKED"),
    errors.UserSuspended: (403, "M_USER_SUSPENDED"),
    errors.CannotLeaveServerNotice: (403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM"),
    errors.BadAlias: (400, "M_BAD_ALIAS"),
    errors.UnknownPosition: (400, "M_UNKNOWN_POS"),
    errors.Conflict: (409, "M_CONFLICT"),
    errors.AlreadyTaken: (409, "JP_MADOGUCHI_ALREADY_TAKEN"),
    errors.CapacityFull: (409, "JP_MADOGUCHI_FULL"),
    errors.DeskClosed: (403, "JP_MADOGUCHI_CLOSED"),
    errors.Unrecognized: (404, "M_UNRECOGNIZED"),
    errors.WrongMethod: (405, "M_UNRECOGNIZED"),
    errors.Unknown: (400, "M_UNKNOWN"),
    errors.NotYetUploaded: (504, "M_NOT_YET_UPLOADED"),
    errors.CannotOverwriteMedia: (409, "M_CANNOT_OVERWRITE_MEDIA"),
    errors.UnknownDevice: (400, "M_UNKNOWN_DEVICE"),
    errors.ProfileTooLarge: (400, "M_PROFILE_TOO_LARGE"),
    errors.KeyTooLarge: (400, "M_KEY_TOO_LARGE"),
    errors.UrlNotSet: (400, "M_URL_NOT_SET"),
    errors.BadStatus: (502, "M_BAD_STATUS"),
    errors.ConnectionFailed: (502, "M_CONNECTION_FAILED"),
    errors.ConnectionTimeout: (504, "M_CONNECTION_TIMEOUT"),
    errors.Unavailable: (503, "M_UNKNOWN"),
}

HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "X-Requested-With, Content-Type, Authorization, Range",
    "Access-Control-Expose-Headers": "ETag, Content-Length, Content-Range, X-Request-Id",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_encode = msgspec.json.Encoder().encode


class _Plan:
    """What a row's handler takes, read from its signature once."""

    __slots__ = ("body", "body_type", "handler", "query", "row")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.handler = row.handler
        hints = typing.get_type_hints(row.handler)
        parameters = inspect.signature(row.handler).parameters
        self.body: Any = None
        self.body_type: Any = None
        if "body" in parameters:
            self.body_type = hints["body"]
            self.body = msgspec.json.Decoder(self.body_type)
        self.query = hints["query"] if "query" in parameters else None


class Dispatch:
    """The server's one request handler. `fallback` answers what is not under one of `prefixes` (the web client)."""

    def __init__(
        self,
        ctx: Context,
        rows: list[Row],
        fallback: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        prefixes: tuple[str, ...] = ("/_matrix/", "/_madoguchi/", "/.well-known/", "/health", "/metrics", "/_synapse/"),
    ) -> None:
        self._ctx = ctx
        self._router = Router(rows)
        self._plans = {id(row): _Plan(row) for row in rows}
        self._fallback = fallback
        self._prefixes = prefixes

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request; never raises but for a cancelled connection."""
        raw_path = request.rel_url.raw_path
        request_id = secrets.token_hex(6)
        if not raw_path.startswith(self._prefixes):
            return await self._guarded(request, request_id, self._fallback)
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=HEADERS)
        return await self._guarded(request, request_id, lambda request: self._run(request, request_id, raw_path))

    async def _guarded(
        self,
        request: web.BaseRequest,
        request_id: str,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        try:
            return await answer(request)
        except errors.InteractiveAuthNeeded as needed:
            return _json(401, _encode(needed.fields), request_id)
        except errors.Refused as refused:
            return refusal(refused, request_id)
        except (asyncio.CancelledError, ConnectionResetError):
            raise
        except (asyncpg.exceptions.CharacterNotInRepertoireError, asyncpg.exceptions.UntranslatableCharacterError):
            return refusal(errors.BadJson("A NUL character can't be stored."), request_id)
        except (asyncpg.exceptions.PostgresConnectionError, asyncpg.InterfaceError, OSError) as error:
            log.warning("database is not answering", request_id=request_id, error=type(error).__name__)
            return refusal(errors.Unavailable("The database is not answering. Please try again."), request_id)
        except asyncpg.exceptions.OperatorInterventionError as error:
            log.warning("database is restarting", request_id=request_id, error=type(error).__name__)
            return refusal(errors.Unavailable("The database is restarting. Please try again."), request_id)
        except web.HTTPException as plain:
            return web.Response(status=plain.status, headers=HEADERS)
        except Exception as error:
            # The type and the place only: a message could quote what was sent.
            log.error(
                "request failed",
                request_id=request_id,
                method=request.method,
                row=self._template(request),
                error=type(error).__name__,
                where=_where(error),
            )
            answered = {"errcode": "M_UNKNOWN", "error": "Something broke here. Nothing was changed."}
            return _json(500, _encode(answered), request_id)

    def _template(self, request: web.BaseRequest) -> str:
        try:
            return self._router.find(request.method, _unversioned(request.rel_url.raw_path))[0].path
        except errors.Refused:
            return "-"

    async def _run(self, request: web.BaseRequest, request_id: str, raw_path: str) -> web.StreamResponse:
        row, arguments = self._router.find(request.method, _unversioned(raw_path))
        plan = self._plans[id(row)]
        given: dict[str, Any] = dict(arguments)
        if plan.body is not None:
            given["body"] = _decoded_body(plan, await read_body(request, row.max_body))
        if plan.query is not None:
            given["query"] = _decoded_query(plan.query, request)
        call = Call(self._ctx, request, row, request_id, self._ctx.limits.address(request))
        # Before a connection is taken: an unknown token takes none, and a look-up that misses takes one of its own.
        as_token = await self._identify(call)
        if row.tx:
            async with self._ctx.db.transaction() as tx:
                call.tx = tx
                await self._admit(call, as_token)
                answer = await plan.handler(call, **given)
        else:
            await self._admit(call, as_token)
            answer = await plan.handler(call, **given)
        if isinstance(answer, web.StreamResponse):
            return answer
        return _json(200, answer if isinstance(answer, bytes) else _encode(answer), request_id)

    async def _identify(self, call: Call) -> str | None:
        """Finds the session of the call's token; gives the token back if it is an application service's."""
        if call.row.who is ANYONE:
            return None
        token = token_of(call.request)
        if token is None:
            if call.row.who is OPTIONAL:
                return None
            raise errors.MissingToken("An access token is needed here.")
        session = await self._ctx.sessions.get(token)
        if session is not None:
            call.session = session
            self._ctx.sessions.seen(session, call.remote, call.request.headers.get("User-Agent"))
            return None
        if appservices.by_token(self._ctx, token) is None:
            raise errors.UnknownToken("This access token is not known here.", soft_logout=False)
        return token

    async def _admit(self, call: Call, as_token: str | None) -> None:
        if as_token is not None:
            if call.row.tx:
                session = await appservices.authenticate(self._ctx, call.tx, as_token, call.query)
            else:
                async with self._ctx.db.transaction() as tx:
                    session = await appservices.authenticate(self._ctx, tx, as_token, call.query)
            assert session is not None
            call.session = session
        if call.row.limit is not None:
            self._ctx.limits.check(call.row.limit, call)
        await call.row.who(call)


def refusal(refused: errors.Refused, request_id: str) -> web.Response:
    """A domain error as the specification's standard error response."""
    status, errcode = next(ANSWERS[kind] for kind in type(refused).__mro__ if kind in ANSWERS)
    body = {"errcode": errcode, "error": refused.message or type(refused).__name__, **refused.fields}
    response = _json(status, _encode(body), request_id)
    if isinstance(refused, errors.LimitExceeded) and isinstance(after := refused.fields.get("retry_after_ms"), int):
        response.headers["Retry-After"] = str(-(-after // 1000))
    return response


async def read_body(request: web.BaseRequest, most: int) -> bytes:
    """The whole body; raises TooLarge beyond `most` bytes, without reading on."""
    if (request.content_length or 0) > most:
        raise errors.TooLarge("The request is too large.")
    pieces: list[bytes] = []
    size = 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > most:
            raise errors.TooLarge("The request is too large.")
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _decoded_body(plan: _Plan, raw: bytes) -> Any:
    if not raw and plan.row.method in ("POST", "DELETE"):
        # Several clients send an empty body where every field is optional.
        raw = b"{}"
    try:
        value = plan.body.decode(raw)
    except msgspec.ValidationError as wrong:
        raise _bad_json(raw, wrong) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise errors.NotJson("The body is not JSON.") from None
    if plan.body_type is msgspec.Raw and not is_object(raw):
        raise errors.BadJson("The body must be a JSON object.")
    return value


def _bad_json(raw: bytes, wrong: msgspec.ValidationError) -> errors.Refused:
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return errors.NotJson("The body is not JSON.")
    text = str(wrong)
    # msgspec's messages name types and the places where they stood, not values; only these two forms are passed on.
    if "missing required field" in text:
        return errors.MissingParam(text) if plan_root(text) else errors.BadJson(text)
    return errors.BadJson(text if text.startswith("Expected") else "The body has the wrong shape.")


def plan_root(text: str) -> bool:
    """Whether msgspec's message is about the body itself, not a part of it."""
    return " - at " not in text


def is_object(raw: bytes) -> bool:
    """Whether JSON text (known to be valid) is an object."""
    return raw.lstrip()[:1] == b"{"


def _decoded_query(kind: Any, request: web.BaseRequest) -> Any:
    query = request.query
    wanted: dict[str, Any] = {}
    for part in msgspec.structs.fields(kind):
        name = part.encode_name
        if name in query:
            several = getattr(part.type, "__origin__", None) is list
            wanted[name] = query.getall(name) if several else query[name]
    if any("\0" in value for value in query.values()):
        raise errors.Invalid("The query has a NUL character.")
    try:
        return msgspec.convert(wanted, kind, strict=False)
    except msgspec.ValidationError as wrong:
        text = str(wrong)
        if "missing required field" in text:
            raise errors.MissingParam(text) from None
        raise errors.Invalid(text if text.startswith("Expected") else "A query parameter makes no sense.") from None


def token_of(request: web.BaseRequest) -> str | None:
    """The access token of a request, from its header or (older clients) its query. Raises MissingToken."""
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise errors.MissingToken("The Authorization header must be 'Bearer TOKEN'.")
        return token.strip()
    return request.query.get("access_token")


def _unversioned(raw_path: str) -> str:
    # r0 is the name that v3 had before the specification counted from v1.1; old clients still use it.
    if raw_path.startswith("/_matrix/client/r0/"):
        return "/_matrix/client/v3/" + raw_path[19:]
    if raw_path.startswith("/_matrix/media/r0/"):
        return "/_matrix/media/v3/" + raw_path[18:]
    return raw_path


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else "-"


def _json(status: int, body: bytes, request_id: str) -> web.Response:
    response = web.Response(status=status, body=body, headers=HEADERS, content_type="application/json")
    response.headers["X-Request-Id"] = request_id
    return response
