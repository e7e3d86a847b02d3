"""A browser for each test."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.browser.people import a_browser


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as opened:
        yield opened
