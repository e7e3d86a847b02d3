"""Runs a row: find it, read and decode the body, take a connection, authenticate, handle, commit, encode.

The body is read before a connection is taken, so that a slow phone holds none.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import structlog
from aiohttp import web

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.chat import appservices
from madoguchi.web.answers import HEADERS, json_answer, refusal
from madoguchi.web.endpoint import ANYONE, OPTIONAL, Call, Row
from madoguchi.web.reading import Plan, decoded_body, decoded_query, read_body, token_of
from madoguchi.web.router import Router

log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode


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
        self._plans = {id(row): Plan(row) for row in rows}
        self._fallback = fallback
        self._prefixes = prefixes

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request; never raises but for a cancelled connection."""
        raw_path = request.rel_url.raw_path
        request_id = os.urandom(6).hex()
        try:
            if not raw_path.startswith(self._prefixes):
                return await self._fallback(request)
            if request.method == "OPTIONS":
                return web.Response(status=204, headers=HEADERS)
            return await self._run(request, request_id, raw_path)
        except errors.InteractiveAuthNeeded as needed:
            return json_answer(401, _encode(needed.fields), request_id)
        except errors.Refused as refused:
            return refusal(refused, request_id)
        except (asyncio.CancelledError, ConnectionResetError):
            raise
        except (asyncpg.exceptions.CharacterNotInRepertoireError, asyncpg.exceptions.UntranslatableCharacterError):
            return refusal(errors.BadJson("A NUL character can't be stored."), request_id)
        except (
            asyncpg.exceptions.PostgresConnectionError,
            asyncpg.InterfaceError,
            # Of a database that died in the middle of a word.
            asyncpg.InternalClientError,
            OSError,
        ) as error:
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
            return json_answer(500, _encode(answered), request_id)

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
            given["body"] = decoded_body(plan, await read_body(request, row.max_body))
        if plan.query is not None:
            given["query"] = decoded_query(plan.query, request)
        call = Call(self._ctx, request, row, request_id, self._ctx.limits.address(request))
        # Before a connection is taken: an unknown token takes none, and a look-up that misses takes one of its own.
        as_token = await self._identify(call)
        if as_token is None:
            # Nor does somebody who comes too often.
            self._count(call)
        if row.before is not None:
            await row.before(call, given)
        if row.tx:
            async with self._ctx.db.transaction() as tx:
                call.tx = tx
                await self._admit(call, as_token)
                answer = await plan.handler(call, **given)
        else:
            await self._admit(call, as_token)
            work = plan.handler(call, **given)
            # Thousands may wait here at once, and none needs these again.
            del given, arguments
            answer = await work
        if isinstance(answer, web.StreamResponse):
            return answer
        return json_answer(200, answer if isinstance(answer, bytes) else _encode(answer), request_id)

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
            self._count(call)
        await call.row.who(call)

    def _count(self, call: Call) -> None:
        if call.row.limit is not None:
            self._ctx.limits.check(call.row.limit, call)


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
