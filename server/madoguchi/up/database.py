"""Reaching the desk's database from a command, whether the desk runs or not."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from madoguchi.config import Settings
from madoguchi.up import Problem, lock, runfile
from madoguchi.up.postgres import running


def postgres_directory(data: Path) -> Path:
    """Where the embedded PostgreSQL of a data directory lives."""
    return data / "postgres"


@contextlib.asynccontextmanager
async def reachable(settings: Settings) -> AsyncIterator[Settings]:
    """The settings with a database_url that answers for as long as the block lasts.

    That is the setting where it is set; else the embedded server of the running desk; else the embedded server, started
    just for this block. Raises Problem.
    """
    if settings.database_url:
        yield settings
    elif lock.is_running(settings.data):
        found = runfile.read(settings.run_file)
        if found is None:
            raise Problem(f"The desk on {settings.data} is just starting. Try again when it says that it is ready.")
        yield msgspec.structs.replace(settings, database_url=found.database_url)
    elif settings.data.is_dir():
        async with running(postgres_directory(settings.data), settings.logs / "postgres.log") as database_url:
            yield msgspec.structs.replace(settings, database_url=database_url)
    else:
        raise Problem(
            f"There is no desk in {settings.data}. Start it once with `madoguchi up`, or say --data / database_url."
        )
