"""Ken, as the tests of other clients meet him."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cast import Cast
from tests.house import House
from tests.matrix.on_nio import Client


@pytest.fixture
async def ken_on_nio(house: House, cast: Cast, tmp_path: Path) -> AsyncIterator[Client]:
    client = Client(house.base_url, tmp_path / "ken", "ken")
    await client.logs_in(await cast.person("ken"))
    yield client
    await client.nio.close()
