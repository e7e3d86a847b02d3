"""Canary words: whatever is said in a story carries one, and afterwards none may be found where it does not belong.

await mio.says(word("眠れない"))
"""

import secrets

SPOKEN: set[str] = set()

_SYLLABLES = [c + v for c in "kstnhmrgzdbp" for v in "aiueo"]


def word(text: str = "") -> str:
    """`text` with a random word after it that stands nowhere else in the world; remembered in SPOKEN."""
    canary = "".join(secrets.choice(_SYLLABLES) for _ in range(8))
    SPOKEN.add(canary)
    return f"{text} {canary}" if text else canary
