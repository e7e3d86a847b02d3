"""The table of contents against the specification's own list of operations, where that lies beside the project."""

import json
import re
from collections import Counter

import pytest

from madoguchi.matrix.api import CHAPTERS
from madoguchi.web.endpoint import ANYONE, OPTIONAL
from madoguchi.web.limits import LIMITS
from tests import matrix_page, oracle
from tests.conformance import BEYOND

ROWS = [row for rows in CHAPTERS.values() for row in rows]


def _shape(method: str, path: str) -> tuple[str, str]:
    return method.upper(), re.sub(r"\{[^}]*\}", "{}", path.strip())


def _letters(name: str) -> str:
    return name.replace("_", "").lower()


def _operations() -> list[tuple[str, str, str]]:
    if not oracle.DOCUMENT.exists():
        pytest.skip("the specification's OpenAPI document is not here")
    paths = json.loads(oracle.DOCUMENT.read_text())["paths"]
    return [
        (method, path.strip(), operation["operationId"])
        for path, methods in paths.items()
        for method, operation in methods.items()
        if isinstance(operation, dict) and "operationId" in operation
    ]


def test_every_operation_of_the_specification_has_a_row() -> None:
    rows = Counter(_shape(row.method, row.path) for row in ROWS)
    asked = Counter(_shape(method, path) for method, path, _ in _operations())
    assert sum(asked.values()) == 166
    assert {shape: count for shape, count in asked.items() if rows[shape] < count} == {}


def test_a_refusal_says_why_and_bears_the_operations_name() -> None:
    names = {operation for _, _, operation in _operations()}
    for row in ROWS:
        if row.refused is not None:
            assert row.operation in names, row.path
            assert len(row.refused) > 10, row.path


def test_a_handler_bears_the_operations_name() -> None:
    names = {_letters(operation) for _, _, operation in _operations()}
    shown = (row.handler.__name__ for row in ROWS if row.refused is None and not row.path.startswith(BEYOND))
    strangers = [name for name in shown if _letters(name) not in names]
    assert strangers == []


def test_the_page_for_people_says_what_the_table_says() -> None:
    assert matrix_page.PAGE.read_text(encoding="utf-8") == matrix_page.page(), "run: python -m tests.matrix_page"


# Rows that write, or that anybody may call, without a limit of their own; and why.
WITHOUT_LIMIT = {
    "get_wellknown": "the same few bytes for everybody",
    "get_wellknown_support": "the same few bytes for everybody",
    "get_versions": "the same few bytes for everybody",
    "get_login_flows": "the same few bytes for everybody",
    "logout": "whoever wants to leave is never kept",
    "logout_all": "whoever wants to leave is never kept",
    "register": "counts itself, once it is known what is asked for",
    "change_password": "interactive authentication counts the tries",
    "deactivate_account": "interactive authentication counts the tries",
    "ping_appservice": "only an application service may",
    "update_appservice_room_directory_visibility": "only an application service may",
    "sliding_sync_unstable": "reads, and waits where nothing is new",
    "sliding_sync": "reads, and waits where nothing is new",
}


def test_what_writes_or_takes_no_token_is_limited() -> None:
    without = {
        row.handler.__name__
        for row in ROWS
        if row.refused is None and row.limit is None and (row.method != "GET" or row.who in (ANYONE, OPTIONAL))
    }
    assert without == set(WITHOUT_LIMIT)
    assert {row.limit for row in ROWS if row.limit is not None} <= set(LIMITS)
