"""Bad food for every operation: what its body and query should be, taken from our own handlers, then spoiled."""

import inspect
import json
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect as shapes

from madoguchi.app import rows
from madoguchi.web.endpoint import Row
from tests import oracle

TEXT = st.text(max_size=20) | st.sampled_from(
    ["", "\0", "a\0b", "\u2028", "𠮷", "@x:y", "!x:y", "$x", "../..", "m.room.member", "9" * 40]
)
NUMBERS = (
    st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([2**53, -1, 2**63, 1e308])
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)


@dataclass(frozen=True)
class Operation:
    """A row, and the JSON shapes that its handler reads."""

    row: Row
    body: Any  # a type, or None where no body is read
    query: Any
    schema: dict[str, Any] | None  # the specification's, where the document is there

    @property
    def name(self) -> str:
        return f"{self.row.method} {self.row.path}"


def operations() -> list[Operation]:
    """Every row of the server, the Matrix API's and the desk's."""
    found = []
    for row in rows():
        hints = typing.get_type_hints(row.handler)
        parameters = inspect.signature(row.handler).parameters
        spec = oracle.operation_of(row.method, row.path.replace("{", "").replace("}", ""))
        found.append(
            Operation(
                row,
                hints.get("body") if "body" in parameters else None,
                hints.get("query") if "query" in parameters else None,
                spec.body_schema if spec else None,
            )
        )
    return found


def bodies(operation: Operation) -> st.SearchStrategy[Any]:
    """Bodies that are nearly right: of the handler's shape or the specification's, with one or more places spoiled."""
    right = [_of_type(shapes.type_info(operation.body))] if operation.body is not None else []
    if operation.schema is not None:
        right.append(_of_schema(operation.schema))
    if not right:
        right.append(st.dictionaries(TEXT, ANYTHING, max_size=3))
    return st.one_of(*right).flatmap(_spoiled) | ANYTHING


def queries(operation: Operation) -> st.SearchStrategy[dict[str, str]]:
    """Query strings with the names that the handler knows and values that it may not."""
    if operation.query is None:
        return st.just({})
    names = [field.encode_name for field in msgspec.structs.fields(operation.query)]
    value = st.sampled_from(
        ["", "0", "-1", "1e9", "true", "null", "b", "f", "{}", '{"room":[]}', "9" * 30, "join", "%00"]
    )
    return st.dictionaries(st.sampled_from(names), value | st.text(max_size=10), max_size=4)


def _spoiled(body: Any) -> st.SearchStrategy[Any]:
    places = list(_places(body))
    if not places:
        return st.just(body)

    def spoil(chosen: tuple[tuple[Any, ...], str, Any]) -> Any:
        place, how, other = chosen
        copy = json.loads(json.dumps(body))
        parent = copy
        for step in place[:-1]:
            parent = parent[step]
        if how == "remove" and isinstance(parent, dict):
            del parent[place[-1]]
        elif how == "replace":
            parent[place[-1]] = other
        return copy

    how = st.sampled_from(["keep", "remove", "replace", "replace", "replace"])
    return st.tuples(st.sampled_from(places), how, ANYTHING).map(spoil)


def _places(value: Any, before: tuple[Any, ...] = ()) -> typing.Iterator[tuple[Any, ...]]:
    steps: list[Any] = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    for step in steps:
        yield (*before, step)
        yield from _places(value[step], (*before, step))


def _of_type(info: shapes.Type, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a msgspec type."""
    if depth > 4:
        return st.just({}) | SCALARS
    deeper: Callable[[shapes.Type], st.SearchStrategy[Any]] = lambda inner: _of_type(inner, depth + 1)  # noqa: E731
    match info:
        case shapes.StructType(fields=fields):
            must = {f.encode_name: deeper(f.type) for f in fields if f.required}
            may = {f.encode_name: deeper(f.type) for f in fields if not f.required}
            return st.fixed_dictionaries(must, optional=may)
        case shapes.DictType(key_type=_, value_type=value):
            return st.dictionaries(TEXT, deeper(value), max_size=3)
        case shapes.ListType(item_type=item) | shapes.SetType(item_type=item) | shapes.VarTupleType(item_type=item):
            return st.lists(deeper(item), max_size=3)
        case shapes.UnionType(types=kinds):
            return st.one_of(*(deeper(kind) for kind in kinds))
        case shapes.LiteralType(values=values):
            return st.sampled_from(list(values))
        case shapes.BoolType():
            return st.booleans()
        case shapes.IntType():
            return st.integers(-3, 10_000)
        case shapes.FloatType():
            return st.floats(0, 1) | st.integers(0, 100)
        case shapes.StrType():
            return TEXT
        case shapes.NoneType():
            return st.none()
        case shapes.RawType():
            return st.dictionaries(TEXT, ANYTHING, max_size=3)
        case _:
            return ANYTHING


def _of_schema(schema: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a JSON Schema, roughly: the specification's bodies use no more than this."""
    if depth > 5:
        return SCALARS
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("allOf"):
        parts = [_of_schema(part, depth + 1) for part in schema["allOf"]]
        return st.tuples(*parts).map(
            lambda values: {k: v for value in values if isinstance(value, dict) for k, v in value.items()}
        )
    for choice in ("anyOf", "oneOf"):
        if schema.get(choice):
            return st.one_of(*(_of_schema(part, depth + 1) for part in schema[choice]))
    kinds = schema.get("type", "object")
    if isinstance(kinds, list):
        return st.one_of(*(_of_schema(schema | {"type": kind}, depth + 1) for kind in kinds))
    match kinds:
        case "object":
            properties = {name: _of_schema(part, depth + 1) for name, part in schema.get("properties", {}).items()}
            required = set(schema.get("required", []))
            must = {name: part for name, part in properties.items() if name in required}
            may = {name: part for name, part in properties.items() if name not in required}
            if not properties:
                inner = schema.get("additionalProperties")
                value = _of_schema(inner, depth + 1) if isinstance(inner, dict) else ANYTHING
                return st.dictionaries(TEXT, value, max_size=2)
            return st.fixed_dictionaries(must, optional=may)
        case "array":
            return st.lists(_of_schema(schema.get("items", {}), depth + 1), max_size=3)
        case "string":
            examples = [schema["example"]] if isinstance(schema.get("example"), str) else []
            return TEXT | st.sampled_from(examples) if examples else TEXT
        case "integer":
            return st.integers(-3, 10_000)
        case "number":
            return st.floats(0, 1)
        case "boolean":
            return st.booleans()
        case _:
            return SCALARS
