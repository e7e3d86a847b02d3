"""`madoguchi case`: what is done with a case from the operator's own machine."""

import sys

import click

from madoguchi.cli_staff import in_transaction, operator
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.chat import integrity
from madoguchi.core.desk import purge as rules
from madoguchi.flags import with_settings
from madoguchi.storage import jobs
from madoguchi.storage.db import Tx
from madoguchi.storage.integrity import Hashed


@click.group()
def case() -> None:
    """Single cases."""


@case.command()
@click.argument("case_id", metavar="CASE")
@click.option("--reason", required=True, help="Why, as it stands in the case's steps.")
@click.option("--yes", is_flag=True, help="Do not ask again.")
@with_settings
def purge(settings: Settings, case_id: str, reason: str, yes: bool) -> None:
    """Destroy what was said in CASE, its keys and its files, before its time. Nobody can bring them back."""
    if not yes:
        click.confirm(f"Everything said in {case_id} will be destroyed, for everybody. Go on?", abort=True)

    async def act(ctx: Context, tx: Tx) -> rules.Purged:
        purged = await rules.purge(ctx, tx, case_id, by=operator(), reason=reason)
        await jobs.insert_job(tx, "remove_files", "", ctx.clock.now())
        return purged

    purged = in_transaction(settings, act)
    click.echo(f"{case_id} is purged: {purged.events} events, {purged.keys} sealed keys, {purged.files} files.")


@case.command()
@with_settings
def check(settings: Settings) -> None:
    """Say which events are not what was sent, in all rooms. Ends with 1 if there are any."""

    async def act(ctx: Context, tx: Tx) -> list[Hashed]:
        return [event async for event in integrity.altered(tx)]

    found = in_transaction(settings, act)
    for event in found:
        click.echo(f"room {event.room_id}: {event.event_id}")
    if found:
        click.echo(f"{len(found)} events are not what was sent. Compare with a backup.")
        sys.exit(1)
    click.echo("Every event is as it was sent.")
