"""The statistics as a table for a spreadsheet, and as JSON: in the categories of the ministries' forms."""

import csv
import io
from collections.abc import Iterator
from datetime import datetime

import msgspec

from madoguchi.core.desk import categories, hours
from madoguchi.core.desk.small_cells import FEWEST, Count
from madoguchi.core.desk.statistics import Figures, Statistics, Table, Times

# As official statistics write what is left out.
LEFT_OUT = "x"
# What a spreadsheet would take for a formula, in half and full width.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
Row = tuple[str, str, str, str, str]


def as_json(found: Statistics, desk: str, at: datetime) -> str:
    """The statistics as JSON text, with the words for every code beside it."""
    words = {"fields": categories.FIELDS, "tables": categories.TABLES, "titles": categories.TITLES}
    about = {"desk": desk, "made_at": at.astimezone(hours.TOKYO).isoformat(timespec="seconds"), "fewest": FEWEST}
    body = {**about, **msgspec.to_builtins(found), "words": {**words, "totals": categories.TOTALS}}
    return msgspec.json.format(msgspec.json.encode(body), indent=1).decode() + "\n"


def as_csv(found: Statistics, desk: str, at: datetime, english: bool) -> str:
    """The statistics as CSV (RFC 4180) with the mark by which Excel knows UTF-8. No cell is a formula."""
    written = io.StringIO()
    written.write("\ufeff")
    writer = csv.writer(written, lineterminator="\r\n")
    for row in _rows(found, desk, at, int(english)):
        writer.writerow([_harmless(cell) for cell in row])
    return written.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _rows(found: Statistics, desk: str, at: datetime, language: int) -> Iterator[Row]:
    yield (
        ("区分", "符号", "項目", "この期間", "前の期間"),
        ("Table", "Code", "Category", "This span", "Span before"),
    )[language]
    yield from _about(found, desk, at, language)
    title = categories.TITLES["totals"][language]
    for name, words in categories.TOTALS.items():
        now, before = (getattr(each.totals, name) for each in (found.current, found.previous))
        yield (title, name, words[language], _written(now), _written(before))
    for table in found.current.tables:
        yield from _table(table, _of(found.previous, table.name), language)
        if table.name in ("waiting", "duration"):
            yield from _times(table.name, found, language)
    yield from _hours(found, language)
    yield from _survey(found.current, language)


def _about(found: Statistics, desk: str, at: datetime, language: int) -> Iterator[Row]:
    title = ("この表", "About")[language]
    made = f"{at.astimezone(hours.TOKYO):%Y-%m-%d %H:%M}"
    now, before = (f"{each.first} / {each.last}" for each in (found.current, found.previous))
    yield (title, "desk", ("窓口", "Desk")[language], desk, "")
    yield (title, "span", ("期間(最初の日 / 最後の日)", "Span (first day / last day)")[language], now, before)
    yield (title, "made_at", ("作成日時(日本時間)", "Made at (Japan)")[language], made, "")
    left_out = (
        f"{FEWEST}件未満の数と、そこから{FEWEST}件未満の数がわかってしまう数",
        f"Numbers below {FEWEST}, and numbers from which one would follow",
    )[language]
    yield (title, "left_out", left_out, LEFT_OUT, LEFT_OUT)


def _table(table: Table, before: Table | None, language: int) -> Iterator[Row]:
    title = categories.TITLES[table.name][language]
    group = categories.TOTALS[table.of][language]
    total = None if before is None or before.of != table.of else before.total
    yield (title, f"{table.name}.of", group, _written(table.total), _written(total))
    # Days and months are other ones in the span before.
    dated = table.name in ("day", "month")
    earlier = {} if before is None or dated else {cell.name: cell.count for cell in before.cells}
    names = [*(cell.name for cell in table.cells)]
    names += [name for name in earlier if name not in names]
    now = {cell.name: cell.count for cell in table.cells}
    for name in names:
        known = _written(earlier.get(name, 0)) if before is not None and not dated else ""
        yield (title, name, categories.name_of(table.name, name, bool(language)), _written(now.get(name, 0)), known)


def _times(name: str, found: Statistics, language: int) -> Iterator[Row]:
    title = categories.TITLES[name][language]
    spans: list[Times | None] = [getattr(each, name) for each in (found.current, found.previous)]
    for figure, words in categories.TIMES.items():
        told = [LEFT_OUT if each is None else f"{getattr(each, figure) / 60:.1f}" for each in spans]
        yield (title, f"{name}.{figure}", words[language], told[0], told[1])


def _hours(found: Statistics, language: int) -> Iterator[Row]:
    for what, words in (
        ("lines", ("同時に受けていた相談の平均", "Cases at once, on average")),
        ("staff", ("相談を受けていた職員の平均", "Staff with a case, on average")),
    ):
        for now, before in zip(found.current.hours, found.previous.hours, strict=True):
            hour = f"{now.hour:02}"
            told = [_average(getattr(each, what)) for each in (now, before)]
            yield (words[language], f"{what}.{hour}", hour, told[0], told[1])


def _average(number: float | None) -> str:
    return LEFT_OUT if number is None else f"{number:.2f}"


def _survey(figures: Figures, language: int) -> Iterator[Row]:
    title = ("相談のあとのアンケート", "Survey after cases")[language]
    questions = {
        "heard": ("話を聞いてもらえた", "Was listened to"),
        "mood": ("相談のあとの気持ち", "Mood afterwards"),
        "again": ("また相談したい", "Would come again"),
    }
    answers = (("よい", "good"), ("ふつう", "in between"), ("よくない", "bad"))
    for month in figures.survey:
        for question, given in month.given.items():
            for number, answer in enumerate(answers):
                name = f"{questions[question][language]}: {answer[language]} ({month.month})"
                count = None if given is None else given[number]
                yield (title, f"{month.month}.{question}.{number + 1}", name, _written(count), "")


def _of(figures: Figures, name: str) -> Table | None:
    return next((table for table in figures.tables if table.name == name), None)


def _written(count: Count) -> str:
    return LEFT_OUT if count is None else str(count)
