"""A PostgreSQL with the product's schema, and the bridges' parts over it."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from madoguchi import database_roles
from madoguchi.migrate import migrate
from tests.bridges.parts import Bench, a_bench
from tests.postgres import Postgres

KEY = bytes(range(32))


@pytest.fixture(scope="session")
def bridges_database() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="mado-", dir=os.environ.get("MADOGUCHI_TEST_TMP", "/tmp")) as directory:
        postgres = Postgres(Path(directory))
        postgres.start()
        try:
            url = postgres.create("madoguchi")
            asyncio.run(migrate(url))
            asyncio.run(database_roles.make(url, {"bridges": KEY.hex()}))
            yield url
        finally:
            postgres.stop()


@pytest.fixture
async def bench(bridges_database: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """One LINE channel in mode `relay`."""
    async with a_bench(bridges_database, KEY, tmp_path) as bench:
        yield bench
