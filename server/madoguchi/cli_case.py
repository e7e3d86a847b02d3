"""`madoguchi case`: what is done with a case from the operator's own machine."""

import base64
import binascii
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import click

from madoguchi import cli_disclosure
from madoguchi.cli_staff import in_transaction, operator
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.chat import integrity
from madoguchi.core.desk import certificates, holds, periods
from madoguchi.core.desk import purge as rules
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.hours import TOKYO
from madoguchi.crypto import signed_page
from madoguchi.flags import with_settings
from madoguchi.storage import jobs, purging
from madoguchi.storage.db import Tx
from madoguchi.storage.holds import Code, Hold
from madoguchi.storage.integrity import Hashed

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def case() -> None:
    """Single cases."""


case.add_command(cli_disclosure.disclosure)


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
    click.echo("Once the wrapping keys are saved anew (`madoguchi wrapping save`), no backup of the database opens it.")


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


@case.command()
@click.argument("case_id", metavar="CASE")
@click.option("--reason-code", "code", required=True, type=click.Choice(get_args(Code)), help="Who asks for it.")
@click.option("--reference", required=True, help="The number of their file. Never what the case is about.")
@click.option("--until", type=_DAY, help="The last day of the hold; otherwise it stands until it is released.")
@with_settings
def hold(settings: Settings, case_id: str, code: Code, reference: str, until: datetime | None) -> None:
    """Keep CASE from being purged, by the schedule and by hand."""
    ends_at = until.replace(tzinfo=TOKYO) + timedelta(days=1) if until else None

    async def act(ctx: Context, tx: Tx) -> None:
        await holds.hold(ctx, tx, case_id, code, reference, ends_at, by=operator())

    in_transaction(settings, act)
    click.echo(f"{case_id} is held " + (f"up to and with {until:%Y-%m-%d}." if until else "until it is released."))


@case.command()
@click.argument("case_id", metavar="CASE")
@click.option("--reference", help="Which hold, if several stand.")
@with_settings
def release(settings: Settings, case_id: str, reference: str | None) -> None:
    """End a hold of CASE. If its time is over, the next night purges it."""

    async def act(ctx: Context, tx: Tx) -> int:
        return await holds.release(ctx, tx, case_id, reference, by=operator())

    left = in_transaction(settings, act)
    click.echo(f"{case_id} is released; {left} other holds stand on it.")


@case.command(name="holds")
@with_settings
def list_holds(settings: Settings) -> None:
    """Show the holds that stand, one a line."""

    async def act(ctx: Context, tx: Tx) -> list[Hold]:
        return await holds.standing(ctx, tx)

    for each in in_transaction(settings, act):
        # It ends with the day before the moment.
        last = each.ends_at.astimezone(TOKYO) - timedelta(days=1) if each.ends_at else None
        until = f"until {last:%Y-%m-%d}" if last else "until released"
        since = each.held_at.astimezone(TOKYO)
        click.echo(f"{each.case_id}\t{each.code}\t{each.reference}\tsince {since:%Y-%m-%d}\t{until}\t{each.held_by}")


@case.command()
@click.option("--on", "day", type=_DAY, help="The day whose night is meant; otherwise now.")
@with_settings
def due(settings: Settings, day: datetime | None) -> None:
    """Say what the nightly purge of a day would destroy, as things are now. Changes nothing."""

    async def act(ctx: Context, tx: Tx) -> list[purging.Due]:
        # The schedule purges at four.
        at = day.replace(hour=4, tzinfo=TOKYO) if day else ctx.clock.now()
        days = (await desk_settings.get(tx)).content_days
        return await purging.list_figures(tx, at - timedelta(days=days), at)

    async def apart(ctx: Context, tx: Tx) -> list[tuple[str, int, int]]:
        at = day.replace(hour=4, tzinfo=TOKYO) if day else ctx.clock.now()
        days = periods.days_of(await desk_settings.get(tx))
        return [
            (kind, *await purging.count_due(tx, kind, at - timedelta(days=period), at))
            for kind in periods.APART
            if (period := days[kind]) is not None
        ]

    found = in_transaction(settings, act)
    for each in found:
        closed = each.closed_at.astimezone(TOKYO)
        mark = "\tHELD" if each.held else ""
        click.echo(f"{each.case_id}\tclosed {closed:%Y-%m-%d}\t{_figures([each])}{mark}")
    free = [each for each in found if not each.held]
    click.echo(f"{len(free)} cases would be purged: {_figures(free)}. {len(found) - len(free)} are held.")
    for kind, due, held in in_transaction(settings, apart):
        click.echo(f"{kind}: of {due - held} cases its time is over. {held} are held.")


def _figures(found: list[purging.Due]) -> str:
    events, keys, files = (sum(getattr(each, kind) for each in found) for kind in ("events", "keys", "files"))
    return f"{events} events, {keys} sealed keys, {files} files"


@case.command()
@click.argument("case_id", metavar="CASE", required=False)
@click.option("--receipt", help="Instead of CASE: what a person was given when they wished it; a list.")
@click.option("--out", type=click.Path(path_type=Path), help="Write to this new file instead of the screen.")
@with_settings
def certificate(settings: Settings, case_id: str | None, receipt: str | None, out: Path | None) -> None:
    """Print the signed certificate of what was destroyed last of CASE, or those that answer a person's wish."""
    if (case_id is None) == (receipt is None):
        raise click.ClickException("Say which case, or --receipt NUMBER.")

    async def act(ctx: Context, tx: Tx) -> dict[str, Any] | list[dict[str, Any]]:
        if receipt is not None:
            return await certificates.files_of_wish(tx, receipt.strip().upper())
        return await certificates.as_file(tx, case_id or "")

    text = json.dumps(in_transaction(settings, act), ensure_ascii=False, indent=2) + "\n"
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        with out.open("x", encoding="utf-8") as written:
            written.write(text)
    except OSError as error:
        raise click.ClickException(f"{out}: {error.strerror}.") from None
    click.echo(f"Written to {out}.")


@case.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--public-key", help="Of the desk (`madoguchi audit key`); otherwise the one that FILE names.")
def verify(file: Path, public_key: str | None) -> None:
    """Check a deletion certificate, with nothing of the desk. Ends with 1 if anything is wrong."""
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
        signed = signed_page.of_file(given, certificates.NAME)
        key = base64.b64decode(public_key or given["public_key"], validate=True)
        wrong = signed_page.fault(signed, key, certificates.WORD)
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise click.ClickException(f"{file} can't be read as a deletion certificate.") from None
    if wrong:
        click.echo(f"WRONG: the certificate {wrong}.")
        sys.exit(1)
    signer = "this key" if public_key else "the key that it names"
    click.echo(f"The certificate is whole and signed by {signer}.")
    if not public_key:
        click.echo("Anybody can name a key: give the desk's own with --public-key.", err=True)
