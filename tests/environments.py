"""Environments of their own under build/ for programs that tests talk with and that do not belong into ours."""

import fcntl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAUTRIX = "0.21.1"
MAUBOT = "0.6.0"
MATRIX_COMMANDER = "8.0.6"


def mautrix() -> Path:
    """The interpreter of an environment with `mautrix`, what its encryption needs, and `maubot`, which stands on it."""
    return python_with(
        "mautrix-venv",
        [
            f"mautrix=={MAUTRIX}", f"maubot[encryption]=={MAUBOT}", "python-olm==3.2.16", "unpaddedbase64==2.1.0",
            "pycryptodome==3.24.1", "aiosqlite==0.22.1", "asyncpg==0.32.0",
        ],
    )  # fmt: skip


def matrix_commander() -> Path:
    """The program `matrix-commander` in an environment of its own."""
    packages = [f"matrix-commander=={MATRIX_COMMANDER}", "matrix-nio[e2e]==0.26.0"]
    return python_with("matrix-commander-venv", packages, sources="atomicwrites,uuid").with_name("matrix-commander")


def sources(python: Path, package: str) -> Path:
    """The folder of a package in the environment of this interpreter."""
    return next(python.parents[1].glob(f"lib/python*/site-packages/{package}"))


def python_with(name: str, packages: Sequence[str], *, sources: str = "") -> Path:
    """The interpreter of the environment build/NAME, which has these packages (`package==version`); made once.

    sources: names, with commas, of what has no wheel on PyPI and is pure Python.
    """
    venv = ROOT / "build" / name
    python = venv / "bin" / "python"
    venv.parent.mkdir(exist_ok=True)
    with (venv.parent / f"{name}.lock").open("w") as lock:
        # The two halves of a whole run (tools/test.sh) may want the same one.
        fcntl.flock(lock, fcntl.LOCK_EX)
        _make(venv, python, packages, sources)
    return python


def _make(venv: Path, python: Path, packages: Sequence[str], sources: str) -> None:
    if not python.exists():
        # The same interpreter as ours, not our environment. Our pip fills it: one of its own would take the longest.
        subprocess.run([sys._base_executable, "-m", "venv", "--without-pip", str(venv)], check=True)  # type: ignore[attr-defined]
    versions = dict(package.split("==") for package in packages)
    check = (
        f"import importlib.metadata as m; assert all(m.version(p.split('[')[0]) == v for p, v in {versions!r}.items())"
    )
    if subprocess.run([str(python), "-c", check], check=False, capture_output=True).returncode != 0:
        wheels = ["--only-binary", ":all:", *(["--no-binary", sources] if sources else [])]
        # Not compiled: a program uses a small part of what it brings.
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-compile"]
        subprocess.run([*pip, *wheels, *packages], check=True)
