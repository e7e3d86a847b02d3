"""`madoguchi vault`: make the vault, exchange its key, see how it is. Opening it: cli_opening.py."""

import base64
import contextlib
import sqlite3
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from madoguchi.config import Settings
from madoguchi.flags import with_settings
from madoguchi.storage import health
from madoguchi.storage import vault as rows
from madoguchi.storage.db import Tx
from madoguchi.vault import ceremony, cli_opening, folder, pin, sealing, sheets
from madoguchi.vault.at_desk import in_database, person, read_key, witness
from madoguchi.vault.ceremony import Made

KEEPER_SILENT_AFTER = timedelta(minutes=3)
NUMBER = click.option("--shares", "number", type=click.IntRange(1, 16), default=1, show_default=True,
                      help="How many holders.")  # fmt: skip
THRESHOLD = click.option("--threshold", type=click.IntRange(1, 16), default=None,
                         help="How many of them open it. [default: all]")  # fmt: skip
OUT = click.option("--out", type=click.Path(path_type=Path), help="Write the words to this new file, show none.")
SHEETS = click.option("--sheets", "pages", type=click.Path(path_type=Path),
                      help="Write one page to print for each holder into this new folder, show no words.")  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def vault() -> None:
    """保管庫: the sealed keys of every conversation, opened only by the holders of its key."""


vault.add_command(cli_opening.open_)
vault.add_command(cli_opening.verify)
vault.add_command(cli_opening.record)


@vault.command("init")
@NUMBER
@THRESHOLD
@OUT
@SHEETS
@with_settings
def init(settings: Settings, number: int, threshold: int | None, out: Path | None, pages: Path | None) -> None:
    """Make the vault: its public key stays in the database, its private key leaves as words, once."""
    _new_places(out, pages)

    async def make(tx: Tx) -> Made:
        made = await ceremony.init(tx, number, threshold or number, by=person())
        # Inside the transaction: without the words on disk there must be no vault.
        _pin(settings, made.public_key)
        _write(made, out, pages)
        return made

    made = in_database(settings, make)
    if out is None and pages is None:
        click.echo(made.sheet(), nl=False)
    else:
        click.echo(f"Vault {made.key_id} is made; {_handed_out(out, pages)}")


@vault.command("rotate")
@click.option("--key", "key_file", default="-", help="File with the old shares; - reads them here. [default: -]")
@NUMBER
@THRESHOLD
@OUT
@SHEETS
@click.option("--reason", default=None, help="Why; it is written down. Asked for on a terminal.")
@click.option("--holder", "holders", multiple=True, help="Name of a holder who is present; once for each.")
@with_settings
def rotate(
    settings: Settings, key_file: str, number: int, threshold: int | None, out: Path | None, pages: Path | None,
    reason: str | None, holders: tuple[str, ...],
) -> None:  # fmt: skip
    """Exchange the vault's key: old shares in, new shares out, every sealed key sealed anew. All of it or nothing."""
    if out is None and pages is None:
        raise click.ClickException("Say where the new words go: --sheets FOLDER or --out FILE.")
    _new_places(out, pages)
    present = witness(reason, holders)
    old_key = read_key(key_file)

    async def exchange(tx: Tx) -> tuple[Made, int, int]:
        done = await ceremony.rotate(tx, old_key, number, threshold or number, present)
        _write(done[0], out, pages)
        return done

    made, keys, damaged = in_database(settings, exchange)
    click.echo(f"Vault {made.key_id}: {keys} keys sealed anew; {_handed_out(out, pages)}")
    click.echo("The old shares open nothing here any more, but still every older backup: destroy those papers.")
    if damaged:
        click.echo(f"{damaged} sealed keys were damaged and are gone; the keeper seals again what it still has.")
    # Not before the transaction's end: until then the old vault is the one to seal to.
    _pin(settings, made.public_key)


@vault.command("key")
@with_settings
def key(settings: Settings) -> None:
    """Print the public key that `madoguchi vault verify` asks for. It is no secret: publish it."""

    found = in_database(settings, _existing).signing_key
    if found is None:
        raise click.ClickException("An older version made this vault; the key is known once it has been opened.")
    click.echo(base64.b64encode(found).decode())


@vault.command("pin")
@click.option("--yes", is_flag=True, help="Do not ask again.")
@with_settings
def pin_(settings: Settings, yes: bool) -> None:
    """Say that the desk seals to the vault that is in the database: after `rotate` has failed at its very end, or where
    the file that says so is lost. Compare the name with the one on the holders' pages first.
    """

    found = in_database(settings, _existing)
    # Not the name that stands beside it: whoever changed the one may have left the other.
    name = sealing.key_id(found.public_key)
    if not yes:
        click.confirm(f"Does the name {name} stand on the holders' pages?", abort=True)
    _pin(settings, found.public_key)
    click.echo(f"The keeper seals to vault {name}. If it has a machine of its own, bring {pin.KEY_FILE} there.")


@vault.command("status")
@with_settings
def status(settings: Settings) -> None:
    """Say whether there is a vault, and how many keys are sealed in it."""

    async def read(tx: Tx) -> str:
        found = await rows.get_vault(tx)
        if found is None:
            return "There is no vault yet. Until there is one, the keeper keeps the keys for it."
        made = f"{found.threshold} of {found.shares}, made {found.created_at.astimezone():%Y-%m-%d %H:%M}"
        return f"Vault {found.key_id} ({made}): {await rows.count_keys(tx)} session keys sealed."

    click.echo(in_database(settings, read))


@vault.command("check")
@with_settings
def check(settings: Settings) -> None:
    """Say which messages the holders could not open, and why. Ends with 1 if there are any."""

    async def read(tx: Tx) -> tuple[list[rows.Gap], str]:
        found = await _existing(tx)
        gaps = await rows.list_gaps(tx, found.key_id, int(time.time() * 1000) - rows.PATIENCE_MS)
        return gaps, await _why(tx, settings)

    gaps, why = in_database(settings, read)
    reasons = _reasons(settings) if gaps else {}
    for gap in gaps:
        since = datetime.fromtimestamp(gap.at / 1000).astimezone()
        reason = reasons.get((gap.room_id, gap.session_id))
        known = f": {reason}" if reason else ""
        click.echo(f"case {gap.case_id}: {gap.events} events by {gap.sender} since {since:%Y-%m-%d %H:%M}{known}")
    if not gaps:
        click.echo("Everything that was said can be opened by the vault's holders.")
        return
    click.echo(f"{sum(gap.events for gap in gaps)} events in {len({gap.case_id for gap in gaps})} cases: {why}")
    sys.exit(1)


async def _existing(tx: Tx) -> rows.Vault:
    found = await rows.get_vault(tx)
    if found is None:
        raise ceremony.VaultProblem("This desk has no vault yet. Make one with `madoguchi vault init`.")
    return found


def _reasons(settings: Settings) -> dict[tuple[str, str], str]:
    """(room id, session id) → why the keeper lacks a key, where its directory is on this machine."""
    store = settings.data / "keeper" / "keys.db"
    question = (
        "SELECT room_id, session_id, asked_at, code FROM keeper_missing"
        " LEFT JOIN keeper_withheld USING (room_id, session_id, sender)"
    )
    try:
        with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as database:
            rows = database.execute(question).fetchall()
    except sqlite3.Error:
        return {}
    return {(room_id, session_id): _reason(asked_at, code) for room_id, session_id, asked_at, code in rows}


def _reason(asked_at: float, code: str | None) -> str:
    if code is not None:
        return f"its maker does not give the key ({code})"
    if not asked_at:
        return "the keeper is about to ask for the key"
    asked = datetime.fromtimestamp(asked_at).astimezone()
    return f"its maker was asked for the key on {asked:%Y-%m-%d %H:%M} and has not given it"


async def _why(tx: Tx, settings: Settings) -> str:
    seen = (await health.list_heartbeats(tx)).get("keeper")
    if seen is None or datetime.now(UTC) - seen > KEEPER_SILENT_AFTER:
        return "the keeper does not run; what waits for it is not lost."
    if pin.was_refused(settings.data):
        return "the server gave the keeper another vault key than the operator's: `madoguchi doctor`."
    waiting = await rows.count_waiting(tx, f"@keeper:{settings.server_name}")
    if waiting:
        return f"{waiting} messages wait for the keeper, the keys may be among them."
    return "the senders' devices never gave the keeper these keys; it has asked them for them."


def _new_places(*places: Path | None) -> None:
    for place in places:
        if place is not None and place.exists():
            raise click.ClickException(f"{place} exists already; say another name.")


def _write(made: Made, out: Path | None, pages: Path | None) -> None:
    try:
        _write_words(made, out, pages)
    except OSError as error:
        problem = f"The words can't be written to {error.filename}: {error.strerror}; nothing was changed."
        raise ceremony.VaultProblem(problem) from None


def _pin(settings: Settings, public_key: bytes) -> None:
    try:
        pin.write(settings.keys, public_key)
    except OSError as error:
        problem = f"{settings.keys / pin.KEY_FILE} can't be written: {error.strerror}."
        mend = "The keeper seals to no vault that does not stand there (`madoguchi vault pin`)."
        raise click.ClickException(f"{problem} {mend}") from None


def _write_words(made: Made, out: Path | None, pages: Path | None) -> None:
    if out is not None:
        folder.write_file(out, made.sheet().encode())
    if pages is not None:
        count, today = len(made.shares), f"{datetime.now().astimezone():%Y-%m-%d}"
        texts = {
            f"share-{number}.html": sheets.page(words, number, count, made.threshold, made.key_id, today).encode()
            for number, words in enumerate(made.shares, 1)
        }
        folder.write(pages, texts)


def _handed_out(out: Path | None, pages: Path | None) -> str:
    where = " and ".join(str(place) for place in (out, pages) if place is not None)
    return f"the words are in {where}. Print them, hand them out, delete what lies there."
