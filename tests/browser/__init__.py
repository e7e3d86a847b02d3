"""What is seen and done in a Chromium."""

import pytest

# What these assert is told as what a test asserts is.
pytest.register_assert_rewrite("tests.browser.people")
