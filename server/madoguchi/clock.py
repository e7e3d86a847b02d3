"""Time comes in: nothing below the composition root asks the machine for it."""

import time
from datetime import UTC, datetime


class Clock:
    """The wall clock. Tests hand in another with the same two methods."""

    def ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000

    def now(self) -> datetime:
        """The moment, with its zone (UTC)."""
        return datetime.now(UTC)
