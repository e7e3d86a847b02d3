"""`madoguchi staff`: who works at the desk, from the operator's own machine."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from madoguchi import commands, errors
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.desk import staff as rules
from madoguchi.flags import with_settings
from madoguchi.storage import staff as stored
from madoguchi.storage.db import Tx
from madoguchi.storage.staff import Role
from madoguchi.up import Problem
from madoguchi.up.database import reachable

_Result = TypeVar("_Result")


def operator() -> str:
    """Who changes something from the machine itself, as it is written down: the name of the system's user."""
    try:
        return f"operator:{getpass.getuser()}"
    except (KeyError, OSError):
        return "operator"


def in_transaction(settings: Settings, act: Callable[[Context, Tx], Awaitable[_Result]]) -> _Result:
    """Runs `act` in one transaction on the desk's database, whether it runs or not. A refusal ends the command."""

    async def run() -> _Result:
        async with reachable(settings) as found, commands.context(found) as ctx, ctx.db.transaction() as tx:
            return await act(ctx, tx)

    try:
        return asyncio.run(run())
    except errors.Refused as refused:
        raise click.ClickException(refused.message) from None
    except Problem as problem:
        raise click.ClickException(str(problem)) from None


@click.group()
def staff() -> None:
    """Counsellors, supervisors and administrators."""


@staff.command()
@click.argument("localpart")
@click.option("--name", required=True, help="The name that young people see.")
@click.option(
    "--role",
    type=click.Choice(["counsellor", "supervisor", "administrator", "auditor"]),
    default="counsellor",
    show_default=True,
)
@click.option("--capacity", type=click.IntRange(0, 100), help="Running cases at most (otherwise the desk's default).")
@click.option("--password", "ask", flag_value=True, is_flag=True, help="Ask for the password; otherwise one is made.")
@with_settings
def add(settings: Settings, localpart: str, name: str, role: Role, capacity: int | None, ask: bool) -> None:
    """Add a member of staff. LOCALPART is the part of the user id between @ and the colon."""
    password = click.prompt("Password", hide_input=True, confirmation_prompt=True) if ask else None

    async def act(ctx: Context, tx: Tx) -> rules.Added:
        return await rules.add(ctx, tx, localpart, name, role, capacity, by=operator(), password=password)

    added = in_transaction(settings, act)
    click.echo(f"{added.user_id}  {added.name}  {added.role}  capacity {added.capacity}")
    if not ask:
        click.echo(f"password: {added.password}")
        click.echo("It is shown this once. Please have it changed after the first sign-in.", err=True)


@staff.command(name="list")
@with_settings
def list_staff(settings: Settings) -> None:
    """Show everybody, one a line."""

    async def act(ctx: Context, tx: Tx) -> list[stored.Staff]:
        return await stored.list_staff(tx)

    for person in in_transaction(settings, act):
        state = f"disabled {person.disabled_at:%Y-%m-%d}" if person.disabled_at else "active"
        click.echo(f"{person.user_id}\t{person.name}\t{person.role}\tcapacity {person.capacity}\t{state}")


@staff.command()
@click.argument("user")
@with_settings
def disable(settings: Settings, user: str) -> None:
    """End all sessions of USER (a user id, or its first part) at once; their cases go back to the queue."""
    user_id = user if user.startswith("@") else f"@{user}:{settings.server_name}"

    async def act(ctx: Context, tx: Tx) -> None:
        await rules.disable(ctx, tx, user_id, by=operator())

    in_transaction(settings, act)
    click.echo(f"{user_id} is disabled: signed out everywhere.")
