"""Each process enters the database under a role of its own, with a password of its own.

Of the embedded PostgreSQL they are the supervisor's affair: new passwords at each start, told to the processes alone.
Of an operator's own PostgreSQL `madoguchi roles make` makes them; a process whose password lies in DATA/keys uses it,
and one that has none there enters as `database_url` says.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import asyncpg
import msgspec

from madoguchi import config, logs
from madoguchi.config import Settings
from madoguchi.storage import roles
from madoguchi.storage.grants import Process
from madoguchi.storage.roles import Difference

log = logs.get(__name__)


def password_file(keys: Path, process: Process) -> Path:
    """Where the password of a process's role lies."""
    return keys / f"database-{process}.password"


def new_password() -> str:
    return secrets.token_urlsafe(32)


def entered_by(settings: Settings, process: Process) -> Settings:
    """The settings with the database_url under which a process enters. Raises config.SettingsError."""
    file = password_file(settings.keys, process)
    if not settings.database_url or not file.exists():
        return settings
    try:
        password = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise config.SettingsError(f"{file} cannot be read: {type(error).__name__}.") from None
    url = url_as(settings.database_url, roles.role_name(database_of(settings.database_url), process), password)
    return msgspec.structs.replace(settings, database_url=url)


def database_of(database_url: str) -> str:
    """The database that a URL names. Raises config.SettingsError."""
    parts = urlsplit(database_url)
    asked = dict(parse_qsl(parts.query))
    name = unquote(parts.path.lstrip("/")) or asked.get("dbname") or asked.get("database")
    if not name:
        raise config.SettingsError("database_url does not name the database: postgresql://HOST/DATABASE.")
    return name


def url_as(database_url: str, role: str, password: str) -> str:
    """The same place, entered by another role."""
    parts = urlsplit(database_url)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name not in ("user", "password")]
    place = f"{quote(role, safe='')}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=place, query=urlencode(kept, safe="/:,")))


async def make(database_url: str, passwords: Mapping[Process, str]) -> None:
    """Make these roles, with these passwords, and what they may do. Raises asyncpg.InsufficientPrivilegeError."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await roles.make(connection, passwords)
    finally:
        await connection.close()


async def refresh(database_url: str) -> list[Difference]:
    """Bring roles that are made to what this version's processes need; nothing where there are none."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            if not await roles.list_made(connection):
                return []
            changed = await roles.apply(connection)
    finally:
        await connection.close()
    if changed:
        log.info("roles of the database follow this version", tables=len({each.table for each in changed}))
    return changed
