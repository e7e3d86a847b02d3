"""How long it may take until a counsellor comes: a range from what others have just waited, or an honest nothing."""

from collections.abc import Sequence
from math import ceil, floor

import msgspec

# Fewer than this and a range would be a guess with numbers on it.
FEWEST_WAITS = 5
MOST_WAITS = 30
RECENT_MINUTES = 180


class Wait(msgspec.Struct, frozen=True):
    """One recent wait. place: the place in the queue on arrival, 1 = next; over: a counsellor has come."""

    minutes: float
    place: int
    over: bool


class Estimate(msgspec.Struct, frozen=True):
    """Minutes from now, both whole, low < high."""

    low: int
    high: int


def estimate(waits: Sequence[Wait], place: int) -> Estimate | None:
    """The range for somebody at a place in the queue (1 = next); None where too little is known.

    A wait divided by the place it began at is a pace: minutes for each place. The range goes from the lower to the
    upper fifth of the paces of those who were accepted. Somebody who still waits counts as soon as their pace is slower
    than the middle one: otherwise a queue that has come to a stop would go on promising what it did before.
    """
    over = sorted(wait.minutes / max(wait.place, 1) for wait in waits if wait.over)
    if len(over) < FEWEST_WAITS:
        return None
    middle = over[len(over) // 2]
    slower = [pace for wait in waits if not wait.over and (pace := wait.minutes / max(wait.place, 1)) > middle]
    paces = sorted(over + slower)
    low = floor(_quantile(paces, 0.2) * place)
    high = ceil(_quantile(paces, 0.8) * place)
    return Estimate(low, max(high, low + 1))


def _quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of the sorted values lies, between two of them in proportion."""
    at = share * (len(values) - 1)
    below = floor(at)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (at - below)
