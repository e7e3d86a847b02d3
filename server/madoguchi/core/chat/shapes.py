"""Shapes of what clients send that the type of a body can't say: lengths, key names, depth."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from madoguchi import errors

# The specification's bound for identifiers (appendices), in bytes; other names are held to it as well, since all of
# them end in an index.
LONGEST_NAME = 255
# Clients written in Rust read no JSON nested deeper than 128; a message that they can't read would stop their sync.
DEEPEST = 64


def check_names(*names: str, longest: int = LONGEST_NAME) -> None:
    """Raises Invalid for a name that is empty, has a NUL, or is longer than `longest` bytes."""
    for name in names:
        if not name:
            raise errors.Invalid("An identifier is empty.")
        if "\0" in name or len(name.encode("utf-8", "replace")) > longest:
            raise errors.Invalid(f"An identifier is longer than {longest} bytes or has a NUL.")


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def check_depth(value: Any, most: int = DEEPEST) -> None:
    """Raises BadJson for JSON that is nested deeper than `most` levels."""
    inner: Iterable[Any]
    if isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    else:
        return
    if most == 0:
        raise errors.BadJson(f"The JSON is nested deeper than {DEEPEST} levels.")
    for item in inner:
        if isinstance(item, (dict, list)):
            check_depth(item, most - 1)
