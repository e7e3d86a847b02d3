"""`madoguchi channel people | cancel | keep`: who is on a channel, and what becomes of them while it is suspended."""

import time

import click

from madoguchi.cli_staff import in_transaction, operator
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.desk import suspension
from madoguchi.flags import with_settings
from madoguchi.storage.db import Tx

_DAY_MS = 24 * 60 * 60 * 1000


@click.command()
@click.argument("channel_id")
@with_settings
def people(settings: Settings, channel_id: str) -> None:
    """Show who is on a channel and where each stands on the way to the page, those in danger first."""
    found = _look(settings, channel_id)
    for person in found.people:
        kept = f"kept until {person.kept_until:%F %H:%M}" if person.kept_until and person.kept_signed else ""
        click.echo("\t".join((person.case_id, person.risk, person.state, person.standing or "-", kept)).rstrip())
    click.echo(f"{channel_id}: {found.channel.mode}, {len(found.people)} people, {found.nowhere} with nowhere to go")
    if found.closing:
        click.echo(f"closing signed by {found.closing.asked_by}, waits for a second administrator")
    if found.planned:
        click.echo(
            f"planned: {found.planned.mode} at {found.planned.at:%F %H:%M} {found.planned.refused or ''}".rstrip()
        )


@click.command()
@click.argument("channel_id")
@with_settings
def cancel(settings: Settings, channel_id: str) -> None:
    """Take back what is to come for a channel: a planned switch, or a closing that waits for its second signature."""
    found = _look(settings, channel_id)
    if found.closing is None and found.planned is None:
        raise click.ClickException(f"Nothing is planned for {channel_id}, and no signature waits.")

    async def act(ctx: Context, tx: Tx) -> None:
        if found.closing is not None:
            await suspension.withdraw_signature(ctx, tx, channel_id, by=operator())
        if found.planned is not None:
            await suspension.cancel_plan(ctx, tx, channel_id, by=operator())

    in_transaction(settings, act)
    click.echo(f"channel {channel_id}: {found.channel.mode}; nothing is to come any more.")


@click.command()
@click.argument("case_id", metavar="CASE")
@click.option("--reason", help="Why a life is at stake; never what was said.")
@click.option("--days", type=click.IntRange(1, 30), default=3, show_default=True, help="How long, at most.")
@click.option("--sign", is_flag=True, help="The second signature under what somebody else has asked for.")
@click.option("--end", is_flag=True, help="Treat CASE like the others of its channel again.")
@with_settings
def keep(settings: Settings, case_id: str, reason: str | None, days: int, sign: bool, end: bool) -> None:
    """Let CASE go on on its app, content and all, whatever its channel's mode. Takes two people."""
    if sum((bool((reason or "").strip()), sign, end)) != 1:
        raise click.UsageError("Say one of --reason, --sign and --end.")

    async def act(ctx: Context, tx: Tx) -> None:
        if sign:
            await suspension.sign_keeping(ctx, tx, case_id, by=operator())
        elif end:
            await suspension.end_keeping(ctx, tx, case_id, by=operator())
        else:
            until = round(time.time() * 1000) + days * _DAY_MS
            await suspension.keep(ctx, tx, case_id, reason or "", until, by=operator())

    in_transaction(settings, act)
    done = "kept on its app" if sign else "no longer kept" if end else "to be kept; a supervisor or administrator signs"
    click.echo(f"{case_id}: {done}.")


def _look(settings: Settings, channel_id: str) -> suspension.Suspension:
    async def act(ctx: Context, tx: Tx) -> suspension.Suspension:
        return await suspension.get(ctx, tx, channel_id)

    return in_transaction(settings, act)
