"""The Matrix specification's own words, asked about every answer that the server gives in a test.

The Client-Server API as one OpenAPI document lies beside the project (`../shared/matrix/cs-openapi.json`). Where it is
absent only the shape of errors is checked. An oracle knows shapes, not meaning.
"""

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from madoguchi.desk import document
from madoguchi.desk.api import CHAPTERS, DESK

DOCUMENT = Path(__file__).resolve().parents[2] / "shared" / "matrix" / "cs-openapi.json"
# Any operation may refuse a token; the document only tells of the 401 that asks for interactive authentication. And a
# server without TURN has nothing to put into that answer: clients know `{}` from every other homeserver.
TOKEN_ERRORS = ("M_MISSING_TOKEN", "M_UNKNOWN_TOKEN")
# What a ping tells of an application service that does not answer.
OTHERS_ERRORS = (b'"M_BAD_STATUS"', b'"M_CONNECTION_FAILED"', b'"M_CONNECTION_TIMEOUT"')
# What the cast calls itself: its requests are made by hand, often wrong on purpose.
TESTS = "madoguchi-tests"
METHODS = ("get", "put", "post", "delete")


class Disagreement(AssertionError):
    """The server answered something that the specification does not allow."""


@dataclass
class Operation:
    """One operation of the document: `pattern` matches the path as it is on the wire."""

    method: str
    path: str
    operation_id: str
    spec: dict[str, Any]
    pattern: re.Pattern[str]
    validators: dict[str, Draft202012Validator | None] = field(default_factory=dict)

    def validator(self, status: int) -> Draft202012Validator | None:
        key = str(status)
        if key not in self.validators:
            responses = self.spec["responses"]
            content = responses.get(key, responses.get("default", {})).get("content", {})
            schema = content.get("application/json", {}).get("schema")
            self.validators[key] = Draft202012Validator(schema) if schema is not None else None
        return self.validators[key]

    @property
    def body_schema(self) -> dict[str, Any] | None:
        """The JSON Schema of the request's body, None where there is none."""
        content = self.spec.get("requestBody", {}).get("content", {})
        schema: dict[str, Any] | None = content.get("application/json", {}).get("schema")
        return schema


@cache
def operations() -> list[Operation]:
    """Every operation of the document, the most literal paths first; empty where the document is absent."""
    if not DOCUMENT.exists():
        return []
    # `oneOf` a bare object or an event: an event is both, which the document cannot have meant.
    paths = json.loads(DOCUMENT.read_text().replace('"oneOf"', '"anyOf"'))["paths"]
    found = []
    for raw, methods in paths.items():
        path = raw.strip()  # two paths of the document carry a trailing blank
        escaped = re.sub(r"\\\{[^/]+?\\\}", "[^/]*", re.escape(path))
        for method in METHODS:
            if method in methods:
                spec = methods[method]
                pattern = re.compile(escaped + "/?")
                found.append(Operation(method.upper(), path, spec["operationId"], spec, pattern))
    return sorted(found, key=lambda operation: operation.path.count("{"))


@cache
def own_operations() -> list[Operation]:
    """Every operation of the desk's own document."""
    made = document.document(CHAPTERS, "The desk")
    found = []
    for path, methods in made["paths"].items():
        pattern = re.compile(re.sub(r"\\\{[^/]+?\\\}", "[^/]*", re.escape(path)))
        for method, spec in methods.items():
            whole = _with_components(spec, made["components"])
            found.append(Operation(method.upper(), path, spec["operationId"], whole, pattern))
    return sorted(found, key=lambda operation: operation.path.count("{"))


def _with_components(spec: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """An operation whose schemas can be read alone: what they refer to lies in each."""
    whole: dict[str, Any] = json.loads(json.dumps(spec))
    bodies = [whole.get("requestBody", {}), *whole["responses"].values()]
    for content in (body["content"]["application/json"] for body in bodies if body):
        content["schema"] = {**content["schema"], "components": components}
    return whole


def operation_of(method: str, path: str) -> Operation | None:
    """The operation that `path` (percent-encoded, without its query) belongs to."""
    for operation in own_operations() if path.startswith(DESK) else operations():
        if operation.method == method and operation.pattern.fullmatch(path):
            return operation
    return None


def check(method: str, path: str, status: int, content_type: str, raw: bytes) -> None:
    """Compare one exchange with the specification.

    `path` is percent-encoded and without its query, `raw` the body of the answer.
    Raises Disagreement for every 5xx but those that tell of somebody else's failure, for an error without `errcode`,
    for a success that the operation does not know, and for a JSON body that its schema refuses.
    """
    told = f"{method} {path} -> {status} {raw[:600]!r}"
    is_ping = re.fullmatch(r"/_matrix/client/v1/appservice/[^/]+/ping", path) is not None
    if status >= 500 and not (is_ping and any(errcode in raw for errcode in OTHERS_ERRORS)):
        raise Disagreement(f"the server failed: {told}")
    if not path.startswith(("/_matrix/", "/.well-known/matrix", "/_madoguchi/")):
        return
    body = _json(raw, told) if content_type == "application/json" else None
    if status >= 400:
        if not isinstance(body, dict) or not isinstance(body.get("errcode"), str):
            # Interactive authentication's first answer has no errcode; it names its flows.
            if not (status == 401 and isinstance(body, dict) and "flows" in body):
                raise Disagreement(f"an error without errcode: {told}")
        elif not isinstance(body.get("error", ""), str):
            raise Disagreement(f"an error whose text is no text: {told}")
    operation = operation_of(method, path)
    if operation is None:
        return
    if status < 400 and str(status) not in operation.spec["responses"]:
        raise Disagreement(f"{operation.operation_id} has no {status}: {told}")
    if status == 401 and isinstance(body, dict) and body.get("errcode") in TOKEN_ERRORS:
        return
    if operation.operation_id == "getTurnServer" and body == {}:
        return
    validator = operation.validator(status)
    if validator is None or body is None:
        return
    error = next(iter(validator.iter_errors(body)), None)
    if error is not None:
        where = "/".join(str(step) for step in error.absolute_path)
        raise Disagreement(f"{operation.operation_id} {status}: at {where or 'the top'}: {error.message[:400]}\n{told}")


def _json(raw: bytes, told: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError as error:
        raise Disagreement(f"not JSON though it says so: {told}") from error
