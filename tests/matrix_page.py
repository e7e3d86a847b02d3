"""docs/matrix.md, made from the Matrix API's table of contents (`python -m tests.matrix_page`); a test compares."""

from pathlib import Path

from madoguchi.matrix.api import CHAPTERS
from madoguchi.web.endpoint import Row
from tests.conformance import BEYOND

PAGE = Path(__file__).resolve().parents[1] / "docs" / "matrix.md"
HEAD = """# What this server speaks

Every operation of the Matrix Client-Server API v1.19, chapter by chapter, as `server/madoguchi/matrix/api.py` has them.
This page is made from that table (`python -m tests.matrix_page`). There is no federation: nothing leaves.
An operation that is not offered says so, and why: `M_UNRECOGNIZED` (404), `M_FORBIDDEN` (403) or `M_NOT_FOUND` (404).
`make conformance` shows what the tests have seen of each chapter.
"""


def page() -> str:
    """The page as it has to be."""
    parts = [HEAD]
    for chapter, rows in CHAPTERS.items():
        parts.append(f"## {chapter}\n")
        offered = [row for row in rows if row.refused is None]
        refused = [row for row in rows if row.refused is not None and not row.also]
        if offered:
            parts.append("\n".join(f"- `{row.method} {row.path}`" + _beyond(row) for row in offered) + "\n")
        if refused:
            parts.append("Not offered:\n")
            parts.append("\n".join(f"- `{row.method} {row.path}`: {row.refused}" for row in refused) + "\n")
    return "\n".join(parts)


def _beyond(row: Row) -> str:
    return " (a proposal, not yet in the specification)" if row.path.startswith(BEYOND) else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
