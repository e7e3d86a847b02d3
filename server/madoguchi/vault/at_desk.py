"""What the commands of the vault share: the shares that are typed in, and one transaction on the desk's database."""

import asyncio
import getpass
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import click

from madoguchi.config import Settings
from madoguchi.storage.db import Tx
from madoguchi.up import Problem
from madoguchi.up.database import reachable
from madoguchi.vault import ceremony, saved, shares, signing
from madoguchi.vault.ceremony import Witness
from madoguchi.vault.saved import Saved
from madoguchi.vault.transcript import harmless

T = TypeVar("T")


def witness(reason: str | None, holders: tuple[str, ...]) -> Witness:
    """Who, why and before whom; asked for on a terminal. Raises click.ClickException when it is not said."""
    if sys.stdin.isatty():
        if reason is None:
            reason = click.prompt("Why? (whoever reads the audit log reads it: nothing that was said)", err=True)
        if not holders:
            click.echo("The holders who are present, one name a line; an empty line ends them.", err=True)
            holders = tuple(iter(lambda: click.prompt("", default="", prompt_suffix=""), ""))
    if not (reason and holders):
        raise click.ClickException("Say why (--reason) and which holders are present (--holder NAME, one for each).")
    return Witness(person(), harmless(reason), [harmless(name.strip()) for name in holders])


def read_key(key_file: str) -> bytes:
    """The key from a file of shares, or from here (-). Raises click.ClickException."""
    try:
        if key_file == "-":
            if sys.stdin.isatty():
                click.echo("Type the shares, one a line; an empty line ends them.", err=True)
                text = "\n".join(iter(lambda: click.prompt("", default="", prompt_suffix="", hide_input=True), ""))
            else:
                text = sys.stdin.read()
        else:
            text = Path(key_file).read_text(encoding="utf-8")
        return shares.read(text)
    except OSError as error:
        raise click.ClickException(f"{key_file}: {error.strerror}.") from None
    except shares.SharesProblem as error:
        raise click.ClickException(str(error)) from None


def read_saved(settings: Settings, file: Path) -> Saved:
    """The wrapping keys that were saved of this desk. Raises click.ClickException."""
    try:
        return saved.read(file, settings.server_name)
    except saved.NotSaved as wrong:
        raise click.ClickException(str(wrong)) from None
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}.") from None


def person() -> str:
    """Who sits at this machine, for the audit log."""
    try:
        return f"{getpass.getuser()}@{os.uname().nodename}"
    except (OSError, KeyError):
        return f"uid {os.getuid()}@{os.uname().nodename}"


def in_database(settings: Settings, work: Callable[[Tx], Awaitable[T]]) -> T:
    """Do it in one transaction on the desk's database. Raises click.ClickException that says what is wrong."""

    async def run() -> T:
        async with reachable(settings) as found:
            connection: asyncpg.Connection[Any] = await asyncpg.connect(found.database_url)
            try:
                async with connection.transaction():
                    return await work(connection)
            finally:
                await connection.close()

    try:
        return asyncio.run(run())
    except (ceremony.VaultProblem, shares.SharesProblem, signing.NotGenuine, Problem) as error:
        raise click.ClickException(str(error)) from None
    except asyncpg.UndefinedTableError:
        raise click.ClickException("This database is not at this version's schema. Run `madoguchi migrate`.") from None
    except OSError as error:
        raise click.ClickException(f"The database cannot be reached: {error.strerror or error}.") from None
