"""Reading a request into what its handler takes: body, query, token."""

import asyncio
import inspect
import typing
from functools import cache
from typing import Any

import msgspec
from aiohttp import web

from madoguchi import errors
from madoguchi.web.endpoint import Row

_MOST_INTEGER = 2**53 - 1


class Plan:
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


# A message from a phone at the edge of its network takes seconds; nobody needs longer than this for any body.
BODY_SECONDS = 60.0


async def read_body(request: web.BaseRequest, most: int, seconds: float = BODY_SECONDS) -> bytes:
    """The whole body; raises TooLarge beyond `most` bytes, without reading on, and TooSlow after `seconds`."""
    if (request.content_length or 0) > most:
        raise errors.TooLarge("The request is too large.")
    if request.content.is_eof():
        # Most bodies are here already, and need no clock.
        body = request.content.read_nowait()
        if len(body) > most:
            raise errors.TooLarge("The request is too large.")
        return body
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.content.iter_any():
                size += len(piece)
                if size > most:
                    raise errors.TooLarge("The request is too large.")
                pieces.append(piece)
    except TimeoutError:
        raise errors.TooSlow("The request did not arrive in time.") from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def decoded_body(plan: Plan, raw: bytes) -> Any:
    """The body in the type that the handler asks for. Raises NotJson, BadJson, MissingParam."""
    if not raw and plan.row.method in ("POST", "DELETE"):
        # Several clients send an empty body where every field is optional.
        raw = b"{}"
    try:
        value = plan.body.decode(raw)
    except msgspec.ValidationError as wrong:
        raise _bad_json(raw, wrong) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise errors.NotJson("The body is not JSON.") from None
    if plan.body_type is msgspec.Raw and not _is_object(raw):
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
        return errors.MissingParam(text) if _is_root(text) else errors.BadJson(text)
    return errors.BadJson(text if text.startswith("Expected") else "The body has the wrong shape.")


def _is_root(text: str) -> bool:
    """Whether msgspec's message is about the body itself, not a part of it."""
    return " - at " not in text


def _is_object(raw: bytes) -> bool:
    """Whether JSON text (known to be valid) is an object."""
    return raw.lstrip()[:1] == b"{"


def decoded_query(kind: Any, request: web.BaseRequest) -> Any:
    """The query as the handler's struct. Raises Invalid, MissingParam."""
    query = request.query
    wanted: dict[str, Any] = {}
    for name, several in _names_of(kind):
        if name in query:
            wanted[name] = query.getall(name) if several else query[name]
    if any("\0" in value for value in query.values()):
        raise errors.Invalid("The query has a NUL character.")
    try:
        read = msgspec.convert(wanted, kind, strict=False)
        if any(isinstance(value, int) and abs(value) > _MOST_INTEGER for value in msgspec.structs.astuple(read)):
            raise errors.Invalid("A number is outside the range of canonical JSON.")
        return read
    except msgspec.ValidationError as wrong:
        text = str(wrong)
        if "missing required field" in text:
            raise errors.MissingParam(text) from None
        raise errors.Invalid(text if text.startswith("Expected") else "A query parameter makes no sense.") from None


@cache
def _names_of(kind: Any) -> tuple[tuple[str, bool], ...]:
    """The names of a query, and which of them may stand several times. Kept: every request asks."""
    parts = msgspec.structs.fields(kind)
    return tuple((part.encode_name, getattr(part.type, "__origin__", None) is list) for part in parts)


def token_of(request: web.BaseRequest) -> str | None:
    """The access token of a request, from its header or (older clients) its query. Raises MissingToken."""
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise errors.MissingToken("The Authorization header must be 'Bearer TOKEN'.")
        return token.strip()
    return request.query.get("access_token")
