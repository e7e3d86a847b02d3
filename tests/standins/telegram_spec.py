"""Checks values against Telegram's published Bot API.

`telegram-bot-api.json` holds, of the version it names, the methods that the bridge calls and the types in them: names,
kinds, and what is required ("?" behind a name: it is not), and the emoji that a reaction may be. Its source stands in
it. Types that it does not describe may be any object.
"""

import json
from pathlib import Path
from typing import Any

API: dict[str, Any] = json.loads((Path(__file__).parent / "telegram-bot-api.json").read_text())
REACTIONS = frozenset(API["reactions"].split())
NUMBERS = {"Integer": int, "Float": (int, float)}


class Disagreement(AssertionError):
    """A call, an answer or an update is not as the Bot API says."""


def check(kind: str, value: Any, where: str = "") -> None:
    """Raises Disagreement unless `value` is of a kind such as `Message`, `Array of Update` or `Integer|String`."""
    if "|" in kind:
        _one_of(kind.split("|"), value, where)
    elif kind.startswith("Array of "):
        _must(isinstance(value, list), where, kind, value)
        for number, each in enumerate(value):
            check(kind.removeprefix("Array of "), each, f"{where}[{number}]")
    elif kind in NUMBERS:
        _must(isinstance(value, NUMBERS[kind]) and not isinstance(value, bool), where, kind, value)
    elif kind in ("Boolean", "True"):
        _must(value is True or (kind == "Boolean" and value is False), where, kind, value)
    elif kind == "String":
        _must(isinstance(value, str), where, kind, value)
    else:
        _must(isinstance(value, dict), where, kind, value)
        described = API["types"].get(kind)
        if described is not None and "one of" in described:
            _one_of(described["one of"], value, where)
        elif described is not None:
            _check_fields(described, value, where or kind)


def check_call(method: str, given: dict[str, Any]) -> None:
    """`given`: what a call carries, its JSON read."""
    if method not in API["methods"]:
        raise Disagreement(f"{method} is not called by us")
    _check_fields(API["methods"][method]["fields"], given, method)


def check_result(method: str, result: Any) -> None:
    check(API["methods"][method]["returns"], result, f"result of {method}")


def read_form(method: str, given: dict[str, str], files: set[str]) -> dict[str, Any]:
    """A form's texts as the values that they stand for; a file is the name under which it came: `attach://…`."""
    fields = {name.rstrip("?"): kind for name, kind in API["methods"].get(method, {"fields": {}})["fields"].items()}
    read: dict[str, Any] = {}
    for name, text in given.items():
        kind = fields.get(name, "String")
        if "InputFile" in kind and text.startswith("attach://"):
            if text.removeprefix("attach://") not in files:
                raise Disagreement(f"{method}: {name} names a file that did not come")
            read[name] = text
        elif kind == "String" or (kind == "Integer|String" and not text.lstrip("-").isdigit()):
            read[name] = text
        else:
            try:
                read[name] = json.loads(text)
            except ValueError:
                raise Disagreement(f"{method}: {name} is no {kind}") from None
    return read


def _check_fields(described: dict[str, str], value: dict[str, Any], where: str) -> None:
    known = {name.rstrip("?"): (kind, not name.endswith("?")) for name, kind in described.items()}
    for name, inner in value.items():
        if name not in known:
            raise Disagreement(f"{where} has no {name}")
        kind = known[name][0]
        if "InputFile" not in kind:
            check(kind, inner, f"{where}.{name}")
    for name, (_, required) in known.items():
        if required and name not in value:
            raise Disagreement(f"{where}: {name} is missing")


def _one_of(kinds: list[str], value: Any, where: str) -> None:
    reasons = []
    for kind in kinds:
        try:
            check(kind, value, where)
        except Disagreement as reason:
            reasons.append(str(reason))
        else:
            return
    raise Disagreement("; ".join(reasons))


def _must(fits: bool, where: str, kind: str, value: Any) -> None:
    if not fits:
        raise Disagreement(f"{where or 'the value'} is no {kind}: {str(value)[:100]}")
