"""`madoguchi vault`: make the vault, open a case."""

import asyncio
import getpass
import os
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import click

from madoguchi.config import Settings
from madoguchi.flags import with_settings
from madoguchi.storage import health
from madoguchi.storage import vault as rows
from madoguchi.storage.db import Tx
from madoguchi.up import Problem
from madoguchi.up.database import reachable
from madoguchi.vault import ceremony, shares
from madoguchi.vault.ceremony import Made

T = TypeVar("T")
KEEPER_SILENT_AFTER = timedelta(minutes=3)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def vault() -> None:
    """保管庫: the sealed keys of every conversation, opened only by the holders of its key."""


@vault.command("init")
@click.option("--shares", "number", type=click.IntRange(1, 16), default=1, show_default=True, help="How many holders.")
@click.option("--threshold", type=click.IntRange(1, 16), default=None, help="How many of them open it. [default: all]")
@click.option("--out", type=click.Path(path_type=Path), help="Write the words to this new file, show none.")
@with_settings
def init(settings: Settings, number: int, threshold: int | None, out: Path | None) -> None:
    """Make the vault: its public key stays in the database, its private key leaves as words, once."""
    if out is not None and out.exists():
        raise click.ClickException(f"{out} exists already; say another name.")

    async def make(tx: Tx) -> Made:
        made = await ceremony.init(tx, number, threshold or number, by=_person())
        if out is not None:
            # Inside the transaction: without the words on disk there must be no vault.
            write_sheet(out, made)
        return made

    made = _in_database(settings, make)
    if out is None:
        click.echo(made.sheet(), nl=False)
    else:
        click.echo(f"Vault {made.key_id} is made; the words are in {out}. Print them, hand them out, delete the file.")


@vault.command("open")
@click.argument("case")
@click.option("--key", "key_file", default="-", help="File with the shares or the key; - reads them here. [default: -]")
@click.option("--reason", default=None, help="Why; it is written down. Asked for on a terminal.")
@with_settings
def open_(settings: Settings, case: str, key_file: str, reason: str | None) -> None:
    """Print the transcript of CASE (a case id or room id). Who did, when and why is written down."""
    if reason is None and sys.stdin.isatty():
        reason = click.prompt("Why is this opened?", err=True)
    private_key = _read_key(key_file)

    async def openings(tx: Tx) -> list[ceremony.Opening]:
        opened = await ceremony.open_case(tx, case, private_key, _person(), reason or "(not said)")
        side = opened.room.side_room_id
        if side is None:
            return [opened]
        return [opened, await ceremony.open_case(tx, side, private_key, _person(), reason or "(not said)")]

    for opening in _in_database(settings, openings):
        room = opening.room
        among = " (the staff's own)" if room.side else ""
        read = f"{len(opening.entries)} entries, {opening.unreadable} unreadable."
        click.echo(f"# Case {room.case_id or '-'}, room {room.room_id}{among}: {read}")
        if opening.damaged:
            click.echo(f"# {opening.damaged} sealed keys are damaged or do not belong here; compare with a backup.")
        click.echo(opening.as_text(), nl=False)


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

    click.echo(_in_database(settings, read))


@vault.command("check")
@with_settings
def check(settings: Settings) -> None:
    """Say which messages the holders could not open, and why. Ends with 1 if there are any."""

    async def read(tx: Tx) -> tuple[list[rows.Gap], str]:
        found = await rows.get_vault(tx)
        if found is None:
            raise ceremony.VaultProblem("This desk has no vault yet. Make one with `madoguchi vault init`.")
        gaps = await rows.list_gaps(tx, found.key_id, int(time.time() * 1000) - rows.PATIENCE_MS)
        return gaps, await _why(tx, settings)

    gaps, why = _in_database(settings, read)
    for gap in gaps:
        since = datetime.fromtimestamp(gap.at / 1000).astimezone()
        click.echo(f"case {gap.case_id}: {gap.events} events by {gap.sender} since {since:%Y-%m-%d %H:%M}")
    if not gaps:
        click.echo("Everything that was said can be opened by the vault's holders.")
        return
    click.echo(f"{sum(gap.events for gap in gaps)} events in {len({gap.case_id for gap in gaps})} cases: {why}")
    sys.exit(1)


async def _why(tx: Tx, settings: Settings) -> str:
    seen = (await health.list_heartbeats(tx)).get("keeper")
    if seen is None or datetime.now(UTC) - seen > KEEPER_SILENT_AFTER:
        return "the keeper does not run; what waits for it is not lost."
    waiting = await rows.count_waiting(tx, f"@keeper:{settings.server_name}")
    if waiting:
        return f"{waiting} messages wait for the keeper, the keys may be among them."
    return "the senders' devices never gave the keeper these keys; it has asked them for them."


def write_sheet(path: Path, made: Made) -> None:
    """Write the words to a new file that only its owner can read. Raises FileExistsError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(made.sheet())
        file.flush()
        os.fsync(file.fileno())


def _read_key(key_file: str) -> bytes:
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


def _person() -> str:
    try:
        return f"{getpass.getuser()}@{os.uname().nodename}"
    except (OSError, KeyError):
        return f"uid {os.getuid()}@{os.uname().nodename}"


def _in_database(settings: Settings, work: Callable[[Tx], Awaitable[T]]) -> T:
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
    except (ceremony.VaultProblem, shares.SharesProblem, Problem) as error:
        raise click.ClickException(str(error)) from None
    except asyncpg.UndefinedTableError:
        raise click.ClickException("This database is not at this version's schema. Run `madoguchi migrate`.") from None
    except OSError as error:
        raise click.ClickException(f"The database cannot be reached: {error.strerror or error}.") from None
