"""Checks values against a vendor's published OpenAPI 3.0 document, discriminators included.

A plain JSON Schema validator does not follow `discriminator`, with which LINE's documents say what an event or a
message of a given type must hold. So each schema with one is read as: its own rules, and those of the type named.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

VENDORS = Path(__file__).resolve().parents[3] / "shared"
Json = dict[str, Any]
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PREFIX = "#/components/schemas/"


class Disagreement(AssertionError):
    """A request, an answer or an event is not as the vendor's document says."""


class Document:
    """One OpenAPI document. `present` is False where the vendor's file does not lie beside the project."""

    def __init__(self, path: Path) -> None:
        self.present = path.exists()
        self._document: Json = yaml.safe_load(path.read_text()) if self.present else {"paths": {}}
        schemas = self._document.get("components", {}).get("schemas", {})
        self._definitions: Json = {}
        for name, schema in schemas.items():
            self._definitions[name] = _translated(schema)
            if mapping := schema.get("discriminator", {}).get("mapping"):
                self._definitions[name + "+"] = _by_type(name, schema["discriminator"]["propertyName"], mapping)
        self._typed = {name[:-1] for name in self._definitions if name.endswith("+")}
        self._operations = [
            (method.upper(), re.compile(re.sub(r"\{[^/]+\}", "[^/]+", template)), operation)
            for template, methods in self._document["paths"].items()
            for method, operation in methods.items()
            if isinstance(operation, dict) and "operationId" in operation
        ]

    def check(self, schema: str, value: Any) -> None:
        """Raises Disagreement unless `value` is what the named schema describes."""
        if self.present:
            self._check({"$ref": PREFIX + schema}, value, schema)

    def operation_id(self, method: str, path: str) -> str:
        """The operation's name. Raises Disagreement for one that the document does not know."""
        return str(self._find(method, path)["operationId"]) if self.present else ""

    def check_request(self, method: str, path: str, headers: Any, body: Any) -> None:
        if not self.present:
            return
        operation = self._find(method, path)
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "header":
                given = headers.get(parameter["name"])
                if given is None and parameter.get("required"):
                    raise Disagreement(f"{operation['operationId']}: header {parameter['name']} is missing")
                is_uuid = parameter["schema"].get("format") == "uuid"
                if given is not None and is_uuid and not UUID.fullmatch(given):
                    raise Disagreement(f"{operation['operationId']}: {parameter['name']} is no UUID")
        if content := operation.get("requestBody", {}).get("content"):
            schema = next(iter(content.values()))["schema"]
            self._check(schema, body, f"request of {operation['operationId']}")

    def check_answer(self, method: str, path: str, status: int, body: Any) -> None:
        if not self.present:
            return
        operation = self._find(method, path)
        answer = operation["responses"].get(str(status))
        if answer is None and status < 400:
            raise Disagreement(f"{operation['operationId']} has no {status}")
        schema = (answer or {}).get("content", {}).get("application/json", {}).get("schema")
        if schema is not None:
            self._check(schema, body, f"answer {status} of {operation['operationId']}")

    def _find(self, method: str, path: str) -> Json:
        for known, pattern, operation in self._operations:
            if known == method and pattern.fullmatch(path):
                return dict(operation)
        raise Disagreement(f"{method} {path} is not in the vendor's document")

    def _check(self, schema: Json, value: Any, what: str) -> None:
        whole = {**self._retarget(_translated(schema)), "components": {"schemas": self._all()}}
        error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(whole).iter_errors(value))
        if error is not None:
            where = "/".join(map(str, error.absolute_path)) or "the top"
            raise Disagreement(f"{what}: at {where}: {error.message[:300]}")

    @cache  # noqa: B019 - one document per test run
    def _all(self) -> Json:
        return {name: self._retarget(schema) for name, schema in self._definitions.items()}

    def _retarget(self, schema: Any, inherits: bool = False) -> Any:
        """References to a schema with a discriminator mean "one of its types", except where one inherits from it."""
        if isinstance(schema, list):
            return [self._retarget(inner, inherits) for inner in schema]
        if not isinstance(schema, dict):
            return schema
        reference = schema.get("$ref", "")
        if isinstance(reference, str) and not inherits and reference.removeprefix(PREFIX) in self._typed:
            return {"$ref": reference + "+"}
        return {key: self._retarget(inner, key == "allOf") for key, inner in schema.items()}


def _by_type(name: str, key: str, mapping: dict[str, str]) -> Json:
    conditions: list[Json] = [
        {
            "if": {"properties": {key: {"const": type_}}, "required": [key]},
            "then": {"allOf": [{"$ref": target if target.startswith("#") else PREFIX + target}]},
        }
        for type_, target in mapping.items()
    ]
    known = {"properties": {key: {"enum": sorted(mapping)}}}
    return {"allOf": [{"$ref": PREFIX + name}, known, *conditions]}


def _translated(schema: Any) -> Any:
    """OpenAPI 3.0's dialect as JSON Schema: `nullable`, and without the words JSON Schema reads otherwise."""
    if isinstance(schema, list):
        return [_translated(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: _translated(inner) for key, inner in schema.items() if key not in ("discriminator", "example")}
    if out.pop("nullable", False) is True and "type" in out:
        out["type"] = [out["type"], "null"]
    return out


@cache
def line_document(name: str) -> Document:
    """`webhook`, `messaging-api` or `channel-access-token`, as LINE publishes them."""
    return Document(VENDORS / "line" / f"{name}.yml")
