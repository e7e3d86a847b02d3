"""`madoguchi case`: what is done with a case from the operator's own machine."""

import click

from madoguchi.cli_staff import in_transaction, operator
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.desk import purge as rules
from madoguchi.flags import with_settings
from madoguchi.storage import jobs
from madoguchi.storage.db import Tx


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
