"""Brings the database to the schema of this version: alembic with plain-SQL migrations, over asyncpg."""

from pathlib import Path

import asyncpg

from madoguchi import database_roles, logs

log = logs.get(__name__)

# Any constant serves; it only has to be the same in every process that migrates.
ONE_AT_A_TIME = 0x6D61646F


def migrations_directory() -> Path:
    """Where env.py and versions/ lie: inside the installed package, or at the top of the checkout."""
    package = Path(__file__).parent
    shipped = package / "_migrations"
    return shipped if shipped.is_dir() else package.parent.parent / "migrations"


def newest_revision() -> str:
    """Name of the last migration of this version (files are numbered in order: NNNN_what.py)."""
    return max(path.stem for path in (migrations_directory() / "versions").glob("[0-9]*.py"))


async def current_revision(database_url: str) -> str | None:
    """Name of the last migration the database has had, None for an empty one."""
    connection = await asyncpg.connect(database_url)
    try:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
        return revision
    finally:
        await connection.close()


async def migrate(database_url: str) -> tuple[str | None, str]:
    """Run what is missing, in one transaction, one process at a time. Gives (revision before, revision now)."""
    newest = newest_revision()
    if await current_revision(database_url) == newest:
        await database_roles.refresh(database_url)
        return newest, newest
    # Held by a connection of its own, so that who dies in the middle leaves no lock behind.
    guard = await asyncpg.connect(database_url)
    try:
        await guard.execute(f"SELECT pg_advisory_lock({ONE_AT_A_TIME})")
        before = await current_revision(database_url)
        if before != newest:
            log.info("migrating the database", before=before, to=newest)
            await _upgrade(database_url)
        await database_roles.refresh(database_url)
        return before, newest
    finally:
        await guard.close()


async def _upgrade(database_url: str) -> None:
    # Imported here: a start that has nothing to migrate should not pay for them.
    from alembic import command
    from alembic.config import Config
    from sqlalchemy.engine import Connection
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(database_url)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)

    def run(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()
