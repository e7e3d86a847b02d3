"""docs/desk-api.md, made from the desk API's table of contents (`python -m tests.desk_page`); a test compares."""

from pathlib import Path

from madoguchi.desk.api import CHAPTERS, DESK
from madoguchi.desk.document import roles_of
from madoguchi.web.endpoint import Row

PAGE = Path(__file__).resolve().parents[1] / "docs" / "desk-api.md"
HEAD = """# The desk API

Every operation under `/_madoguchi/desk/v1`, and who may call it: one table in code (`server/madoguchi/desk/api.py`, the
words in `permissions.py`), from which this page is made (`python -m tests.desk_page`). `tests/desk/test_permissions.py`
tries every cell. A token is a Matrix access token.

`GET /_madoguchi/desk/v1/openapi.json` is the same as an OpenAPI 3.1 document with the shapes of all that is taken and
given; every exchange of every test is held against it. Refusals are Matrix errors.
"""
COLUMNS = ("anybody", "young person", "counsellor", "supervisor", "administrator", "auditor", "keeper")
# Words of rows that are no roles of the desk, and the columns that they let in.
WORDS = {
    "anyone": set(COLUMNS),
    "optional": {"anybody", "young person"},
    "user": set(COLUMNS) - {"anybody"},
    "young_person": {"young person"},
    "keeper": {"keeper"},
    "bot": set(),
    "bridge": set(),
    "ghost": set(),
}


def page() -> str:
    """The page as it has to be."""
    parts = [HEAD]
    for chapter, rows in CHAPTERS.items():
        parts.append(f"## {chapter}\n")
        parts.append("| | " + " | ".join(COLUMNS) + " |\n|---|" + "---|" * len(COLUMNS))
        parts[-1] += "".join("\n" + _line(row) for row in rows) + "\n"
        parts.append("\n".join(f"- `{row.method} {_path(row)}`: {_summary(row)}" for row in rows) + "\n")
    return "\n".join(parts)


def _line(row: Row) -> str:
    cells = ("●" if name in _let_in(row) else " " for name in COLUMNS)
    return f"| `{row.method} {_path(row)}` | " + " | ".join(cells) + " |"


def _let_in(row: Row) -> set[str]:
    found: set[str] = set()
    for name in roles_of(row):
        found |= WORDS.get(name, {name})
    return found


def _path(row: Row) -> str:
    return row.path.removeprefix(DESK)


def _summary(row: Row) -> str:
    return " ".join((row.handler.__doc__ or "").partition("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
