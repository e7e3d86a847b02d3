"""docs/sync.md says which test shows what the specification asks for: the tests are there, and no row is without."""

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "sync.md").read_text()


def rows_shown() -> list[tuple[str, str]]:
    """(what is asked for, the cell with its tests) of all tables of tests."""
    rows: list[tuple[str, str]] = []
    in_table = False
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("|"):
            in_table = False
        elif cells[-1].strip("| ") == "shown by":
            in_table = True
        elif in_table and not line.startswith("|---"):
            rows.append((cells[0], cells[-1]))
    return rows


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`(\w+\.py)::(\w+)`", PAGE)
    assert len(named) > 100
    there = {
        (file, name)
        for file in {file for file, _ in named}
        for name in re.findall(r"^(?:async )?def (\w+)\(", (HERE / file).read_text(), re.M)
    }
    assert set(named) - there == set()


def test_every_row_has_its_test() -> None:
    rows = rows_shown()
    assert len(rows) > 60
    assert [asked for asked, shown in rows if not re.fullmatch(r"(`\w+\.py::\w+` ?)+", shown)] == []
