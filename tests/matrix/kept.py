"""People who are the same in many tests: to make an account takes longer than most of what is tested with it.

For whom the tests only need as somebody else. Whoever's own rooms are looked at is a fresh person (`cast.person`).
"""

from tests.cast import Cast, Person, register

_kept: dict[tuple[str, str], Person] = {}


async def kept(cast: Cast, name: str) -> Person:
    """Somebody of the house under test, made when they are first asked for."""
    key = (cast.base_url, name)
    if key not in _kept:
        _kept[key] = await register(cast.line, name)
    return _kept[key].through(cast.line)
