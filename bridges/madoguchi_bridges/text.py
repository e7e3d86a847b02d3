"""Text as the apps count it."""

import regex

GRAPHEME = regex.compile(r"\X")
# Where to cut, best first.
BREAKS = ("\n", "。！？!? 　")


def units(text: str) -> int:
    """Length in UTF-16 code units, which is how the apps count; a lone surrogate is one unit."""
    return len(text) + sum(character > "\uffff" for character in text)


def clean(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD, so that it can be encoded as UTF-8 everywhere.

    Surrogate pairs that arrived as two escapes become the character they mean.
    """
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def split(text: str, limit: int) -> list[str]:
    """Splits into parts of at most `limit` UTF-16 units whose concatenation is the text; no part is empty.

    Prefers to cut after a line break, then after a space or a Japanese full stop, in the last fifth of a part; never
    inside what is seen as one character (an extended grapheme cluster, Unicode UAX #29), unless that alone is longer
    than a part.
    """
    if units(text) <= limit:
        return [text] if text else []
    parts: list[str] = []
    part: list[str] = []
    used = 0
    for grapheme in _pieces(text, limit):
        width = units(grapheme)
        while part and used + width > limit:
            cut = _good_cut(part)
            parts.append("".join(part[:cut]))
            part = part[cut:]
            used = sum(map(units, part))
        part.append(grapheme)
        used += width
    return [*parts, "".join(part)]


def _pieces(text: str, limit: int) -> list[str]:
    """The graphemes of a text; one that is longer than a part, character by character."""
    return [
        piece for grapheme in GRAPHEME.findall(text) for piece in ([grapheme] if units(grapheme) <= limit else grapheme)
    ]


def _good_cut(part: list[str]) -> int:
    """How many of a full part's graphemes stay in it."""
    earliest = len(part) - len(part) // 5
    for breaks in BREAKS:
        for cut in range(len(part), max(earliest, 1) - 1, -1):
            if part[cut - 1][-1] in breaks:
                return cut
    return len(part)
