"""Risk words: the desk keeps the list, the staff's browsers look for them, and a human decides.

They are looked for only where what was said can be read. So nothing here ever learns whether one was found.
"""

import hashlib
import unicodedata
from datetime import datetime

import msgspec

from madoguchi import errors
from madoguchi.storage import audit
from madoguchi.storage import risk_words as stored
from madoguchi.storage.db import Tx
from madoguchi.storage.risk_words import RiskWord

LONGEST = 60
MOST = 2000


class RiskWords(msgspec.Struct, frozen=True):
    """revision: names this state of the list; a change says which it was made from."""

    revision: str
    words: list[RiskWord]


async def get(tx: Tx) -> RiskWords:
    """The list as it stands now."""
    words = await stored.list_risk_words(tx)
    return RiskWords(_revision(words), words)


async def replace(tx: Tx, wanted: RiskWords, by: str, at: datetime) -> RiskWords:
    """Puts a list in the place of the one of its revision; gives it as it then stands.

    Raises Invalid for a word that is too short, too long or stands twice, Conflict if the list is another one by now.
    """
    words = [RiskWord(word.level, word.language, " ".join(word.text.split())) for word in wanted.words]
    _must_make_sense(words)
    await stored.lock_all(tx)
    before = await stored.list_risk_words(tx)
    if wanted.revision != _revision(before):
        raise errors.Conflict("The list has changed meanwhile. Please look again.")
    await stored.replace_all(tx, words)
    added = [_told(word) for word in words if word not in before]
    removed = [_told(word) for word in before if word not in words]
    await audit.append(tx, at, by, "risk_words.changed", added=added, removed=removed)
    return RiskWords(_revision(words), words)


def _must_make_sense(words: list[RiskWord]) -> None:
    if len(words) > MOST:
        raise errors.Invalid(f"The list has {MOST} words at most.")
    seen: set[str] = set()
    for word in words:
        plain = unicodedata.normalize("NFKC", word.text).casefold()
        if not word.text.isprintable() or not 2 <= len(plain) <= LONGEST:
            raise errors.Invalid(f"A word has 2 to {LONGEST} characters in one line: {word.text[:LONGEST]!r}")
        if plain in seen:
            raise errors.Invalid(f"This word stands twice: {word.text}")
        seen.add(plain)


def _told(word: RiskWord) -> str:
    return f"{word.level}: {word.text}"


def _revision(words: list[RiskWord]) -> str:
    return hashlib.sha256(msgspec.json.encode(words)).hexdigest()[:32]
