"""`madoguchi case disclosure`: who asks to see what is kept of a case, from the operator's own machine."""

from typing import get_args

import click
from nacl.exceptions import CryptoError

from madoguchi.cli_staff import in_transaction, operator
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.desk import disclosures as rules
from madoguchi.core.desk.hours import TOKYO
from madoguchi.flags import with_settings
from madoguchi.storage.db import Tx
from madoguchi.storage.disclosures import Disclosure, Handover, Refusal


@click.group()
def disclosure() -> None:
    """開示: who asks to see what is kept of a case, and who has approved it."""


@disclosure.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Also what is over, of the last year.")
@with_settings
def list_disclosures(settings: Settings, everything: bool) -> None:
    """Show the requests that wait for somebody, one a line."""

    async def act(ctx: Context, tx: Tx) -> list[Disclosure]:
        return await (rules.every_one(ctx, tx) if everything else rules.open_ones(ctx, tx))

    for each in in_transaction(settings, act):
        asked, ends = (moment.astimezone(TOKYO) for moment in (each.asked_at, each.ends_at))
        who = f"{each.asked_by} + {each.decided_by}" if each.decided_by else each.asked_by
        click.echo(
            f"{each.id}\t{each.case_id}\t{each.kind}\t{each.state}\tasked {asked:%Y-%m-%d %H:%M}"
            f"\tends {ends:%Y-%m-%d %H:%M}\t{who}\t{each.reference or '-'}"
        )


@disclosure.command()
@click.argument("case_id", metavar="CASE")
@click.option("--reference", required=True, help="The number of the court's file. Never what the case is about.")
@click.option("--reason", required=True, help="Why, as it stands in the audit log. Never what was said.")
@click.option("--with-side-room", "side_room", is_flag=True, help="The staff's own room belongs to it, with records.")
@with_settings
def court(settings: Settings, case_id: str, reference: str, reason: str, side_room: bool) -> None:
    """Write down that a court asks for the transcript of CASE. It is held; an administrator has to approve."""

    async def act(ctx: Context, tx: Tx) -> Disclosure:
        return await rules.ask_for_court(ctx, tx, case_id, operator(), reference, reason, side_room)

    made = in_transaction(settings, act)
    click.echo(f"{made.id}: asked. {case_id} is held until it is released; an administrator has to approve.")


@disclosure.command()
@click.argument("case_id", metavar="CASE")
@with_settings
def own(settings: Settings, case_id: str) -> None:
    """Write down that the person of CASE has asked for their own conversation, by letter or in person."""

    async def act(ctx: Context, tx: Tx) -> Disclosure:
        return await rules.ask_own_by_letter(ctx, tx, case_id, operator())

    made = in_transaction(settings, act)
    click.echo(f"{made.id}: asked. An administrator has to approve, once they know that it is the person.")


@disclosure.command()
@click.argument("disclosure_id", metavar="ID")
@click.option("--handover", type=click.Choice(get_args(Handover)), help="How a person is given their own conversation.")
@with_settings
def approve(settings: Settings, disclosure_id: str, handover: Handover | None) -> None:
    """The second word for ID; never of whoever asked."""

    async def act(ctx: Context, tx: Tx) -> Disclosure:
        return await rules.approve(ctx, tx, disclosure_id, operator(), rules.OPERATOR, handover)

    found = in_transaction(settings, act)
    then = "" if found.kind == "life_at_risk" else f" The holders open it: madoguchi vault open --disclosure {found.id}"
    click.echo(f"{found.id}: approved, until {found.ends_at.astimezone(TOKYO):%Y-%m-%d %H:%M}.{then}")


@disclosure.command()
@click.argument("disclosure_id", metavar="ID")
@click.option("--reason", "refusal", required=True, type=click.Choice(get_args(Refusal)), help="What the person reads.")
@with_settings
def refuse(settings: Settings, disclosure_id: str, refusal: Refusal) -> None:
    """Say no to ID; or, as whoever asked, that it is no longer wanted (withdrawn)."""

    async def act(ctx: Context, tx: Tx) -> Disclosure:
        return await rules.refuse(ctx, tx, disclosure_id, operator(), rules.OPERATOR, refusal)

    click.echo(f"{in_transaction(settings, act).id}: refused.")


@disclosure.command(name="app-id")
@click.argument("disclosure_id", metavar="ID")
@with_settings
def app_id(settings: Settings, disclosure_id: str) -> None:
    """Say by what an app's company knows the person of ID (life at risk, approved). Needs the bridges' key."""
    from madoguchi_bridges.seals import Seals

    try:
        seals = Seals.read(settings.keys / "bridges.key")
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{settings.keys / 'bridges.key'}: {type(error).__name__}.") from None

    async def act(ctx: Context, tx: Tx) -> list[tuple[str, str]]:
        return await rules.app_ids(ctx, tx, disclosure_id, operator(), seals.open)

    try:
        known = in_transaction(settings, act)
    except CryptoError:
        raise click.ClickException("This is another desk's bridges.key, or an earlier one.") from None
    for kind, address in known:
        click.echo(f"{kind}\t{address}")
    if not known:
        click.echo("No bridge of this desk knows the person.", err=True)


@disclosure.command()
@click.argument("disclosure_id", metavar="ID")
@with_settings
def done(settings: Settings, disclosure_id: str) -> None:
    """ID is handed over, or needed no longer."""

    async def act(ctx: Context, tx: Tx) -> Disclosure:
        return await rules.finish(ctx, tx, disclosure_id, operator(), rules.OPERATOR)

    click.echo(f"{in_transaction(settings, act).id}: done.")
