"""The command `madoguchi`. Each verb imports what it needs when it runs, so that all of them start quickly."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar

import click

from madoguchi import config, logs
from madoguchi.config import Settings
from madoguchi.flags import with_settings
from madoguchi.up import Problem


class Verbs(click.Group):
    """The verbs below, and groups of verbs that live with their subject and are imported only when called."""

    elsewhere: ClassVar[dict[str, tuple[str, str, str]]] = {
        "staff": ("madoguchi.cli_staff", "staff", "Counsellors, supervisors and administrators."),
        "channel": ("madoguchi.cli_channel", "channel", "The ways people reach the desk."),
        "case": ("madoguchi.cli_case", "case", "Single cases: destroy one before its time."),
        "drill": ("madoguchi.cli_drill", "drill", "Practise suspending a channel, with people that do not exist."),
        "audit": ("madoguchi.cli_audit", "audit", "Who did what: check the log, export it."),
        "ledger": ("madoguchi.cli_ledger", "ledger", "Who can view what from where: show, make, compare, check."),
        "roles": ("madoguchi.cli_roles", "roles", "Who of the processes may do what in a database of your own."),
        "roster": ("madoguchi.cli_roster", "roster", "Who is of the staff, by which keys: sign it, check it."),
        "vault": ("madoguchi.vault.cli", "vault", "The sealed keys: make the vault, open a case with k of n shares."),
        "wrapping": ("madoguchi.vault.cli_wrapping", "wrapping", "What sealed keys are wrapped in: save, load."),
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands, *self.elsewhere]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.elsewhere:
            module, attribute, _ = self.elsewhere[cmd_name]
            command: click.Command = getattr(__import__(module, fromlist=[attribute]), attribute)
            return command
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, command.get_short_help_str(80)) for name, command in self.commands.items()]
        rows += [(name, text) for name, (_, _, text) in self.elsewhere.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="madoguchi")
def main() -> None:
    """窓口: one counselling desk that its operator owns."""


@main.command()
@with_settings
def serve(settings: Settings) -> None:
    """Run one web worker: Matrix API, desk API, web pages."""
    from madoguchi import app

    _run("serve", settings, app.run, enters=True)


@main.command()
@with_settings
def migrate(settings: Settings) -> None:
    """Bring the database to this version's schema."""
    from madoguchi.migrate import migrate as run_migrations
    from madoguchi.up.database import reachable

    async def run(settings: Settings) -> None:
        async with reachable(settings) as found:
            before, now = await run_migrations(found.database_url)
        click.echo(f"The database is at {now}" + (", as it was." if before == now else f" (was {before or 'empty'})."))

    _run("migrate", settings, run)


@main.command()
@click.option("--demo", is_flag=True, help="Also make two demo counsellors and print their passwords.")
@with_settings
def up(settings: Settings, demo: bool) -> None:
    """Run everything on this machine: database, serve, bridges, keeper, work."""
    from madoguchi.up.supervisor import up as run_all

    logs.setup("up", settings.log_level)
    try:
        asyncio.run(run_all(settings, demo, click.echo))
    except (Problem, config.SettingsError) as error:
        raise click.ClickException(str(error)) from None


@main.command()
@click.option("--demo", is_flag=True, help="Also make two demo counsellors and print their passwords.")
@with_settings
def init(settings: Settings, demo: bool) -> None:
    """Make what a desk needs before its processes start one by one: schema, keys, the administrator's link."""
    from madoguchi.bootstrap import bootstrap
    from madoguchi.migrate import migrate as run_migrations
    from madoguchi.up.database import reachable
    from madoguchi.up.supervisor import make_directories

    async def run(settings: Settings) -> None:
        make_directories(settings)
        async with reachable(settings) as found:
            await run_migrations(found.database_url)
            founded = await bootstrap(found, demo)
        if founded.admin_token:
            click.echo(f"administrator's one-time link: {settings.base_url}/admin/#link={founded.admin_token}")
        for person in founded.demo_staff:
            click.echo(f"demo counsellor {person.name}  {person.user_id}  password {person.password}")

    _run("init", settings, run)


@main.command()
@with_settings
def bridges(settings: Settings) -> None:
    """Run the bridges to messaging apps: webhooks in, ghosts, messages out."""
    from madoguchi_bridges import app as bridges_app

    _run("bridges", settings, bridges_app.run, enters=True)


class KeeperVerbs(Verbs):
    """What can be done about the keeper besides running it."""

    elsewhere: ClassVar[dict[str, tuple[str, str, str]]] = {
        "prepare": ("madoguchi.cli_keeper", "prepare", "Make the key by which a lost keeper comes back."),
        "recover": ("madoguchi.cli_keeper", "recover", "Bring a keeper back whose directory was lost."),
    }


@main.group(cls=KeeperVerbs, invoke_without_command=True)
@with_settings
def keeper(settings: Settings) -> None:
    """Run the keeper: seals room keys for the vault, gives counsellors the history."""
    if click.get_current_context().invoked_subcommand is not None:
        return
    from madoguchi.keeper import process

    _run("keeper", settings, process.run)


@main.command()
@with_settings
def work(settings: Settings) -> None:
    """Run the background jobs: retention, schedules, transactions to application services."""
    from madoguchi.work import app as work_app

    _run("work", settings, work_app.run, enters=True)


@main.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@with_settings
def database(settings: Settings, command: tuple[str, ...]) -> None:
    """Run COMMAND (psql, pg_dump, pg_restore, …) on the desk's database, whether the desk runs or not."""
    from madoguchi.up.database import reachable
    from madoguchi.up.tools import run_tool

    code = 0

    async def run(settings: Settings) -> None:
        nonlocal code
        async with reachable(settings) as found:
            code = await run_tool(found.database_url, command)

    _run("database", settings, run)
    sys.exit(code)


@main.command(name="config")
@with_settings
def show_config(settings: Settings) -> None:
    """Show the settings in effect, secrets masked."""
    import json

    for name, value in config.masked(settings).items():
        shown = str(value) if isinstance(value, Path) else value
        click.echo(f"{name} = {json.dumps(shown, ensure_ascii=False)}")


@main.command()
@with_settings
def doctor(settings: Settings) -> None:
    """Check database, keys, clock, listeners, keeper, bridges and vault; say how to mend what is wrong."""
    from madoguchi.doctor import examine

    sick = False
    for finding in asyncio.run(examine(settings)):
        sick = sick or finding.is_bad
        click.echo(finding.as_line())
    sys.exit(1 if sick else 0)


def _run(
    process: Any, settings: Settings, run: Callable[[Settings], Coroutine[Any, Any, None]], enters: bool = False
) -> None:
    """Run one process's coroutine on uvloop until it ends; `enters` the database under a role of its own."""
    import uvloop

    from madoguchi.database_roles import entered_by

    logs.setup(process, settings.log_level)
    keep_to_ourselves()
    try:
        settings = entered_by(settings, process) if enters else settings
        uvloop.run(_until_asked_to_stop(run(settings)))
    except (Problem, config.SettingsError) as error:
        raise click.ClickException(str(error)) from None


def keep_to_ourselves() -> None:
    """What a process had in memory does not end in a core dump, and its files are for its own user, whoever makes them.

    The keeper and the bridges have opened messages in memory.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)


async def _until_asked_to_stop(work: Coroutine[Any, Any, None]) -> None:
    """Run `work`; SIGTERM and SIGINT cancel it, unless it takes them itself."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    main()
