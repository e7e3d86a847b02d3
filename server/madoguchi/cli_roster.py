"""`madoguchi roster`: who is of the staff and by which keys, signed by the operator."""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import msgspec
from nacl.signing import SigningKey

from madoguchi.cli_staff import in_transaction, operator
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.desk import roster as rules
from madoguchi.crypto import locked_key, pinned
from madoguchi.crypto import roster as signed
from madoguchi.crypto.cross_signing import public
from madoguchi.flags import with_settings
from madoguchi.storage import audit, rosters
from madoguchi.storage.db import Tx

SHORTEST = 12
_FILE = click.Path(path_type=Path)
_KEY = click.option("--key", "file", required=True, type=_FILE, help="The signing key's file.")


@click.group()
def roster() -> None:
    """名簿: the staff's identities, signed, so that nobody else is taken for one of them."""


@roster.command()
@_KEY
@with_settings
def init(settings: Settings, file: Path) -> None:
    """Make the signing key: FILE is opened by a passphrase; its public half lies with the desk's keys.

    Keep FILE away from the desk's machine, and a copy of it in another place: whoever has both it and the passphrase
    says who is of the staff.
    """
    known = settings.keys / rules.KEY_FILE
    if known.exists():
        raise click.ClickException(f"This desk has a key already: {known}. Another one: `madoguchi roster rotate`.")
    key = _new_key(file)
    _pin(settings, key)
    click.echo(f"The key is in {file}; its public half in {known}. Next: `madoguchi roster sign --key {file}`.")


@roster.command()
@with_settings
def draft(settings: Settings) -> None:
    """Say who would stand on the next roster, and what it would change."""
    found, before = in_transaction(settings, _looked_at)
    for entry in found.staff:
        click.echo(f"{entry.role:<14} {entry.name} {entry.user_id} {entry.master_key}")
    _tell(found, before)


@roster.command()
@_KEY
@click.option("--yes", is_flag=True, help="Do not ask again.")
@with_settings
def sign(settings: Settings, file: Path, yes: bool) -> None:
    """Sign the staff as they are now. Shows every change first; the passphrase is asked for, or read from the input."""
    found, before = in_transaction(settings, _looked_at)
    changes = _tell(found, before)
    if before is not None and not changes:
        click.echo("Nothing has changed since the last one; signed anew all the same, it has a new date.")
    if not yes:
        click.confirm("Sign this?", abort=True)
    key = _current_key(settings, file, before)

    async def act(ctx: Context, tx: Tx) -> signed.Roster:
        # What was shown is what is signed, whatever has changed meanwhile.
        succession = before.succession if before is not None else ()
        desk, at = ctx.settings.server_name, ctx.clock.now()
        document = signed.sign(key, desk, found.number, at, found.staff, succession)
        return await rules.put(ctx, tx, document, public(key), by=operator())

    made = in_transaction(settings, act)
    click.echo(f"Roster {made.number} is signed: {len(made.staff)} people and the keeper's machine among them.")


@roster.command()
@click.option("--key", "file", type=_FILE, help="The signing key's file until now.")
@click.option("--new-key", "new_file", required=True, type=_FILE, help="Where the new key goes: a new file.")
@click.option("--lost", is_flag=True, help="The key until now is lost: every page that knows it refuses the new one.")
@click.option("--yes", is_flag=True, help="Do not ask again.")
@with_settings
def rotate(settings: Settings, file: Path | None, new_file: Path, lost: bool, yes: bool) -> None:
    """Put a new signing key in the place of the old one, which signs it, and sign the staff with it.

    Pages, keeper and server that know the old key follow that signature. The passphrases, the old one's first, are
    asked for or read from the input.
    """
    if lost == (file is not None):
        raise click.ClickException("Either --key FILE, the key until now, or --lost.")
    found, before = in_transaction(settings, _looked_at_lost if lost else _looked_at)
    _tell(found, before)
    if not yes:
        click.confirm("Exchange the key, and sign this?", abort=True)
    old = _current_key(settings, file, before) if file is not None else None
    new = _new_key(new_file)

    async def act(ctx: Context, tx: Tx) -> signed.Roster:
        at, desk = ctx.clock.now(), ctx.settings.server_name
        succession = list(before.succession) if before is not None and old is not None else []
        if old is not None:
            succession.append(signed.succeed(old, new, desk, at))
        document = signed.sign(new, desk, found.number, at, found.staff, succession)
        keys = {"key": public(new), "before": rules.pinned_key(settings.keys) if old is None else public(old)}
        await audit.append(tx, at, operator(), "roster.rotated", str(found.number), lost=lost, **keys)
        return await rules.put(ctx, tx, document, public(old or new), by=operator())

    made = in_transaction(settings, act)
    _pin(settings, new)
    click.echo(f"Roster {made.number} is signed with the key in {new_file}. Bring {rules.KEY_FILE} to where it lies.")
    if lost:
        click.echo("Pages that knew the lost key send nothing and say so; docs/operations.md says how they go on.")


@roster.command()
@with_settings
def show(settings: Settings) -> None:
    """Print the roster that counts, as JSON."""

    async def act(ctx: Context, tx: Tx) -> dict[str, Any]:
        return await rules.shown(tx)

    click.echo(json.dumps(in_transaction(settings, act), ensure_ascii=False, indent=2))


@roster.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--public-key", help="The public key (base64); otherwise the one of this desk.")
@with_settings
def verify(settings: Settings, file: Path | None, public_key: str | None) -> None:
    """Check the desk's roster, or one in FILE, which needs nothing but the public key. Ends with 1 if it is wrong."""
    try:
        if file is not None:
            document = msgspec.json.decode(file.read_bytes())
        else:
            document = in_transaction(settings, lambda ctx, tx: rosters.get_newest(tx))
            document = None if document is None else msgspec.json.decode(document)
        key = public_key or rules.pinned_key(settings.keys)
        if document is None:
            raise signed.BadRoster("There is no roster.")
        if key is None:
            raise signed.BadRoster("There is no public key to check it by: --public-key.")
        desk = document.get("desk") if file is not None and isinstance(document, dict) else settings.server_name
        found = signed.verify(document, key, str(desk))
    except (signed.BadRoster, msgspec.DecodeError) as wrong:
        click.echo(str(wrong))
        sys.exit(1)
    click.echo(
        f"Roster {found.number} of {found.desk}, {found.issued_at}: {len(found.staff)} entries, as it was signed."
    )


Looked = tuple[rules.Draft, signed.Roster | None]


async def _looked_at(ctx: Context, tx: Tx) -> Looked:
    try:
        return await rules.draft(ctx, tx), await rules.current(ctx.settings, tx)
    except signed.BadRoster as wrong:
        raise click.ClickException(str(wrong)) from None


async def _looked_at_lost(ctx: Context, tx: Tx) -> Looked:
    """The same where what counts till now may be gone, the file of its public key, too."""
    with suppress(signed.BadRoster):
        return await rules.draft(ctx, tx), await rules.current(ctx.settings, tx)
    return await rules.draft(ctx, tx), None


def _tell(found: rules.Draft, before: signed.Roster | None) -> list[str]:
    for name in found.without:
        click.echo(f"not on it: {name} has never signed in with a page that makes an identity")
    changes = rules.differences(before, found.staff)
    for line in changes:
        click.echo(line)
    return changes


def _new_key(file: Path) -> SigningKey:
    if file.exists():
        raise click.ClickException(f"{file} exists already; say another name.")
    phrase = _passphrase("Passphrase of the new key", twice=True)
    if len(phrase) < SHORTEST:
        raise click.ClickException(f"A passphrase has {SHORTEST} characters or more.")
    key = SigningKey.generate()
    try:
        locked_key.write(file, key, phrase)
    except OSError as error:
        raise click.ClickException(f"The key could not be written: {error.strerror}.") from None
    return key


def _current_key(settings: Settings, file: Path, before: signed.Roster | None) -> SigningKey:
    """The key that counts, which `before` was signed by."""
    try:
        key = locked_key.read(file, _passphrase("Passphrase of the roster's key"))
    except OSError as error:
        raise click.ClickException(f"{file} can't be read: {error.strerror}.") from None
    except ValueError as wrong:
        raise click.ClickException(str(wrong)) from None
    if public(key) != (before.key if before is not None else rules.pinned_key(settings.keys)):
        raise click.ClickException(f"{file} is not the key that this desk knows ({rules.KEY_FILE}).")
    return key


def _pin(settings: Settings, key: SigningKey) -> None:
    file = settings.keys / rules.KEY_FILE
    try:
        pinned.write(file, public(key))
    except OSError as error:
        text = f"{file} could not be written ({error.strerror}). Write this line there: {public(key)}"
        raise click.ClickException(text) from None


def _passphrase(whose: str, *, twice: bool = False) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    phrase: str = click.prompt(whose, hide_input=True, confirmation_prompt=twice, err=True)
    return phrase
