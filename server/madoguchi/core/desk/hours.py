"""Opening hours, in Japan's time: weekly times that may go past midnight, public holidays, exceptions.

As JSON: `{"weekly": [{"days": ["mon", "fri"], "from": "16:00", "to": "26:00"}], "holidays": [],
"exceptions": [{"from": "12-29", "to": "01-03", "times": []}]}`. `days` left out means every day. `holidays` left out
means that public holidays are like any other day; a list gives their own times, an empty list closes them. The first
exception that fits a day goes before everything else; its dates are `MM-DD` (every year) or `YYYY-MM-DD`, both
included.
"""

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

TOKYO = ZoneInfo("Asia/Tokyo")
# Hours of one day may end on the next, as in 26:00, and not later.
_LATEST = 48 * 60
# A search for the next opening that finds nothing within a year and a day finds nothing at all.
_SEARCH_DAYS = 367

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TimeOfDay = Annotated[str, Meta(pattern=r"^([0-3][0-9]|4[0-8]):[0-5][0-9]$")]
DayOfYear = Annotated[str, Meta(pattern=r"^([0-9]{4}-)?(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


class Times(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From when to when on one day, `HH:MM`; the end may lie past midnight (`26:00` is 2:00 of the next day)."""

    opens: TimeOfDay = msgspec.field(name="from")
    closes: TimeOfDay = msgspec.field(name="to")

    def __post_init__(self) -> None:
        if not _minutes(self.opens) < _minutes(self.closes) <= _LATEST or _minutes(self.opens) >= 24 * 60:
            raise ValueError("hours must begin before 24:00, end after they begin, and end by 48:00")


class WeeklyTimes(Times, frozen=True, forbid_unknown_fields=True):
    """Times that come back on some days of the week."""

    days: tuple[Day, ...] = _DAYS


class ExceptionalDays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Days that are different; no times means closed."""

    first: DayOfYear = msgspec.field(name="from")
    last: DayOfYear = msgspec.field(name="to")
    times: tuple[Times, ...] = ()

    def __post_init__(self) -> None:
        if len(self.first) != len(self.last):
            raise ValueError("both ends of an exception have a year, or neither has")
        if len(self.first) == 10 and not date.fromisoformat(self.first) <= date.fromisoformat(self.last):
            raise ValueError("an exception ends before it begins")

    def fits(self, day: date) -> bool:
        """Whether a day is one of them; `12-29` to `01-03` goes over the turn of the year."""
        if len(self.first) == 10:
            return self.first <= day.isoformat() <= self.last
        month_day = day.isoformat()[5:]
        if self.first <= self.last:
            return self.first <= month_day <= self.last
        return month_day >= self.first or month_day <= self.last


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When something is open. All moments given and taken are aware datetimes of any zone."""

    weekly: tuple[WeeklyTimes, ...] = ()
    holidays: tuple[Times, ...] | None = None
    exceptions: tuple[ExceptionalDays, ...] = ()

    def times_on(self, day: date) -> tuple[Times, ...]:
        """The times that begin on a day in Japan."""
        for exception in self.exceptions:
            if exception.fits(day):
                return exception.times
        if self.holidays is not None and is_public_holiday(day):
            return self.holidays
        return tuple(times for times in self.weekly if _DAYS[day.weekday()] in times.days)

    def open_at(self, at: datetime) -> bool:
        """Whether it is open at a moment. The closing minute itself is closed."""
        today = at.astimezone(TOKYO).date()
        return any(begins <= at < ends for day in (today - timedelta(1), today) for begins, ends in self._spans(day))

    def next_opening(self, at: datetime) -> datetime | None:
        """When it opens next, in Japan's time; None if it is open, or does not open within a year."""
        if self.open_at(at):
            return None
        today = at.astimezone(TOKYO).date()
        for ahead in range(_SEARCH_DAYS):
            begin = min((b for b, _ in self._spans(today + timedelta(ahead)) if b > at), default=None)
            if begin is not None:
                return begin
        return None

    def _spans(self, day: date) -> list[tuple[datetime, datetime]]:
        # Japan has no summer time, so minutes may simply be added to midnight.
        midnight = datetime.combine(day, time(), TOKYO)
        return [
            (midnight + timedelta(minutes=_minutes(t.opens)), midnight + timedelta(minutes=_minutes(t.closes)))
            for t in self.times_on(day)
        ]


ALWAYS = Hours(weekly=(WeeklyTimes("00:00", "24:00"),))
_decoder = msgspec.json.Decoder(Hours)


def midnight(at: datetime) -> datetime:
    """When the day of a moment began in Japan."""
    return datetime.combine(at.astimezone(TOKYO).date(), time(), TOKYO)


def parse(text: str | bytes) -> Hours:
    """Reads opening hours from JSON. Raises msgspec.ValidationError or msgspec.DecodeError with the reason."""
    return _decoder.decode(text)


@lru_cache(maxsize=64)
def _holidays_of(year: int) -> frozenset[date]:
    # The calendar of the Act on National Holidays, substitute days included. Imported late: it takes 0.3 s.
    from holidays.countries.japan import Japan

    return frozenset(Japan(years=[year]))


def is_public_holiday(day: date) -> bool:
    """Whether a day is one of Japan's public holidays (国民の祝日, substitute and bridging days included)."""
    return day in _holidays_of(day.year)


@lru_cache(maxsize=4)
def public_holidays(first: date, last: date) -> tuple[date, ...]:
    """Japan's public holidays from one day to another, both included."""
    every = (first + timedelta(ahead) for ahead in range((last - first).days + 1))
    return tuple(day for day in every if is_public_holiday(day))
