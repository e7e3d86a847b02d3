"""`madoguchi vault open | verify | record`: transcripts, and proof of what they are."""

import hashlib
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from madoguchi.config import Settings
from madoguchi.errors import NotFound
from madoguchi.flags import with_settings
from madoguchi.storage import disclosures, media
from madoguchi.storage import vault as rows
from madoguchi.storage.db import Tx
from madoguchi.vault import ceremony, disclosing, folder, signing
from madoguchi.vault.at_desk import in_database, read_key, read_saved, witness
from madoguchi.vault.attachments import Fetch
from madoguchi.vault.ceremony import Opening, VaultProblem
from madoguchi.vault.written import JAPAN


@click.command("open")
@click.argument("case", required=False)
@click.option("--disclosure", "asked", metavar="ID", help="Instead of CASE: what was asked and approved at the desk.")
@click.option("--range", "span", metavar="FROM..TO", help="Instead of CASE: all that came on these days (Japan's).")
@click.option("--shares", "--key", "key_file", default="-",
              help="File with the shares or the key; - reads them here. [default: -]")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Make a signed folder (or NAME.zip) instead of a text.")
@click.option("--reason", default=None, help="Why; it is written down. Asked for on a terminal.")
@click.option("--holder", "holders", multiple=True, help="Name of a holder who is present; once for each.")
@click.option("--from-copy", "record_to", type=click.Path(path_type=Path), metavar="FILE",
              help="The database is a restored copy: write the entry for the desk's log to this new file.")  # fmt: skip
@click.option("--wrapping-keys", "wrapping_file", type=click.Path(path_type=Path), metavar="FILE",
              help="For a restored copy: the file of `madoguchi wrapping save`.")  # fmt: skip
@with_settings
def open_(
    settings: Settings, case: str | None, asked: str | None, span: str | None, key_file: str, out: Path | None,
    reason: str | None, holders: tuple[str, ...], record_to: Path | None, wrapping_file: Path | None,
) -> None:  # fmt: skip
    """Open the transcript of CASE (a case id or room id). Who did, when, why and before whom is written down."""
    if [case, asked, span].count(None) != 2:
        raise click.ClickException("Say which case, or --disclosure ID, or --range FROM..TO.")
    if asked is not None and reason is not None:
        raise click.ClickException("Why a disclosure is opened, it says itself: leave --reason out.")
    if asked is not None and record_to is not None:
        raise click.ClickException("A disclosure is opened at the desk, where it stands whether it may be.")
    days = _days(span) if span else None
    for place in (out, record_to):
        if place is not None and place.exists():
            raise click.ClickException(f"{place} exists already; say another name.")
    saved = read_saved(settings, wrapping_file) if wrapping_file else None
    present = witness(asked or reason, holders)
    private_key, at = read_key(key_file), datetime.now(UTC)

    async def opened(tx: Tx) -> tuple[list[Opening], dict[str, bytes]]:
        vault = await ceremony.unlock(tx, private_key)
        grant = await disclosing.granted(tx, asked, at) if asked else None
        who = disclosing.witnessed(grant, present) if grant else present
        if len({*present.holders}) < vault.threshold:
            raise VaultProblem(f"{vault.threshold} holders are needed to open; name all who are present (--holder).")
        cases = await rows.list_cases_of(tx, *days) if days else [grant.case_id if grant else case or ""]
        side = grant is None or grant.side_room
        openings = [each for name in cases for each in await ceremony.read_case(tx, name, private_key, side, saved)]
        if not openings:
            raise VaultProblem("No case came on these days.")
        closed = next((opening.closed for opening in openings if opening.closed), None)
        if closed and not span:
            raise VaultProblem(closed)
        files, manifest = {}, None
        if out is not None:
            # Only here: the libraries for PDF and for attachments take their time to load.
            from madoguchi.vault import bundle

            files = await bundle.make(openings, vault.key_id, private_key, who, at, _fetch(settings, tx))
            manifest = hashlib.sha256(files[signing.MANIFEST]).digest()
        if record_to is not None:
            from madoguchi.vault import bundle

            # Before anything is shown; the copy's own log is nobody's proof.
            try:
                folder.write_file(record_to, bundle.make_record(openings, present, at, private_key, manifest))
            except OSError as error:
                raise VaultProblem(f"{record_to}: {error.strerror}; nothing was opened.") from None
        else:
            await rows.set_signing_key(tx, signing.public_half(private_key))
            rooms = [opening.opened() for opening in openings]
            await ceremony.write_down(tx, rooms, who, at, manifest, disclosure=asked)
            if grant:
                await disclosures.update_opened(tx, grant.id, at)
        return openings, files

    openings, files = in_database(settings, opened)
    for opening in openings:
        if opening.closed:
            click.echo(f"case {opening.room.case_id}: {opening.closed}", err=True)
    if out is None:
        _print(openings)
    else:
        _hand_over(out, files, openings)
    if record_to is not None:
        note = f"This opening is not in the desk's log yet: `madoguchi vault record {record_to}` there takes it in."
        click.echo(note, err=out is None)


@click.command("verify")
@click.argument("place", type=click.Path(path_type=Path, exists=True))
@click.option("--key", "public_key", required=True, help="The vault's public key, as `madoguchi vault key` prints it.")
def verify(place: Path, public_key: str) -> None:
    """Say whether a transcript (folder or .zip) is what the vault's holders signed. Needs no desk and no database."""
    try:
        told = signing.verify(folder.read(place), signing.read_public(public_key))
    except signing.NotGenuine as error:
        raise click.ClickException(f"Not genuine.\n{error}") from None
    except zipfile.BadZipFile as error:
        raise click.ClickException(f"{place} is no whole .zip: {error}.") from None
    except OSError as error:
        raise click.ClickException(f"{place}: {error.strerror}.") from None
    click.echo(f"Genuine: {len(told['files'])} files as they were signed by vault {told['vault']}.")
    click.echo(f"Made {told['made_at']} by {told['by']}, holders: {', '.join(told['holders'])}.")


@click.command("record")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--key", "public_key", help="The public key of then, if the vault's key has been exchanged since.")
@with_settings
def record(settings: Settings, file: Path, public_key: str | None) -> None:
    """Take an opening that was made on a restored copy (`vault open --from-copy FILE`) into the desk's log."""
    from madoguchi.vault import bundle

    async def take(tx: Tx) -> int:
        vault = await rows.keep_vault(tx)
        known = vault.signing_key if vault is not None else None
        key = signing.read_public(public_key) if public_key else known
        if key is None:
            raise VaultProblem("This desk does not know the key that signed; say it with --key.")
        opened, who, at, manifest, name = bundle.read_record(file.read_bytes(), key)
        if await rows.has_record(tx, name):
            raise VaultProblem("This opening stands in the log already.")
        await ceremony.write_down(tx, opened, who, at, manifest, name)
        return len(opened)

    click.echo(f"{in_database(settings, take)} opened rooms are written down.")


def _days(span: str) -> tuple[datetime, datetime]:
    try:
        first, last = (datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=JAPAN) for day in span.split(".."))
    except ValueError:
        raise click.ClickException("A range is two days: 2026-04-01..2026-04-30.") from None
    if last < first:
        raise click.ClickException("The range ends before it begins.")
    return first, last + timedelta(days=1)


def _fetch(settings: Settings, tx: Tx) -> Fetch:
    from madoguchi.core.chat.media import open_store

    store = open_store(settings)

    async def fetch(url: str) -> bytes | None:
        server, _, media_id = url.removeprefix("mxc://").partition("/")
        found = await media.get_media(tx, media_id) if server == settings.server_name else None
        if found is None or found.stored_as is None or found.size is None:
            return None
        try:
            return b"".join([piece async for piece in store.read(found.stored_as, 0, found.size)])
        except (NotFound, OSError):
            return None

    return fetch


def _print(openings: Sequence[Opening]) -> None:
    for opening in openings:
        room = opening.room
        among = " (the staff's own)" if room.side else ""
        read = f"{len(opening.entries)} entries, {opening.unreadable} unreadable."
        click.echo(f"# Case {room.case_id or '-'}, room {room.room_id}{among}: {read}")
        if opening.damaged:
            click.echo(f"# {opening.damaged} sealed keys are damaged or do not belong here; compare with a backup.")
        click.echo(opening.as_text(), nl=False)


def _hand_over(out: Path, files: dict[str, bytes], openings: Sequence[Opening]) -> None:
    try:
        folder.write(out, files)
    except OSError as error:
        raise click.ClickException(f"{out}: {error.strerror}; the opening is written down all the same.") from None
    unreadable = sum(opening.unreadable for opening in openings)
    click.echo(f"{out}: {len(openings)} rooms, {len(files)} files, {unreadable} entries unreadable; signed.")
