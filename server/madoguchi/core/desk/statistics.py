"""Statistics for the operator and the ministries: from metadata and the codes of records, never from what was said.

Cases count by when they came, in Japan's time. Three groups stand one in the other: `accesses` (all that came),
`answered` (somebody looked after them) and `recorded` (they have a record). Each table divides one of these, and small
counts are left out (small_cells.py), also across tables: a group that differs by few from the next smaller one is not
told, and its tables are made of that one; a table whose parts stand in another one's parts (days in weekdays, grades in
schools) is left out within what is left out there.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Literal, get_args

import msgspec

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.desk import hours, small_cells, survey
from madoguchi.core.desk.records import GRADES, NOT_FORMED
from madoguchi.core.desk.small_cells import FEWEST, Count, is_small
from madoguchi.core.desk.survey import Month
from madoguchi.storage import records
from madoguchi.storage import statistics as stored
from madoguchi.storage.answers import Topic
from madoguchi.storage.cases import Risk
from madoguchi.storage.db import Tx
from madoguchi.storage.statistics import Counted, Groups, Spreads

Group = Literal["accesses", "answered", "recorded"]
LONGEST_DAYS = 3 * 366
# Up to so many days each is told, beyond that each month.
DAYS_TOLD = 62
_GROUPS: tuple[Group, ...] = ("recorded", "answered", "accesses")

WAITING = ("0", "1", "2", "3", "4", "5")
DURATION = ("0", "1", "2", "3", "4", "running")
WEEKDAYS = tuple(str(day) for day in range(1, 8))
HOURS = tuple(f"{hour:02}" for hour in range(24))
PREFECTURES = (*(str(number) for number in range(1, 48)), "unknown")


class Cell(msgspec.Struct, frozen=True):
    """A count; None: left out, because it is small or because a small one would follow from it."""

    name: str
    count: Count


class Table(msgspec.Struct, frozen=True):
    """of: which group it divides, and its size; several: a case may count in more than one cell; within: a table whose
    cells these divide further."""

    name: str
    of: Group
    total: Count
    cells: list[Cell]
    several: bool = False
    within: str | None = None


class Totals(msgspec.Struct, frozen=True):
    """Cases 件, and different people 人. not_answered: nobody has accepted them (yet); unrecorded: answered, without a
    record; not_formed: silence, abuse, thanks, questions; held: counselling."""

    accesses: Count
    not_answered: Count
    answered: Count
    recorded: Count
    unrecorded: Count
    not_formed: Count
    held: Count
    people: Count
    held_people: Count


class Times(msgspec.Struct, frozen=True):
    """Seconds, of the cases of a group."""

    of: Group
    mean: int
    median: int
    longest: int


class HourOfDay(msgspec.Struct, frozen=True):
    """On average at this hour: how many cases were looked after at once, and how many members of staff had one.

    Both are None where it would be told of few cases.
    """

    hour: int
    lines: float | None
    staff: float | None


class Figures(msgspec.Struct, frozen=True):
    """The statistics of a span, first and last day included. survey: of the months that lie in it as a whole."""

    first: date
    last: date
    totals: Totals
    tables: list[Table]
    waiting: Times | None
    duration: Times | None
    hours: list[HourOfDay]
    survey: list[Month]


class Statistics(msgspec.Struct, frozen=True):
    """The figures of a span, and of the one of the same length before it."""

    current: Figures
    previous: Figures


async def get(ctx: Context, tx: Tx, first: date, last: date) -> Statistics:
    """The statistics of a span of days, both included. Raises Invalid for one that makes no sense."""
    days = (last - first).days + 1
    if not 1 <= days <= LONGEST_DAYS:
        raise errors.Invalid(f"The span has 1 to {LONGEST_DAYS} days.")
    if not date(2000, 1, 1) <= first <= last <= date(2200, 1, 1):
        raise errors.Invalid("The span lies in this century or the next.")
    before = first - timedelta(days=days)
    return Statistics(
        current=await _span(ctx, tx, first, last), previous=await _span(ctx, tx, before, first - timedelta(days=1))
    )


async def _span(ctx: Context, tx: Tx, first: date, last: date) -> Figures:
    since, until = _midnight(first), _midnight(last + timedelta(days=1))
    counted = await stored.count(tx, since, until, ctx.clock.now(), NOT_FORMED)
    months = await survey.within(tx, first, last)
    return figures(counted, first, last, months)


def figures(counted: Counted, first: date, last: date, months: Sequence[Month] = ()) -> Figures:
    """What may be told of what was counted."""
    shown = dict(zip(_GROUPS, small_cells.nested([getattr(counted.total, name) for name in _GROUPS]), strict=True))
    make = _Tables(counted, shown)
    contact = make.partition("contact", "recorded", _CONTACTS, preferred=["emergency"])
    tables = [
        make.partition("channel", "accesses", sorted(counted.by["channel"])),
        *_calendar(make, first, last),
        make.partition("hour", "accesses", HOURS),
        make.partition("waiting", "answered", WAITING),
        make.partition("duration", "answered", DURATION, preferred=["running"]),
        *_contacts(make, contact),
        make.partition("visit", "recorded", get_args(records.Visit), preferred=["unknown"]),
        make.partition("age", "recorded", get_args(records.Age), preferred=["unknown"]),
        *_schools(make),
        make.partition("gender", "recorded", get_args(records.Gender), preferred=["not_given"]),
        make.partition("prefecture", "recorded", PREFECTURES, preferred=["unknown"]),
        make.choices("topics", get_args(Topic), chose=counted.held, preferred=["other"]),
        make.partition("risk", "recorded", get_args(Risk), preferred=["watch"]),
        make.choices("risk_reasons", get_args(records.RiskReason)),
        make.partition("attitude", "recorded", get_args(records.Attitude), preferred=["unknown"]),
        make.choices("actions", get_args(records.Action)),
        make.choices("referrals", get_args(records.Referral)),
        make.partition("consent", "recorded", get_args(records.Consent), preferred=["not_asked"]),
        make.partition("outcome", "recorded", get_args(records.Outcome), preferred=["settled"]),
        make.partition("ended_by", "recorded", get_args(records.EndedBy), preferred=["agreed"]),
    ]
    return Figures(
        first=first,
        last=last,
        totals=_totals(counted, shown, contact),
        tables=tables,
        waiting=make.times(counted.waits),
        duration=make.times(counted.durations),
        hours=_hours(counted, (last - first).days + 1),
        survey=list(months),
    )


_CONTACTS = ("self", "about_child", "emergency", "not_formed")


class _Tables:
    """Makes tables of what was counted; `shown`: the groups whose size is told."""

    def __init__(self, counted: Counted, shown: Mapping[Group, Count]) -> None:
        self._counted = counted
        self._shown = shown

    def group(self, wanted: Group) -> Group:
        """The group that a table is made of: the wanted one, or the next smaller one that is told."""
        told = [name for name in _GROUPS[: _GROUPS.index(wanted) + 1] if self._shown[name] is not None]
        return told[-1] if told else "recorded"

    def count(self, dimension: str, key: str, group: Group) -> int:
        """How many cases of a group fall into a category."""
        return int(getattr(self._counted.by[dimension].get(key, Groups(0, 0, 0)), group))

    def partition(self, name: str, wanted: Group, keys: Sequence[str], preferred: Sequence[str] = ()) -> Table:
        """A table whose cells add up to its group."""
        group = self.group(wanted)
        if name == "contact":
            counts = [self.count(name, key, group) for key in keys[:-1]]
            counts.append(sum(self.count(name, key, group) for key in NOT_FORMED))
        else:
            counts = [self.count(name, key, group) for key in keys]
        return self._table(name, group, keys, counts, preferred)

    def divided(self, name: str, within: Table, parts: Mapping[str, Sequence[str]], by: str | None = None) -> Table:
        """A table that divides the cells of another one further; parts: cell -> keys."""
        cells: list[Cell] = []
        for outer in within.cells:
            keys = parts[outer.name]
            counts = [self.count(by or name, key, within.of) for key in keys]
            told: Sequence[Count] = [None] * len(keys)
            if outer.count is not None:
                unknown = [index for index, key in enumerate(keys) if key.endswith("unknown")]
                told = small_cells.partition(counts, unknown)
            cells += [Cell(key, count) for key, count in zip(keys, told, strict=True)]
        return Table(name, within.of, within.total, cells, within=within.name)

    def choices(self, name: str, keys: Sequence[str], chose: int = 0, preferred: Sequence[str] = ()) -> Table:
        """A table of what records name, several perhaps. chose: how many name at least one, as everybody knows."""
        total = self._shown["recorded"]
        counts = [self._counted.chosen[name].get(key, 0) for key in keys]
        told: Sequence[Count] = [None] * len(keys)
        if total is not None:
            first = [keys.index(key) for key in preferred]
            told = small_cells.choices(counts, total, chose, first)
        return Table(name, "recorded", total, _cells(keys, told), several=True)

    def times(self, spreads: Spreads) -> Times | None:
        """How long something took; None where it is of few."""
        group = self.group("answered")
        spread = spreads.answered if group == "answered" else spreads.recorded
        total = self._shown[group]
        if spread is None or total is None or total < FEWEST:
            return None
        return Times(group, round(spread.mean), round(spread.median), round(spread.longest))

    def _table(
        self, name: str, group: Group, keys: Sequence[str], counts: Sequence[int], preferred: Sequence[str]
    ) -> Table:
        total = self._shown[group]
        told: Sequence[Count] = [None] * len(keys)
        if total is not None:
            told = small_cells.partition(counts, [keys.index(key) for key in preferred])
        return Table(name, group, total, _cells(keys, told))


def _cells(keys: Sequence[str], told: Sequence[Count]) -> list[Cell]:
    return [Cell(key, count) for key, count in zip(keys, told, strict=True)]


def _calendar(make: _Tables, first: date, last: date) -> list[Table]:
    """Weekdays, and days within them; over a longer span months."""
    weekday = make.partition("weekday", "accesses", WEEKDAYS)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    if len(days) > DAYS_TOLD:
        months = list(dict.fromkeys(f"{day:%Y-%m}" for day in days))
        return [make.partition("month", "accesses", months), weekday]
    parts = {key: [day.isoformat() for day in days if str(day.isoweekday()) == key] for key in WEEKDAYS}
    table = make.divided("day", weekday, parts)
    return [msgspec.structs.replace(table, cells=sorted(table.cells, key=lambda cell: cell.name)), weekday]


def _schools(make: _Tables) -> list[Table]:
    """Schools, and grades within them."""
    school = make.partition("school", "recorded", get_args(records.School), preferred=["unknown"])
    parts = {key: [f"{key}.{grade}" for grade in (*range(1, 7), "unknown")] for key in get_args(records.School)}
    grade = make.divided("grade", school, parts)
    known = {f"{key}.{each}" for key, most in GRADES.items() for each in (*range(1, most + 1), "unknown")}
    return [school, msgspec.structs.replace(grade, cells=[cell for cell in grade.cells if cell.name in known])]


def _contacts(make: _Tables, contact: Table) -> list[Table]:
    """Who it was: the young person, somebody about a child, or not known; and each contact."""
    told = {cell.name: cell.count for cell in contact.cells}
    inner = make.divided("contact", contact, {key: NOT_FORMED if key == "not_formed" else [key] for key in _CONTACTS})
    unknown = _rest(contact, ("emergency", "not_formed"))
    who = [Cell("self", told["self"]), Cell("about_child", told["about_child"]), Cell("unknown", unknown)]
    return [
        Table("person", contact.of, contact.total, who),
        msgspec.structs.replace(inner, within=None),
    ]


def _rest(table: Table, names: Sequence[str]) -> Count:
    """Several cells of a table together, where that follows from what is told; None where it does not."""
    told = {cell.name: cell.count for cell in table.cells}
    inside = [told[name] for name in names]
    outside = [count for name, count in told.items() if name not in names]
    if None not in inside:
        return sum(count for count in inside if count is not None)
    if table.total is None or None in outside:
        return None
    return table.total - sum(count for count in outside if count is not None)


def _totals(counted: Counted, shown: Mapping[Group, Count], contact: Table) -> Totals:
    accesses, answered, recorded = shown["accesses"], shown["answered"], shown["recorded"]
    held = _rest(contact, _CONTACTS[:-1])
    # People among cases, those with counselling among people: told where neither tells few of the other.
    group = next((name for name in reversed(_GROUPS) if shown[name] is not None), None)
    people = None if group is None else int(getattr(counted.people, group))
    size = None if group is None else shown[group]
    if people is not None and size is not None and (is_small(size - people) or is_small(people)):
        people = None
    held_people: Count = counted.held_people
    within = [number for number in (held, people) if number is not None]
    if held is None or is_small(counted.held_people) or any(is_small(each - counted.held_people) for each in within):
        held_people = None
    return Totals(
        accesses=accesses,
        not_answered=_difference(accesses, answered),
        answered=answered,
        recorded=recorded,
        unrecorded=_difference(answered, recorded),
        not_formed=_rest(contact, _CONTACTS[-1:]),
        held=held,
        people=people,
        held_people=held_people,
    )


def _difference(larger: Count, smaller: Count) -> Count:
    return None if larger is None or smaller is None else larger - smaller


def _hours(counted: Counted, days: int) -> list[HourOfDay]:
    return [
        HourOfDay(each.hour, None, None)
        if is_small(each.cases)
        else HourOfDay(each.hour, round(each.lines / days, 2), round(each.staff / days, 2))
        for each in counted.hours
    ]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), hours.TOKYO)
