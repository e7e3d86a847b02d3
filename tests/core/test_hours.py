"""Opening hours in Japan's time."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madoguchi.core.desk.hours import (
    ALWAYS,
    TOKYO,
    Hours,
    Times,
    WeeklyTimes,
    is_public_holiday,
    parse,
    public_holidays,
)

CHILDLINE = parse('{"weekly": [{"from": "16:00", "to": "21:00"}], "exceptions": [{"from": "12-29", "to": "01-03"}]}')
WEEKDAYS = parse(
    '{"weekly": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:30", "to": "17:15"}], "holidays": []}'
)
NIGHT = parse('{"weekly": [{"days": ["fri"], "from": "22:00", "to": "26:00"}]}')


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=TOKYO)


@pytest.mark.parametrize(
    ("hours", "moment", "is_open"),
    [
        (CHILDLINE, "2026-11-23 15:59", False),
        (CHILDLINE, "2026-11-23 16:00", True),
        (CHILDLINE, "2026-11-23 20:59", True),
        (CHILDLINE, "2026-11-23 21:00", False),
        (CHILDLINE, "2026-12-28 17:00", True),
        (CHILDLINE, "2026-12-29 17:00", False),
        (CHILDLINE, "2027-01-01 17:00", False),
        (CHILDLINE, "2027-01-03 20:00", False),
        (CHILDLINE, "2027-01-04 17:00", True),
        (WEEKDAYS, "2026-11-24 08:30", True),
        (WEEKDAYS, "2026-11-24 17:15", False),
        (WEEKDAYS, "2026-11-22 12:00", False),  # Sunday
        (WEEKDAYS, "2026-11-23 12:00", False),  # Monday, Labour Thanksgiving Day
        (WEEKDAYS, "2025-05-06 12:00", False),  # Tuesday, substitute holiday
        (NIGHT, "2026-11-27 21:59", False),
        (NIGHT, "2026-11-27 23:00", True),
        (NIGHT, "2026-11-28 01:59", True),  # Saturday by the calendar, Friday's night
        (NIGHT, "2026-11-28 02:00", False),
        (NIGHT, "2026-11-27 01:00", False),
        (ALWAYS, "2026-12-31 23:59", True),
        (Hours(), "2026-11-23 12:00", False),
    ],
)
def test_open_or_closed_at_a_moment(hours: Hours, moment: str, is_open: bool) -> None:
    assert hours.open_at(at(moment)) is is_open
    # The same moment, told in another zone.
    assert hours.open_at(at(moment).astimezone(UTC)) is is_open


@pytest.mark.parametrize(
    ("hours", "moment", "opens"),
    [
        (CHILDLINE, "2026-11-23 12:00", "2026-11-23 16:00"),
        (CHILDLINE, "2026-11-23 17:00", None),
        (CHILDLINE, "2026-12-28 21:00", "2027-01-04 16:00"),
        (WEEKDAYS, "2026-11-20 18:00", "2026-11-24 08:30"),
        (NIGHT, "2026-11-28 02:00", "2026-12-04 22:00"),
        (ALWAYS, "2026-11-23 12:00", None),
        (Hours(), "2026-11-23 12:00", None),
    ],
)
def test_next_opening(hours: Hours, moment: str, opens: str | None) -> None:
    assert hours.next_opening(at(moment)) == (at(opens) if opens else None)


def test_an_exception_goes_before_a_holiday_and_the_week() -> None:
    hours = parse(
        """{"weekly": [{"from": "10:00", "to": "12:00"}], "holidays": [{"from": "13:00", "to": "14:00"}],
            "exceptions": [{"from": "2026-11-23", "to": "2026-11-23", "times": [{"from": "20:00", "to": "21:00"}]}]}"""
    )
    assert [hours.open_at(at(f"2026-11-23 {hour}:30")) for hour in (10, 13, 20)] == [False, False, True]
    assert [hours.open_at(at(f"2026-11-03 {hour}:30")) for hour in (10, 13, 20)] == [False, True, False]


def test_public_holidays() -> None:
    assert is_public_holiday(at("2026-09-22 00:00").date())  # a bridging day between two holidays
    assert not is_public_holiday(at("2026-09-24 00:00").date())


@pytest.mark.parametrize(
    "text",
    [
        '{"weekly": [{"from": "21:00", "to": "16:00"}]}',
        '{"weekly": [{"from": "16:00", "to": "49:00"}]}',
        '{"weekly": [{"from": "26:00", "to": "27:00"}]}',
        '{"weekly": [{"from": "16:60", "to": "17:00"}]}',
        '{"weekly": [{"days": ["someday"], "from": "16:00", "to": "17:00"}]}',
        '{"exceptions": [{"from": "2026-12-29", "to": "01-03"}]}',
        '{"exceptions": [{"from": "2026-12-29", "to": "2026-12-28"}]}',
        '{"exceptions": [{"from": "13-01", "to": "13-02"}]}',
        '{"exceptions": [{"from": "2026-02-30", "to": "2026-02-30"}]}',
        '{"opens": "whenever"}',
    ],
)
def test_hours_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        parse(text)


def test_the_pages_are_told_the_same() -> None:
    # client-web/tests/guidance.test.ts holds the same file against what the pages make of the hours.
    told = json.loads((Path(__file__).parents[2] / "client-web" / "tests" / "hours.json").read_text())
    for case in told["cases"]:
        moment = datetime.fromisoformat(case["at"])
        assert parse(json.dumps(case["hours"])).open_at(moment) is case["open"], case
    first, last = date.fromisoformat(told["holidays"]["from"]), date.fromisoformat(told["holidays"]["to"])
    assert [day.isoformat() for day in public_holidays(first, last)] == told["holidays"]["days"]


quarters = st.integers(0, 4 * 24 - 1)


@st.composite
def some_hours(draw: st.DrawFn) -> Hours:
    weekly = []
    for _ in range(draw(st.integers(0, 3))):
        opens = draw(quarters)
        closes = draw(st.integers(opens + 1, 4 * 48))
        days = draw(st.lists(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1))
        weekly.append(WeeklyTimes(_clock(opens), _clock(closes), days=tuple(days)))
    return Hours(weekly=tuple(weekly), holidays=draw(st.sampled_from([None, (), (Times("10:00", "30:00"),)])))


def _clock(quarter: int) -> str:
    return f"{quarter // 4:02}:{quarter % 4 * 15:02}"


@given(some_hours(), st.integers(0, 3 * 365 * 24 * 60))
def test_the_next_opening_is_the_first_moment_that_is_open(hours: Hours, minutes: int) -> None:
    now = at("2025-01-01 00:00") + timedelta(minutes=minutes)
    opening = hours.next_opening(now)
    if hours.open_at(now):
        assert opening is None
    elif opening is not None:
        assert opening > now
        assert hours.open_at(opening)
        assert not hours.open_at(opening - timedelta(minutes=1)) or opening - timedelta(minutes=1) < now
        between = now + (opening - now) / 2
        assert not hours.open_at(between)
    else:
        assert not any(hours.open_at(now + timedelta(hours=hour)) for hour in range(0, 24 * 14, 1))
    # What is written comes back the same.
    assert parse(msgspec.json.encode(hours)) == hours
