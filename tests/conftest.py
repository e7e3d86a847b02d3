"""Fixtures for every test: the house, the cast and its people."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests import conformance, figures
from tests.cast import Cast, Person, a_cast
from tests.clients import ROOT, Shown
from tests.house import House, Workers

JUDGE = pytest.StashKey[conformance.Judge]()
APART = ("soak", "bench")  # only when asked for by name: `pytest -m soak`
LAST = ("test_canary",)  # what looks at the traces of all other stories


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--conformance", action="store_true", help="print the table of the Matrix API's operations")


def pytest_sessionstart(session: pytest.Session) -> None:
    if not os.environ.get("MADOGUCHI_TEST_SERVER"):
        conformance.start()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    judge = session.config.stash[JUDGE] = conformance.stop()
    accounted = not judge.can_judge or not judge.missing
    if session.exitstatus == pytest.ExitCode.OK and (judge.violations or not accounted):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in figures.table():
        terminalreporter.write_line(line)
    judge = config.stash.get(JUDGE, None)
    if judge is None or not judge.exchanges:
        return
    lines = list(judge.table()) if config.getoption("--conformance") else judge.violations
    for line in [*lines, judge.summary()]:
        terminalreporter.write_line(line)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for apart in APART:
        if apart not in config.getoption("markexpr"):
            left_out = [item for item in items if item.get_closest_marker(apart)]
            items[:] = [item for item in items if item not in left_out]
            config.hook.pytest_deselected(items=left_out)
    items.sort(key=lambda item: any(name in item.nodeid for name in LAST))


def _short_directory() -> tempfile.TemporaryDirectory[str]:
    # A socket's path must stay under 90 bytes, which pytest's own directories often do not.
    return tempfile.TemporaryDirectory(prefix="mado-", dir=os.environ.get("MADOGUCHI_TEST_TMP", "/tmp"))


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    """A running `madoguchi up --demo`, shared by the whole run: open registration, no limits."""
    if elsewhere := os.environ.get("MADOGUCHI_TEST_SERVER"):
        # Another homeserver at this address: to see whether a test or the server misreads the specification.
        house = House(Path("/nonexistent"))
        house.facts = {"base_url": elsewhere}
        yield house
        return
    with _short_directory() as directory:
        house = House(Path(directory) / "data")
        house.opens()
        try:
            yield house
        finally:
            house.closes()


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    """PostgreSQL and two `serve` processes, nothing else: cheaper, and one may be killed."""
    with _short_directory() as directory:
        workers = Workers(Path(directory), count=2)
        workers.start()
        try:
            yield workers
        finally:
            workers.stop()


@pytest.fixture
def shows(request: pytest.FixtureRequest) -> Iterator[Shown]:
    """For a test that plays a Matrix client: what it shows of it (clients.py)."""
    shown = Shown(f"{request.path.relative_to(ROOT)}::{request.function.__name__}")
    failed = request.session.testsfailed
    yield shown
    if request.session.testsfailed == failed:
        shown.agrees()


@pytest.fixture
async def cast(house: House) -> AsyncIterator[Cast]:
    async for cast in a_cast(house.base_url):
        yield cast


@pytest.fixture
async def mio(cast: Cast) -> Person:
    """澪, the young person."""
    return await cast.person("mio")


@pytest.fixture
async def ken(cast: Cast) -> Person:
    """健, a counsellor (here: an account of his own; the demo staff's Ken is `house.staff`)."""
    return await cast.person("ken")


@pytest.fixture
async def sato(cast: Cast) -> Person:
    """佐藤, the counsellor of the next shift."""
    return await cast.person("sato")


@pytest.fixture
async def aoi(cast: Cast) -> Person:
    """葵, who has nothing to do with it."""
    return await cast.person("aoi")
