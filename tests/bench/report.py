"""The table at the end, with what was asked beside what was measured."""

from rich.console import Console
from rich.table import Table

from tests.bench.loads import Numbers

# measure, number, how ours compares, what issue #2 asked
ASKED = [
    ("send", "events_per_s", "more", "≥ 40× (stretch 80×)"),
    ("send", "p50_ms", "less", ""),
    ("send", "p99_ms", "less", ""),
    ("send", "cpu_ms_per_event", "less", ""),
    ("delivery at 5/s", "p50_ms", "less", ""),
    ("delivery at 5/s", "p99_ms", "less", "≥ 4×"),
    ("delivery at 20/s", "p50_ms", "less", ""),
    ("delivery at 20/s", "p99_ms", "less", ""),
    ("delivery at 200/s", "p50_ms", "less", ""),
    ("delivery at 200/s", "p99_ms", "less", "ours ≤ 50 ms"),
    ("delivery at 200/s", "lost", "", ""),
    ("idle long polls", "memory_mb", "less", "≥ 3×"),
    ("idle long polls", "kb_per_user", "less", ""),
    ("idle long polls", "cpu_ms_per_poll", "less", "≥ 8×"),
    ("initial sync", "ms", "less", "≥ 10×"),
    ("initial sync", "mb", "", ""),
    ("initial sync, 1,000 rooms", "ms", "less", ""),
    ("initial sync, 1,000 rooms", "mb", "", ""),
    ("messages, 1,000 events", "p50_ms", "less", ""),
    ("messages, 1,000 events", "p99_ms", "less", ""),
]


def show(results: dict[str, dict[str, Numbers]]) -> None:
    """Print the comparison, then the ceiling and the scaling runs where they were made."""
    console = Console(width=110)
    table = Table("measure", "", "synapse", "madoguchi", "better by", "asked")
    for measure, key, better, asked in ASKED:
        theirs = results.get(measure, {}).get("synapse", {}).get(key)
        ours = results.get(measure, {}).get("madoguchi", {}).get(key)
        if theirs is None and ours is None:
            continue
        ratio = ""
        if theirs and ours and better:
            ratio = f"{(ours / theirs if better == 'more' else theirs / ours):.1f}×"
        table.add_row(measure, key, _number(theirs), _number(ours), ratio, asked)
    if table.row_count:
        console.print(table)
    ceiling = results.get("ceiling", {})
    if ceiling:
        table = Table("ceiling", "events/s", "p50 ms", "ours is of it", "asked")
        ours = results.get("send", {}).get("madoguchi", {}).get("events_per_s")
        for name, numbers in ceiling.items():
            share = f"1/{numbers['events_per_s'] / ours:.1f}" if ours else ""
            asked = "≥ 1/3" if name == "group commit" else ""
            table.add_row(name, _number(numbers["events_per_s"]), _number(numbers["p50_ms"]), share, asked)
        console.print(table)
    table = Table("scaling", "at", "p50 ms", "p99 ms")
    for measure in ("scaling: send", "scaling: sync", "scaling: messages"):
        for label, numbers in results.get(measure, {}).items():
            table.add_row(measure.split(": ")[1], label, _number(numbers["p50_ms"]), _number(numbers["p99_ms"]))
    if table.row_count:
        console.print(table)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"
