"""`madoguchi ledger`: the viewing ledger 閲覧範囲台帳, shown, made, compared, exported and checked."""

import base64
import binascii
import json
import sys
from collections.abc import Awaitable
from datetime import date, datetime
from pathlib import Path
from typing import TypeVar

import click

from madoguchi.cli_staff import in_transaction, operator
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.desk import ledger as rules
from madoguchi.core.desk import ledger_export, ledger_words
from madoguchi.core.desk.ledger import Change, Ledger
from madoguchi.crypto import signed_page
from madoguchi.flags import with_settings
from madoguchi.storage import audit
from madoguchi.storage.db import Tx

_Result = TypeVar("_Result")
_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def ledger() -> None:
    """Who can view what from where: made daily from settings and probes, and signed."""


@ledger.command()
@click.argument("day", required=False, type=_DAY)
@click.option("--english", is_flag=True, help="In English.")
@with_settings
def show(settings: Settings, day: datetime | None, english: bool) -> None:
    """Print the ledger of DAY (without: the newest), and what has drifted."""

    async def act(ctx: Context, tx: Tx) -> tuple[Ledger, list[Change]]:
        return await _of(tx, day), await rules.list_drift(tx)

    found, drift = in_transaction(settings, act)
    click.echo(f"{found.day} ({found.seq})")
    for section in ledger_words.sections(found.lines, english):
        if section.lines:
            click.echo(f"\n{section.title}")
        for line in section.lines:
            click.echo(f"  {line.about}: " + ", ".join(f"{fact.name} {fact.value}" for fact in line.facts))
    if drift:
        click.echo("\nDRIFT, not looked at yet:")
        _print(drift, english)


@ledger.command()
@with_settings
def make(settings: Settings) -> None:
    """Make a ledger now, as the night does. Ends with 1 if something has drifted since the one before."""
    made, drift = in_transaction(settings, lambda ctx, tx: _readable(rules.make(ctx, tx)))
    click.echo(f"Ledger {made.seq} of {made.day}, {len(made.lines)} lines, signed.")
    _print(drift, False)
    sys.exit(1 if drift else 0)


@ledger.command()
@click.argument("first", type=_DAY)
@click.argument("last", required=False, type=_DAY)
@click.option("--english", is_flag=True, help="In English.")
@with_settings
def diff(settings: Settings, first: datetime, last: datetime | None, english: bool) -> None:
    """Print what differs between the ledgers of FIRST and LAST (without: the newest)."""

    async def act(ctx: Context, tx: Tx) -> list[Change]:
        return rules.compare((await _of(tx, first)).lines, (await _of(tx, last)).lines)

    _print(in_transaction(settings, act), english)


@ledger.command()
@click.argument("day", required=False, type=_DAY)
@click.option("--format", "kind", type=click.Choice(["html", "pdf", "json"]), default="html", show_default=True)
@click.option("--english", is_flag=True, help="In English.")
@click.option("--out", type=click.Path(path_type=Path), help="Write to this new file instead of the screen.")
@with_settings
def export(settings: Settings, day: datetime | None, kind: str, english: bool, out: Path | None) -> None:
    """Write the ledger of DAY (without: the newest) to print or as a signed file; the audit log says that it was."""

    if kind == "pdf" and out is None:
        raise click.UsageError("A PDF needs --out FILE.")

    async def act(ctx: Context, tx: Tx) -> bytes:
        found, key = await _of(tx, day), rules.public_key(ctx)
        if kind == "pdf":
            from madoguchi.core.desk import ledger_paper

            raw = ledger_paper.as_pdf(found, key, english)
        elif kind == "json":
            raw = ledger_export.as_json(found, key).encode()
        else:
            raw = ledger_export.as_html(found, key, english).encode()
        at, of_day = ctx.clock.now(), found.day.isoformat()
        await audit.append(tx, at, operator(), "ledger.exported", str(found.seq), day=of_day, format=kind)
        return raw

    raw = in_transaction(settings, act)
    if out is None:
        click.echo(raw, nl=False)
        return
    try:
        with out.open("xb") as written:
            written.write(raw)
    except OSError as error:
        raise click.ClickException(f"{out}: {error.strerror}.") from None
    click.echo(f"Written to {out}.")


@ledger.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", help="The public key that signed it (base64); otherwise the one that FILE names.")
@with_settings
def verify(settings: Settings, file: Path | None, key: str | None) -> None:
    """Check all ledgers, or an exported FILE, which needs only the public key. Ends with 1 if anything is wrong."""
    if file is not None:
        count, faults = 1, _of_file(file, key)
    else:
        count, faults = in_transaction(settings, rules.faults)
    for fault in faults:
        click.echo(f"WRONG: {fault}.")
    if not faults:
        click.echo(f"{count} ledgers, whole and signed.")
    sys.exit(1 if faults else 0)


def _of_file(file: Path, key: str | None) -> list[str]:
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
        signed = signed_page.of_file(given)
        found = rules.of_page(signed)
        public = base64.b64decode(key or given["public_key"], validate=True)
        wrong = signed_page.fault(signed, public)
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise click.ClickException(f"{file} can't be read as an exported viewing ledger.") from None
    return [f"ledger {found.seq} {wrong}"] if wrong else []


async def _of(tx: Tx, day: datetime | None) -> Ledger:
    return await rules.of_day(tx, _date(day)) if day else await rules.newest(tx)


def _date(day: datetime) -> date:
    return day.date()


async def _readable(making: Awaitable[_Result]) -> _Result:
    try:
        return await making
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _print(found: list[Change], english: bool) -> None:
    for each in ledger_words.changes(found, english):
        before = ", ".join(f"{fact.name} {fact.value}" for fact in each.before)
        after = ", ".join(f"{fact.name} {fact.value}" for fact in each.after)
        click.echo(f"  {each.kind_name}: {each.section} / {each.about}: {before} -> {after}")
