"""No small count is shown, nor follows from what is shown; not even for whoever knows the rules."""

import itertools
from collections import defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madoguchi.core.desk.small_cells import FEWEST, Count, choices, is_small, nested, partition

counts = st.lists(st.integers(0, 3) | st.integers(0, 12) | st.integers(0, 500), min_size=1, max_size=12)


def intervals(shown: list[Count], total: int) -> Iterator[tuple[int, int]]:
    """What each count that is left out could be, by what is shown: the others are there too, unless all is left out."""
    left_out = shown.count(None)
    rest = total - sum(count for count in shown if count is not None)
    least = 0 if left_out == len(shown) else 1
    for count in shown:
        yield (least, rest - least * (left_out - 1)) if count is None else (count, count)


@given(counts)
def test_parts_of_a_total(parts: list[int]) -> None:
    total = sum(parts)
    if is_small(total):
        return
    shown = partition(parts)
    for part, told, (least, most) in zip(parts, shown, intervals(shown, total), strict=True):
        if told is None:
            # By subtraction it could be small or not.
            assert least < FEWEST <= most and least <= part <= most
        else:
            assert told == part and not is_small(told)
    # Nor is what is left out together few.
    together = total - sum(told for told in shown if told is not None)
    assert not is_small(together)
    assert shown.count(None) != 1 or len(parts) == 1
    # Nothing is left out that need not be.
    assert None not in shown or any(is_small(part) for part in parts)


@pytest.mark.parametrize(("categories", "most"), [(1, 30), (2, 30), (3, 22), (4, 12)])
def test_who_knows_the_rules_learns_no_small_count_either(categories: int, most: int) -> None:
    """Every table of a size: those that are shown alike differ in each count that is left out."""
    alike: dict[tuple[int, tuple[Count, ...]], list[tuple[int, ...]]] = defaultdict(list)
    for parts in itertools.product(range(most + 1), repeat=categories):
        total = sum(parts)
        if FEWEST <= total <= most:
            alike[total, tuple(partition(parts))].append(parts)
    for (_, shown), tables in alike.items():
        for index, told in enumerate(shown):
            if told is None:
                assert len({parts[index] for parts in tables}) > 1, (shown, tables)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(0, 20), st.integers(0, 20))
def test_answers_of_which_several_may_be_chosen(chosen: list[int], more: int, none: int) -> None:
    chose = min(max(chosen) + more, sum(chosen))
    total = chose + none
    shown = choices(chosen, total, chose)
    if None in shown:
        # Whoever is in none of those shown is in one left out: there are several, or these need hold nobody.
        uncounted = chose - sum(told for told in shown if told is not None)
        assert uncounted <= 0 or shown.count(None) > 1 or len(chosen) == 1
    for count, told in zip(chosen, shown, strict=True):
        assert told is None or (told == count and not is_small(told) and not is_small(total - told))
    assert all(told == count for count, told in zip(chosen, shown, strict=True)) or any(
        is_small(count) or is_small(total - count) or is_small(chose - count) for count in chosen
    )


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5))
def test_groups_within_groups(steps: list[int]) -> None:
    sizes = list(itertools.accumulate(steps))
    shown = nested(sizes)
    told = [0, *(size for size in shown if size is not None)]
    assert all(not is_small(after - before) for before, after in itertools.combinations(told, 2))
    assert all(size is None or size == true for size, true in zip(shown, sizes, strict=True))


def test_what_is_left_out_first() -> None:
    # "unknown" rather than what is asked for, whatever its size.
    assert partition([30, 3, 40, 12], preferred=[3]) == [30, None, 40, None]
    assert partition([30, 3, 40, 0], preferred=[3]) == [None, None, 40, 0]
    assert partition([1, 1, 1, 1, 1, 0]) == [None] * 6
    assert choices([18, 7, 0], 20, 20) == [None, None, 0]
    assert choices([3, 7, 0], 20) == [None, 7, 0]
