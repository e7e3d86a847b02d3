"""The figures of the long runs: kept in build/soak.json, part by part, and printed as a table at the end of the run.

MADOGUCHI_TEST_QUICK=1 (`make soak QUICK=1`) makes the runs short, to see that they work; their figures mean nothing.
"""

import json
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

QUICK = os.environ.get("MADOGUCHI_TEST_QUICK") == "1"
WRITTEN = Path(__file__).parent.parent / "build" / "soak.json"
_noted: dict[str, dict[str, Any]] = {}


def note(part: str, **numbers: float | str | bool | None) -> None:
    """Keeps the figures of one part of this run in the place of those of an earlier run."""
    at = datetime.now().astimezone().isoformat(timespec="seconds")
    _noted[part] = {"at": at, "quick": QUICK, "numbers": numbers}
    try:
        known = json.loads(WRITTEN.read_text())
    except (OSError, ValueError):
        known = {}
    WRITTEN.parent.mkdir(exist_ok=True)
    WRITTEN.write_text(json.dumps(known | _noted, indent=2, ensure_ascii=False) + "\n")


def table() -> Iterator[str]:
    """What this run has noted, a line each."""
    for part, told in _noted.items():
        yield f"{part}{' (short run)' if told['quick'] else ''}"
        for name, value in told["numbers"].items():
            yield f"  {name:<36} {_shown(value):>12}"


def spread(what: str, seconds: Sequence[float]) -> dict[str, float]:
    """p50, p99 and maximum of what took so long, in milliseconds, under names that begin with `what`."""
    ordered = sorted(seconds)
    assert ordered, f"nothing was measured of {what}"
    p50, p99 = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99))
    milliseconds = {"p50_ms": p50, "p99_ms": p99, "max_ms": ordered[-1]}
    return {f"{what}_{name}": round(value * 1000, 1) for name, value in milliseconds.items()}


def _shown(value: Any) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else str(value)
