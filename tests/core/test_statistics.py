"""Statistics: whatever was counted, no small number is told, nor follows from what is told."""

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from madoguchi.core.desk.records import GRADES, NOT_FORMED
from madoguchi.core.desk.small_cells import is_small
from madoguchi.core.desk.statistics import DAYS_TOLD, Figures, figures
from madoguchi.storage import records
from madoguchi.storage import statistics as stored
from madoguchi.storage.statistics import Counted, Groups, Spread, Spreads

FIRST = date(2026, 11, 2)
# A prime: elimination with whole numbers, where none can vanish by rounding.
_PRIME = 2**61 - 1

Case = dict[str, str | list[str] | bool | int]


def cases(days: int) -> st.SearchStrategy[Case]:
    """A case as the database shows it; few categories are frequent, most are rare."""
    school = st.sampled_from(["junior_high", "junior_high", "high", "elementary", "unknown"])
    codes: dict[str, st.SearchStrategy[object]] = {
        "channel": st.sampled_from(["web", "web", "web", "line", "matrix"]),
        "day": st.integers(0, days - 1),
        "hour": st.sampled_from(["16", "20", "20", "21"]),
        "waiting": st.sampled_from(["0", "1", "5"]),
        "duration": st.sampled_from(["1", "2", "2", "running"]),
        "contact": st.sampled_from(["self"] * 6 + [*get_args(records.Contact)]),
        "visit": st.sampled_from(get_args(records.Visit)),
        "age": st.sampled_from(["13_15", "13_15", "16_17", "unknown"]),
        "school": school,
        "grade": st.integers(0, 3),
        "gender": st.sampled_from(["female", "female", "female", "male", "not_given"]),
        "prefecture": st.sampled_from(["27", "27", "13", "unknown"]),
        "risk": st.sampled_from(["none", "none", "none", "watch", "high", "urgent"]),
        "attitude": st.sampled_from(["calmer", "same", "unknown"]),
        "consent": st.sampled_from(["not_asked", "not_asked", "given"]),
        "outcome": st.sampled_from(["settled", "settled", "continues"]),
        "ended_by": st.sampled_from(["agreed", "agreed", "silence"]),
        "topics": st.lists(
            st.sampled_from(["friends", "friends", "family", "suicidal", "other"]), min_size=1, max_size=3
        ),
        "risk_reasons": st.lists(st.sampled_from(["ideation", "alone"]), max_size=2),
        "actions": st.lists(st.sampled_from(["listened", "safety"]), max_size=2),
        "referrals": st.lists(st.sampled_from(["school", "police"]), max_size=1),
        "state": st.sampled_from(["recorded"] * 8 + ["answered", "unanswered"]),
        "person": st.integers(0, 60),
    }
    return st.fixed_dictionaries(codes)  # type: ignore[return-value]


def counted(days: int, found: list[Case]) -> Counted:
    """What the database would count."""
    answered = [case for case in found if case["state"] != "unanswered"]
    recorded = [case for case in found if case["state"] == "recorded"]
    held = [case for case in recorded if case["contact"] not in NOT_FORMED]
    groups = (found, answered, recorded)

    def key(case: Case, name: str, group: list[Case]) -> str:
        day = FIRST + timedelta(days=int(str(case["day"])))
        made = {
            "day": day.isoformat(),
            "month": f"{day:%Y-%m}",
            "weekday": str(day.isoweekday()),
            "grade": f"{case['school']}.{case['grade'] if case['school'] in GRADES and case['grade'] else 'unknown'}",
        }
        return made.get(name, str(case.get(name)))

    def by(name: str) -> dict[str, Groups]:
        each = [Counter(key(case, name, group) for case in group) for group in groups]
        return {one: Groups(*(count[one] for count in each)) for one in each[0] | each[1]}

    def people(group: list[Case]) -> int:
        return len({case["person"] for case in group})

    spread = Spreads(Spread(1.0, 1.0, 1.0) if answered else None, Spread(1.0, 1.0, 1.0) if recorded else None)
    return Counted(
        total=Groups(*map(len, groups)),
        people=Groups(*map(people, groups)),
        held=len(held),
        held_people=people(held),
        by={name: by(name) for name in stored.SINGLE},
        chosen={name: dict(Counter(one for case in recorded for one in set(case[name]))) for name in stored.SEVERAL},  # type: ignore[arg-type]
        waits=spread,
        durations=spread,
        hours=[],
    )


class Attacker:
    """Knows what is shown, and every sum that holds: asks which numbers follow by adding and subtracting."""

    def __init__(self, shown: Figures, truth: dict[str, int]) -> None:
        self.truth = truth
        self._rows: list[dict[str, int]] = []
        known = dict(_known(shown))
        for parts, whole in _sums(shown):
            row: dict[str, int] = {}
            for name, sign in [*((part, 1) for part in parts), (whole, -1)]:
                if name not in known:
                    row[name] = row.get(name, 0) + sign
            self._add({name: value for name, value in row.items() if value})

    def _add(self, row: dict[str, int]) -> None:
        for pivot, kept in ((next(iter(each)), each) for each in self._rows):
            if pivot in row:
                row = _minus(row, kept, row[pivot])
        if not row:
            return
        pivot = next(iter(row))
        inverse = pow(row[pivot], -1, _PRIME)
        row = {name: value * inverse % _PRIME for name, value in row.items()}
        self._rows = [_minus(each, row, each[pivot]) if pivot in each else each for each in self._rows] + [row]

    def finds(self) -> set[str]:
        """What is left out and follows all the same."""
        return {next(iter(row)) for row in self._rows if len(row) == 1}


def _minus(row: dict[str, int], other: dict[str, int], times: int) -> dict[str, int]:
    # The pivot stays first: what a row begins with is what it says.
    found = {name: (row.get(name, 0) - times * other.get(name, 0)) % _PRIME for name in [*row, *other]}
    return {name: value for name, value in found.items() if value}


def _known(shown: Figures) -> Iterator[tuple[str, int]]:
    for name in shown.totals.__struct_fields__:
        if (count := getattr(shown.totals, name)) is not None:
            yield name, count
    for table in shown.tables:
        for cell in table.cells:
            if cell.count is not None:
                yield f"{table.name}:{cell.name}", cell.count


def _sums(shown: Figures) -> Iterator[tuple[list[str], str]]:
    """(parts, whole) for everything that adds up."""
    cells = {table.name: [cell.name for cell in table.cells] for table in shown.tables}
    for table in shown.tables:
        if not table.several and table.within is None:
            yield [f"{table.name}:{cell}" for cell in cells[table.name]], table.of
    for outer in cells.get("weekday", []) if "day" in cells else []:
        inner = [f"day:{day}" for day in cells["day"] if str(date.fromisoformat(day).isoweekday()) == outer]
        yield inner, f"weekday:{outer}"
    for outer in cells["school"]:
        inner = [f"grade:{cell}" for cell in cells["grade"] if cell.split(".")[0] == outer]
        if inner:
            yield inner, f"school:{outer}"
    yield ["answered", "not_answered"], "accesses"
    yield ["recorded", "unrecorded"], "answered"
    yield ["held", "not_formed"], "recorded"
    yield [f"contact:{each}" for each in NOT_FORMED], "not_formed"
    yield [f"contact:{each}" for each in ("self", "about_child", "emergency")], "held"
    for each in ("self", "about_child"):
        yield [f"contact:{each}"], f"person:{each}"
    yield [f"contact:{each}" for each in ("emergency", *NOT_FORMED)], "person:unknown"
    # How often people came again, and how many people never had a talk.
    group = (
        "accesses"
        if shown.totals.accesses is not None
        else "answered"
        if shown.totals.answered is not None
        else "recorded"
    )
    yield ["people", "again"], group
    yield ["held_people", "held_again"], "held"
    yield ["held_people", "never"], "people"
    yield ["people", "again_of_all"], "accesses"
    for table in shown.tables:
        if table.several:
            for cell in cells[table.name]:
                yield [f"{table.name}:{cell}", f"{table.name}:not {cell}"], "recorded"


def _truth(shown: Figures, count: Counted) -> dict[str, int]:
    """Every number that is told or left out, as it is."""
    total, held = count.total, count.held
    found = {
        "accesses": total.accesses, "answered": total.answered, "recorded": total.recorded, "held": held,
        "not_answered": total.accesses - total.answered, "unrecorded": total.answered - total.recorded,
        "not_formed": total.recorded - held, "held_people": count.held_people,
    }  # fmt: skip
    of = next(
        (name for name in ("accesses", "answered", "recorded") if getattr(shown.totals, name) is not None), "recorded"
    )
    found["people"] = getattr(count.people, of)
    found |= {"again": found[of] - found["people"], "held_again": held - count.held_people}
    found["never"] = found["people"] - count.held_people
    for table in shown.tables:
        for cell in table.cells:
            if table.several:
                found[f"{table.name}:{cell.name}"] = count.chosen[table.name].get(cell.name, 0)
                found[f"{table.name}:not {cell.name}"] = total.recorded - found[f"{table.name}:{cell.name}"]
            elif table.name != "person":
                groups = count.by[table.name].get(cell.name, Groups(0, 0, 0))
                found[f"{table.name}:{cell.name}"] = getattr(groups, table.of)
    contact = {name: found[f"contact:{name}"] for name in get_args(records.Contact)}
    found |= {f"person:{name}": contact[name] for name in ("self", "about_child")}
    found["person:unknown"] = sum(contact.values()) - contact["self"] - contact["about_child"]
    return found


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_small_number_is_told_or_follows(data: st.DataObject) -> None:
    days = data.draw(st.sampled_from([1, 7, 30, DAYS_TOLD + 1]))
    found = data.draw(st.lists(cases(days), max_size=data.draw(st.sampled_from([8, 25, 60, 120]))))
    count = counted(days, found)
    shown = figures(count, FIRST, FIRST + timedelta(days=days - 1))
    truth = _truth(shown, count)
    for name, told in _known(shown):
        assert told == truth[name] and not is_small(told), name
    small = {name for name in Attacker(shown, truth).finds() if is_small(truth.get(name, 0))}
    assert not small, small


def test_many_are_told_as_they_are() -> None:
    day = {"channel": "web", "hour": "20", "waiting": "1", "duration": "2", "visit": "first", "age": "13_15"}
    codes = {"school": "high", "gender": "female", "prefecture": "27", "risk": "none", "attitude": "calmer"}
    more = {"consent": "given", "outcome": "settled", "ended_by": "agreed", "risk_reasons": [], "actions": ["listened"]}
    case = {**day, **codes, **more, "contact": "self", "topics": ["family"], "referrals": [], "state": "recorded"}
    found = [{**case, "day": number % 7, "grade": 1 + number % 2, "person": number} for number in range(140)]
    shown = figures(counted(7, found), FIRST, FIRST + timedelta(days=6))  # type: ignore[arg-type]
    totals = shown.totals
    assert (totals.accesses, totals.not_answered, totals.held, totals.people, totals.held_people) == (
        140,
        0,
        140,
        140,
        140,
    )
    tables = {table.name: {cell.name: cell.count for cell in table.cells} for table in shown.tables}
    assert set(tables["day"].values()) == set(tables["weekday"].values()) == {20}
    assert (tables["grade"]["high.1"], tables["grade"]["high.2"], tables["grade"]["high.unknown"]) == (70, 70, 0)
    assert tables["topics"]["family"] == 140 and tables["topics"]["abuse"] == 0
    assert tables["person"] == {"self": 140, "about_child": 0, "unknown": 0}
    # Two that nobody answered are not told, nor is how many came with them.
    few = figures(counted(7, [*found, *({**found[0], "state": "unanswered"} for _ in range(2))]), FIRST, FIRST)  # type: ignore[list-item, arg-type]
    assert (few.totals.accesses, few.totals.not_answered, few.totals.answered) == (None, None, 140)
    assert next(table.of for table in few.tables if table.name == "channel") == "answered"
