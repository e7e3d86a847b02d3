"""`madoguchi wrapping`: the keys that no dump of the database has: saved apart, and brought back to a copy."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from madoguchi.config import Settings
from madoguchi.files import write_private
from madoguchi.flags import with_settings
from madoguchi.storage import audit
from madoguchi.storage import wrapping as rows
from madoguchi.storage.db import Tx
from madoguchi.vault import saved
from madoguchi.vault.at_desk import in_database, person, read_saved
from madoguchi.vault.ceremony import VaultProblem
from madoguchi.vault.saved import Saved

FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def wrapping() -> None:
    """What sealed keys are wrapped in: in no dump of the database, destroyed with the case."""


@wrapping.command()
@FILE
@with_settings
def save(settings: Settings, file: Path) -> None:
    """Write every wrapping key to FILE, over the one before: after each backup, to another place than that.

    Whoever has FILE, a backup and the vault's holders together opens what was purged after FILE was written. So there
    must be no older one.
    """
    at = datetime.now(UTC)

    async def write(tx: Tx) -> Saved:
        now = Saved(settings.server_name, at, await rows.list_all(tx), await rows.list_destroyed(tx))
        if file.exists() and (lost := read_saved(settings, file).lost_with(now)):
            text = f"{file} has {lost} keys that this database has not and did not destroy; nothing was changed."
            raise VaultProblem(f"{text} Bring them here (`madoguchi wrapping load {file}`), or say another name.")
        await audit.append(tx, at, person(), "wrapping.saved", "", keys=len(now.keys))
        # Inside the transaction: the log must not say so of what is not on the disk.
        try:
            write_private(file, saved.encode(now))
        except OSError as error:
            raise VaultProblem(f"{file}: {error.strerror}; nothing was changed.") from None
        return now

    done = in_database(settings, write)
    click.echo(f"{file}: {len(done.keys)} wrapping keys, {len(done.destroyed)} destroyed.")
    click.echo("With it no backup opens a case that was purged before now; with an older one it does: keep none.")


@wrapping.command()
@FILE
@with_settings
def load(settings: Settings, file: Path) -> None:
    """Bring the wrapping keys of FILE to a database that was restored from a dump, and say what was purged since."""
    given = read_saved(settings, file)

    async def bring(tx: Tx) -> tuple[int, Sequence[str], int]:
        # What was destroyed here stays so, whatever an older file has.
        gone = given.destroyed | await rows.list_destroyed(tx)
        came = await rows.insert_saved(tx, [key for key in given.keys if key.room_id not in gone])
        brought_back = await rows.set_destroyed(tx, given.destroyed)
        figures = {"keys": came, "saved_at": given.made_at.isoformat(timespec="seconds"), "purged": len(brought_back)}
        await audit.append(tx, datetime.now(UTC), person(), "wrapping.loaded", "", **figures)
        return came, brought_back, await rows.count_closed(tx)

    came, brought_back, closed = in_database(settings, bring)
    click.echo(f"{came} wrapping keys came, saved {given.made_at:%Y-%m-%d %H:%M} UTC.")
    for case_id in brought_back:
        click.echo(f"{case_id} was purged after the dump was made; nobody opens it any more. Purge it here, too:")
        click.echo(f"  madoguchi case purge {case_id} --reason …")
    if closed:
        click.echo(f"{closed} sealed keys are of after {file} was written: load a newer one, if there is any.")
