"""Canonical JSON: the one byte string that is signed for a JSON value.

Matrix specification v1.19, appendices, "Canonical JSON": keys sorted by code point, no white space, UTF-8,
integers within ±(2^53 − 1), no fractions.
"""

import json
from typing import Any

_LARGEST = 2**53 - 1


def encode(value: Any) -> bytes:
    """The canonical bytes of `value` (dicts with text keys, lists, text, whole numbers, true, false, null).

    Raises for anything that has no canonical form: TypeError for a fraction or a value of another kind, ValueError
    for a number outside ±(2^53 − 1) or a lone surrogate.
    """
    _check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _check(value: Any) -> None:
    if value is None or isinstance(value, (bool, str)):
        return
    if isinstance(value, int):
        if not -_LARGEST <= value <= _LARGEST:
            raise ValueError("The number is outside the range of canonical JSON.")
    elif isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError("A key of a JSON object must be text.")
            _check(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check(inner)
    else:
        raise TypeError(f"{type(value).__name__} has no canonical JSON form.")
