"""Reaching the desk's database from a command, whether the desk runs or not."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from madoguchi.config import Settings
from madoguchi.up import Problem
from madoguchi.up.postgres import running


class RunFile(msgspec.Struct):
    """What a command needs of DATA/run.json."""

    database_url: str
    pid: int


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
    elif found := _of_running_desk(settings):
        yield msgspec.structs.replace(settings, database_url=found)
    else:
        directory = postgres_directory(settings.data)
        if not settings.data.is_dir():
            raise Problem(
                f"There is no desk in {settings.data}. Start it once with `madoguchi up`, or say --data / database_url."
            )
        async with running(directory, settings.logs / "postgres.log") as database_url:
            yield msgspec.structs.replace(settings, database_url=database_url)


def _of_running_desk(settings: Settings) -> str | None:
    try:
        run = msgspec.json.decode(settings.run_file.read_bytes(), type=RunFile)
        os.kill(run.pid, 0)
    except (OSError, msgspec.DecodeError):
        return None
    return run.database_url
