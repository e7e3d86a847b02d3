"""What the young person's page says, in the operator's own words.

Only what greets, explains, refuses and thanks can be worded anew, one language at a time. The words that come with the
page stand until then, and wherever the desk can't be reached. Neither buttons nor what the page says about locks and
readers is among them: these have to be true of the program.
"""

import re
import unicodedata
from datetime import datetime

from madoguchi import errors
from madoguchi.storage import audit
from madoguchi.storage import texts as stored
from madoguchi.storage.db import Tx
from madoguchi.storage.replies import Language
from madoguchi.storage.texts import Text

# How long each may be, in characters: what a phone shows without a wall of words.
LONGEST: dict[str, int] = {
    "start.title": 40,
    "start.lead": 200,
    "start.consent": 500,
    "start.closed.hours": 300,
    "start.closed.paused": 300,
    "start.closed.full": 300,
    "start.closed.channel": 300,
    "room.waiting.write": 200,
    "room.waiting.nobody": 200,
    "closed.title": 40,
    "closed.text": 300,
}
# Filled by the page: the desk's name.
BLANK = "{desk}"


def check(key: str, text: str) -> str:
    """The text as it is kept. Raises NotFound for a key, Invalid for what the page can't show as it was meant."""
    if key not in LONGEST:
        raise errors.NotFound("There is no text of that name to be changed.")
    text = text.strip()
    if not 1 <= len(text) <= LONGEST[key]:
        raise errors.Invalid(f"This text has 1 to {LONGEST[key]} characters.")
    if any(unicodedata.category(each)[0] == "C" for each in text) or "\u2028" in text or "\u2029" in text:
        raise errors.Invalid("This text is one paragraph, without control characters or signs that nobody sees.")
    if re.search("[<>]", text):
        raise errors.Invalid("This text is plain: < and > would only be shown.")
    if re.search("[{}]", text.replace(BLANK, "")):
        raise errors.Invalid(f"The only blank is {BLANK}, the desk's name.")
    return text


async def put(tx: Tx, key: str, language: Language, text: str, by: str, at: datetime) -> None:
    """Words a text anew in one language. Raises NotFound, Invalid."""
    await stored.upsert(tx, Text(key, language, check(key, text), by, at))
    await audit.append(tx, at, by, "texts.changed", key, language=language)


async def reset(tx: Tx, key: str, language: Language, by: str, at: datetime) -> None:
    """Goes back to the words that come with the page. Raises NotFound if there are no others."""
    if not await stored.delete(tx, key, language):
        raise errors.NotFound("This text has no wording of the desk's own.")
    await audit.append(tx, at, by, "texts.changed", key, language=language)


async def own(tx: Tx) -> dict[Language, dict[str, str]]:
    """What differs from the page's words: language, key, text. What this version doesn't know any more is left out."""
    found: dict[Language, dict[str, str]] = {}
    for text in await stored.list_texts(tx):
        if text.key in LONGEST:
            found.setdefault(text.language, {})[text.key] = text.text
    return found
