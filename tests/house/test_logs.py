"""Logs: structured, and silent about what people wrote."""

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from madoguchi import logs

SAID = "眠れないんです"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    stream = io.StringIO()
    logs.setup("test", "debug", stream)
    yield stream
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:], root.level = handlers, level
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks


def lines(written: io.StringIO) -> list[dict[str, str]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_the_request_it_belongs_to(written: io.StringIO) -> None:
    logs.bind(request_id="r1")
    logs.get("madoguchi.part").info("case accepted", case_id="c1")
    (line,) = lines(written)
    assert {
        "event": "case accepted",
        "case_id": "c1",
        "request_id": "r1",
        "process": "test",
        "level": "info",
    }.items() <= line.items()
    logs.clear()
    logs.get("madoguchi.part").info("another")
    assert "request_id" not in lines(written)[1]


def test_what_a_library_filled_in_is_left_out(written: io.StringIO) -> None:
    logging.getLogger("library").warning("cannot decrypt %s", SAID)
    logging.getLogger("library").warning(f"cannot decrypt {SAID}")
    first, second = lines(written)
    assert first["event"] == "cannot decrypt %s"
    assert second["event"] == "warning from library"
    assert SAID not in written.getvalue()


def test_an_exception_is_told_without_its_text(written: io.StringIO) -> None:
    try:
        try:
            raise ValueError(SAID)
        except ValueError as error:
            raise RuntimeError(f"while handling {SAID}") from error
    except RuntimeError:
        logs.get("madoguchi.part").exception("failed")
    (line,) = lines(written)
    assert line["exception"].startswith("RuntimeError at house/test_logs.py:")
    assert "caused by ValueError at" in line["exception"]
    assert SAID not in written.getvalue()


def test_what_the_operating_system_says_is_kept(written: io.StringIO) -> None:
    try:
        Path("/nowhere/at/all").read_text()
    except OSError:
        logs.get("madoguchi.part").exception("failed")
    assert "No such file or directory" in lines(written)[0]["exception"]
