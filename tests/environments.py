"""Environments of their own under build/ for programs that tests talk with and that do not belong into ours."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def python_with(name: str, packages: Sequence[str], *, sources: str = "") -> Path:
    """The interpreter of the environment build/NAME, which has these packages (`package==version`); made once.

    sources: names, with commas, of what has no wheel on PyPI and is pure Python.
    """
    venv = ROOT / "build" / name
    python = venv / "bin" / "python"
    if not python.exists():
        # The same interpreter as ours, not our environment.
        subprocess.run([sys._base_executable, "-m", "venv", str(venv)], check=True)  # type: ignore[attr-defined]
    versions = dict(package.split("==") for package in packages)
    check = (
        f"import importlib.metadata as m; assert all(m.version(p.split('[')[0]) == v for p, v in {versions!r}.items())"
    )
    if subprocess.run([str(python), "-c", check], check=False, capture_output=True).returncode != 0:
        wheels = ["--only-binary", ":all:", *(["--no-binary", sources] if sources else [])]
        subprocess.run([str(python), "-m", "pip", "install", "-q", *wheels, *packages], check=True)
    return python
