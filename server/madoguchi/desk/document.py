"""The desk API as an OpenAPI document (3.1), made from its table of contents and the types of its handlers."""

import inspect
import re
from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec

from madoguchi.desk.permissions import ROLES
from madoguchi.web.answers import ANSWERS
from madoguchi.web.endpoint import ANYONE, GET, OPTIONAL, Call, Row

_REF = "#/components/schemas/{name}"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ERROR = {
    "type": "object",
    "required": ["errcode", "error"],
    "properties": {
        "errcode": {"type": "string", "enum": sorted({errcode for _, errcode in ANSWERS.values()})},
        "error": {"type": "string", "description": "For people who write clients. It never quotes what was sent."},
    },
}


def row_of(chapters: Mapping[str, list[Row]], path: str, title: str) -> Row:
    """The row under which the document of these chapters, its own included, is given to anybody."""
    made: dict[str, Any] = {}

    async def get_document(call: Call) -> dict[str, Any]:
        """The desk API as an OpenAPI document: this one."""
        return made

    row = GET(path, get_document, who=ANYONE, limit="look", tx=False)
    made.update(document({**chapters, "This document": [row]}, title))
    return row


def document(chapters: Mapping[str, list[Row]], title: str) -> dict[str, Any]:
    """The OpenAPI document of the rows, a tag for each chapter."""
    kinds = [kind for rows in chapters.values() for row in rows for kind in _types(row)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    shown = iter(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for chapter, rows in chapters.items():
        for row in rows:
            described = _operation(row, chapter, [next(shown) for _ in _types(row)])
            paths.setdefault(row.path, {})[row.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": _DIALECT,
        "info": {"title": title, "version": "1"},
        "security": [{"token": []}],
        "tags": [{"name": chapter} for chapter in chapters],
        "paths": paths,
        "components": {
            "schemas": {**components, "Refusal": _ERROR},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A Matrix access token of this server."}
            },
        },
    }


def roles_of(row: Row) -> list[str]:
    """Who may call it: the roles of the desk that the row's word lets in, or the word itself."""
    name = row.who.__name__
    return sorted(ROLES[name]) if name in ROLES else [name.lower()]


def _types(row: Row) -> list[Any]:
    """The types that the row takes and gives: body, query, answer; those that there are."""
    hints = get_type_hints(row.handler)
    return [hints[name] for name in ("body", "query", "return") if name in hints]


def _operation(row: Row, chapter: str, schemas: list[Any]) -> dict[str, Any]:
    hints = get_type_hints(row.handler)
    names = [name for name in ("body", "query", "return") if name in hints]
    shown = dict(zip(names, schemas, strict=True))
    summary, _, more = (inspect.getdoc(row.handler) or "").partition("\n\n")
    operation: dict[str, Any] = {
        "operationId": row.operation or row.handler.__name__,
        "tags": [chapter],
        "summary": " ".join(summary.split()),
        "x-roles": roles_of(row),
        "parameters": [*_variables(row.path), *_query(hints.get("query"))],
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": shown["return"]}}},
            "default": {
                "description": "Refused; nothing was changed.",
                "content": {"application/json": {"schema": {"$ref": _REF.format(name="Refusal")}}},
            },
        },
    }
    if more:
        operation["description"] = " ".join(more.split())
    if "body" in shown:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": shown["body"]}}}
    if row.who is ANYONE:
        operation["security"] = []
    elif row.who is OPTIONAL:
        operation["security"] = [{}, {"token": []}]
    return operation


def _variables(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{([^}]*)\}", path)
    ]


def _query(kind: Any) -> list[dict[str, Any]]:
    if kind is None:
        return []
    return [
        {
            "name": part.encode_name,
            "in": "query",
            "required": part.required,
            "schema": msgspec.json.schema(part.type),
        }
        for part in msgspec.structs.fields(kind)
    ]
