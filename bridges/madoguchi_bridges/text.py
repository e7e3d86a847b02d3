"""Text as the apps count it."""

import unicodedata


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
    inside a character and, where it can be helped, not inside an emoji sequence or before a combining mark.
    """
    parts: list[str] = []
    start = 0
    while start < len(text):
        end, used = start, 0
        while end < len(text):
            width = 2 if text[end] > "\uffff" else 1
            if used + width > limit:
                break
            used += width
            end += 1
        if end < len(text):
            end = _good_cut(text, start, max(end, start + 1))
        parts.append(text[start:end])
        start = end
    return parts


def _good_cut(text: str, start: int, end: int) -> int:
    earliest = end - (end - start) // 5
    for breaks in ("\n", "。！？!? 　"):
        for cut in range(end, max(earliest, start + 1) - 1, -1):
            if text[cut - 1] in breaks and not _joins(text, cut):
                return cut
    cut = end
    while cut > start + 1 and _joins(text, cut):
        cut -= 1
    return cut if cut > start + 1 else end


def _joins(text: str, cut: int) -> bool:
    """Whether what stands before and after `cut` is seen as one character."""
    after, before = text[cut : cut + 1], text[cut - 1 : cut]
    return bool(after) and (
        unicodedata.combining(after) != 0
        or after in "\u200d\ufe0f\ufe0e\u20e3"
        or before == "\u200d"
        or "\U0001f3fb" <= after <= "\U0001f3ff"
        or (_flag(before) and _flag(after))
        or (before == "\r" and after == "\n")
    )


def _flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
