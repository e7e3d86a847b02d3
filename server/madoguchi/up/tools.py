"""PostgreSQL's own tools (psql, pg_dump, pg_restore, …) on the desk's database."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from madoguchi.up import Problem
from madoguchi.up.postgres import find_bindir

# What libpq reads from the environment (PostgreSQL documentation, "Environment Variables"), by its name in a URL.
_VARIABLES = {
    "host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY",
}  # fmt: skip


def environment_of(database_url: str) -> dict[str, str]:
    """The PG… variables that stand for a URL: a password must not be seen in a command line."""
    parts = urlsplit(database_url)
    values = {
        "host": parts.hostname,
        "port": str(parts.port) if parts.port else None,
        "user": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "dbname": unquote(parts.path.lstrip("/")) or None,
        **dict(parse_qsl(parts.query)),
    }
    return {_VARIABLES[name]: value for name, value in values.items() if value and name in _VARIABLES}


async def run_tool(database_url: str, command: Sequence[str]) -> int:
    """Run a command on the database and give its exit code; the embedded server's own tools come first in its PATH.

    pg_dump leaves out what a purge has to reach in every copy (storage/wrapping.py). Raises Problem for pg_dumpall,
    which can't.
    """
    name = Path(command[0]).name
    if name == "pg_dumpall":
        raise Problem("pg_dumpall would have the wrapping keys in it, where no purge reaches them: use pg_dump.")
    if name == "pg_dump":
        command = [command[0], "--exclude-table-data=public.wrapping_keys", *command[1:]]
    path = f"{find_bindir()}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environ = {**os.environ, **environment_of(database_url), "PATH": path}
    try:
        # Through env, which looks the tool up in the PATH it is given.
        process = await asyncio.create_subprocess_exec("/usr/bin/env", *command, env=environ)
    except OSError as error:
        raise Problem(f"{command[0]} cannot be run: {error.strerror}.") from None
    return await process.wait()
