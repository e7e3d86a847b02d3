"""`madoguchi roles`: the roles under which the desk's processes enter a PostgreSQL of the operator's own."""

import asyncio
import sys

import asyncpg
import click

from madoguchi import config, database_roles
from madoguchi.config import Settings
from madoguchi.files import write_private
from madoguchi.flags import with_settings
from madoguchi.storage import roles as stored
from madoguchi.storage.grants import GRANTS, PROCESSES, Process
from madoguchi.up import Problem
from madoguchi.up.database import reachable


@click.group()
def roles() -> None:
    """Who of the desk's processes may do what in the database."""


@roles.command()
@with_settings
def make(settings: Settings) -> None:
    """Make a role for each process, or give the roles new passwords; database_url is the owner's or a superuser's.

    The passwords come into DATA/keys/database-PROCESS.password; each process uses its own from its next start on.
    """
    if not settings.database_url:
        raise click.ClickException("The embedded PostgreSQL has them: `madoguchi up` makes them anew at each start.")
    passwords = {process: database_roles.new_password() for process in stored.EVERY}
    try:
        database = database_roles.database_of(settings.database_url)
        longest = max(len(stored.role_name(database, process).encode()) for process in stored.EVERY)
        if longest > stored.LONGEST_NAME:
            raise click.ClickException(f"The database's name is too long: a role's has {stored.LONGEST_NAME} bytes.")
        settings.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        asyncio.run(database_roles.make(settings.database_url, passwords))
    except asyncpg.InsufficientPrivilegeError:
        raise click.ClickException(
            "The role of database_url may not make roles. Give a superuser's --database-url for this once, or "
            "ALTER ROLE … CREATEROLE."
        ) from None
    except (config.SettingsError, OSError, asyncpg.PostgresError) as error:
        raise click.ClickException(f"The roles could not be made: {error}") from None
    for process, password in passwords.items():
        file = database_roles.password_file(settings.keys, process)
        write_private(file, f"{password}\n".encode())
        click.echo(f"{stored.role_name(database, process)}  {file}")
    click.echo("Start the processes again; then `madoguchi doctor` says under which roles they are there.")


@roles.command()
@with_settings
def show(settings: Settings) -> None:
    """Show what each process may do (r read, a add, c change, d delete) and whether the database agrees."""
    width = max(map(len, GRANTS))
    click.echo(f"{'':{width}}  " + "  ".join(f"{process:24}" for process in PROCESSES).rstrip())
    for table, cells in GRANTS.items():
        click.echo(f"{table:{width}}  " + "  ".join(f"{cell or '-':24}" for cell in cells).rstrip())
    try:
        made, differences = asyncio.run(_looked_up(settings))
    except (Problem, OSError, asyncpg.PostgresError) as error:
        raise click.ClickException(f"The database was not asked: {error}") from None
    if not made:
        click.echo("\nThis database has no such roles: whoever enters it by database_url may do everything.")
        return
    for each in differences:
        held, meant = ", ".join(each.held) or "nothing", ", ".join(each.meant) or "nothing"
        click.echo(f"{each.process} on {each.table}: {held} instead of {meant}")
    click.echo("\n" + (f"{len(differences)} differ: `madoguchi migrate` mends it." if differences else "So it is."))
    sys.exit(1 if differences else 0)


async def _looked_up(settings: Settings) -> tuple[dict[Process, str], list[stored.Difference]]:
    async with reachable(settings) as found:
        connection = await asyncpg.connect(found.database_url)
        try:
            return await stored.list_made(connection), await stored.list_differences(connection)
        finally:
            await connection.close()
