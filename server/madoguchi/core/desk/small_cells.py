"""Which counts may be shown: none that is small, and none from which a small one follows by subtraction.

A count of 1 to 4 people could lead to one of them. To leave it out is not enough where a total stands beside it, so
others are left out with it. The rules here hold for whoever knows them, too: which count is left out along with a small
one is decided by the order of the categories, never by how large it is, and what is left out together is so much that
each small count could be any other (`tests/core/test_small_cells.py` tries every table of up to a size).
"""

from collections.abc import Sequence

# Fewer than this is not shown (domain: "Statistics").
FEWEST = 5
# What is left out together could be one count of FEWEST or more besides others of any small size.
_TOGETHER = 2 * FEWEST - 1

Count = int | None


def is_small(count: int) -> bool:
    """Whether a count says something of few. Nobody is nobody."""
    return 0 < count < FEWEST


def partition(counts: Sequence[int], preferred: Sequence[int] = ()) -> list[Count]:
    """Parts of a total that is shown: None for those that have to be left out.

    preferred: indices of the categories that are left out first where others have to be, such as "unknown". The total
    is nobody, or not small.
    """
    return _without(counts, {index for index, count in enumerate(counts) if is_small(count)}, preferred)


def choices(counts: Sequence[int], total: int, chose: int = 0, preferred: Sequence[int] = ()) -> list[Count]:
    """Counts of those who chose each of several answers, more than one perhaps, of a total that is shown.

    That nearly all have chosen one says that few have not. chose: how many are known to have chosen at least one;
    whoever of them is in none of the counts that are shown is in one that is left out.
    """
    small = {
        index
        for index, count in enumerate(counts)
        if is_small(count) or is_small(total - count) or is_small(chose - count)
    }
    elsewhere = sum(count for index, count in enumerate(counts) if index not in small)
    if elsewhere < chose:
        return _without(counts, small, preferred)
    return [None if index in small else count for index, count in enumerate(counts)]


def nested(counts: Sequence[int]) -> list[int | None]:
    """Sizes of groups of which each is part of the next: None for those that differ by few from the last one shown."""
    shown: list[int | None] = []
    last = 0
    for count in counts:
        if is_small(count - last):
            shown.append(None)
        else:
            shown.append(count)
            last = count
    return shown


def _without(counts: Sequence[int], small: set[int], preferred: Sequence[int]) -> list[Count]:
    if not small:
        return list(counts)
    left_out = set(small)
    order = [*preferred, *(index for index in range(len(counts)) if index not in preferred)]
    others = [index for index in order if counts[index] and index not in left_out]
    while others and not _hides(counts, left_out):
        left_out.add(others.pop(0))
    if not _hides(counts, left_out):
        # Too few to be told apart at all: not even who is nobody.
        return [None] * len(counts)
    return [None if index in left_out else count for index, count in enumerate(counts)]


def _hides(counts: Sequence[int], left_out: set[int]) -> bool:
    """Whether each of what is left out could be any small number, and the others make up for it."""
    together = sum(counts[index] for index in left_out)
    return len(left_out) > 1 and together - (len(left_out) - 1) >= _TOGETHER
