"""The estimate of a wait: honest, or nothing."""

from hypothesis import given
from hypothesis import strategies as st

from madoguchi.core.desk.estimate import Estimate, Wait, estimate

waits = st.lists(st.builds(Wait, minutes=st.floats(0, 600), place=st.integers(1, 50), over=st.booleans()), max_size=40)


def test_nothing_is_promised_from_too_little() -> None:
    assert estimate([], 1) is None
    assert estimate([Wait(5, 1, True)] * 4, 1) is None
    assert estimate([Wait(5, 1, False)] * 9, 1) is None


def test_whoever_stands_further_back_waits_longer() -> None:
    past = [Wait(minutes, 1, True) for minutes in (2, 3, 4, 5, 6)]
    assert estimate(past, 1) == Estimate(2, 6)
    assert estimate(past, 4) == Estimate(11, 21)


def test_a_queue_that_has_stopped_makes_no_old_promises() -> None:
    past = [Wait(3, 1, True)] * 8
    assert estimate(past, 1) == Estimate(3, 4)
    stopped = estimate([*past, *[Wait(45, 1, False)] * 4], 1)
    assert stopped is not None
    assert stopped.high >= 45


@given(waits, st.integers(1, 60))
def test_a_range_is_a_range(past: list[Wait], place: int) -> None:
    found = estimate(past, place)
    if found is not None:
        assert 0 <= found.low < found.high


@given(waits, st.integers(1, 60))
def test_nobody_behind_is_promised_less(past: list[Wait], place: int) -> None:
    here, behind = estimate(past, place), estimate(past, place + 1)
    if here is not None and behind is not None:
        assert here.low <= behind.low and here.high <= behind.high
