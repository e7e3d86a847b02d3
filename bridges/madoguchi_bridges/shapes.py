"""Reading what an app sends, which may be anything: the value where it has the right shape, else nothing."""

import math
from typing import Any

from .text import clean

LARGEST = 2**53


def object_of(value: dict[str, Any], key: str) -> dict[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def text_of(value: dict[str, Any], key: str) -> str:
    inner = value.get(key)
    return clean(inner) if isinstance(inner, str) else ""


def number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > LARGEST:
        return None
    return float(value) if math.isfinite(value) else None


def whole(value: object) -> int | None:
    """A whole number above 0."""
    found = number(value)
    return int(found) if found is not None and found > 0 else None


def milliseconds(value: object) -> int:
    """A moment; 0 where there is none."""
    return whole(value) or 0
