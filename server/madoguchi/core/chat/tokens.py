"""Stream tokens as clients hold them: `s` and a position. Opaque to clients, never to be parsed by them."""

from madoguchi import errors

_MOST = 2**62


def token(pos: int) -> str:
    """The token of a position: everything up to it has been seen."""
    return f"s{pos}"


def position(text: str) -> int:
    """The position of a token, also of a `pos` of sliding sync. Raises Invalid for what is none of ours."""
    digits = text[1:].partition("_")[0]
    if text[:1] != "s" or not digits.isascii() or not digits.isdigit() or len(digits) > 19 or int(digits) > _MOST:
        raise errors.Invalid("This is not a token of this server.")
    return int(digits)


def maybe(text: str | None) -> int | None:
    """The position of a token that may be absent or empty."""
    return position(text) if text else None
