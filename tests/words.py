"""Canary words: whatever is said in a story carries one, and afterwards none may be found where it does not belong.

    await mio.says(word("眠れない"))

They have a stem in common that is new in each run, so that one look finds all of them (`search.py`). They are letters
of ASCII alone: JSON and addresses leave those as they are, whatever they do to others.
"""

import os
import secrets
import time
from dataclasses import dataclass

_SYLLABLES = [c + v for c in "kstnhmrgzdbp" for v in "aiueo"]


def _sounds(count: int) -> str:
    return "".join(secrets.choice(_SYLLABLES) for _ in range(count))


STEM = _sounds(8)


@dataclass(frozen=True)
class Planted:
    """origin: what it was said with, and in which test. lies_in: the kinds of places (search.py) where it may stand,
    because docs/security.md says so."""

    origin: str
    lies_in: frozenset[str]
    at: float


SPOKEN: dict[str, Planted] = {}
SECRETS: dict[str, Planted] = {}


def word(text: str = "", *, lies_in: tuple[str, ...] = ()) -> str:
    """`text` with a random word after it that stands nowhere else in the world; remembered in SPOKEN."""
    canary = STEM + _sounds(5)
    SPOKEN[canary] = _planted(text or "a word alone", lies_in)
    return f"{text} {canary}" if text else canary


def secret(text: str, what: str) -> str:
    """`text`, which the product has made up or was given and which must lie nowhere either; remembered in SECRETS."""
    SECRETS[text] = _planted(what, ())
    return text


def first_at() -> float:
    """When the first of all was said, in seconds since 1970; infinite before that."""
    return min((planted.at for planted in (*SPOKEN.values(), *SECRETS.values())), default=float("inf"))


def _planted(what: str, lies_in: tuple[str, ...]) -> Planted:
    test = os.environ.get("PYTEST_CURRENT_TEST", "no test").partition(" ")[0]
    return Planted(f"{what}, {test}", frozenset(lies_in), time.time())
