"""`madoguchi keeper prepare, recover`: before and after the loss of the keeper's machine."""

import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from nacl.public import PrivateKey

from madoguchi.cli_staff import in_transaction, operator
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.desk import case_room
from madoguchi.core.desk import roster as rules
from madoguchi.crypto import locked_key, pinned
from madoguchi.crypto.cross_signing import JSON, CrossSigningKeys, encode_base64
from madoguchi.crypto.identity import give_identity, kept_identity
from madoguchi.crypto.roster import BadRoster
from madoguchi.crypto.sealed_file import SealBroken, SealedFile
from madoguchi.flags import with_settings
from madoguchi.keeper import recovery
from madoguchi.keeper.copies import STATE_FILE
from madoguchi.keeper.process import store_key
from madoguchi.keeper.recovery import Secrets
from madoguchi.storage import account_data, audit, backups, cross_signing, wrapping
from madoguchi.storage.db import Tx
from madoguchi.vault import ceremony, pin, sealing
from madoguchi.vault.at_desk import read_key, witness
from madoguchi.vault.ceremony import VaultProblem, Witness

SHORTEST = 12
_FILE = click.Path(path_type=Path)


@click.command()
@click.option("--key", "file", required=True, type=_FILE, help="Where the recovery key goes: a new file.")
@click.option("--anew", is_flag=True, help="Put it in the place of an earlier one, that was lost or seen by somebody.")
@with_settings
def prepare(settings: Settings, file: Path, anew: bool) -> None:
    """Make the recovery key, by which a lost keeper comes back as itself.

    FILE is opened by a passphrase. Keep it away from the desk's machine: with it and the database somebody reads the
    conversations that are running.
    """
    known = settings.keys / recovery.KEY_FILE
    if known.exists() and not anew:
        raise click.ClickException(f"There is a recovery key already: {known}. A new one: --anew.")
    if file.exists():
        raise click.ClickException(f"{file} exists already; say another name.")
    phrase = _passphrase(twice=True)
    if len(phrase) < SHORTEST:
        raise click.ClickException(f"A passphrase has {SHORTEST} characters or more.")
    key = PrivateKey.generate()
    public_key = encode_base64(bytes(key.public_key))
    try:
        locked_key.write_secret(file, bytes(key), bytes(key.public_key), phrase, kind=locked_key.RECOVERY)
        pinned.write(known, public_key)
    except OSError as error:
        raise click.ClickException(f"The key could not be written: {error.strerror}.") from None
    click.echo(f"The key is in {file}; its public half in {known}. The keeper uses it from now on, without a restart.")


@click.command()
@click.option("--key", "file", type=_FILE, help="The recovery key's file: the keeper comes back as itself.")
@click.option("--new-identity", is_flag=True, help="The recovery key is lost, too: the keeper begins anew.")
@click.option("--vault-key", "shares", help="File with the vault's shares, or -: also brings back every key it has.")
@click.option("--reason", default=None, help="Why the vault is opened; it is written down.")
@click.option("--holder", "holders", multiple=True, help="Name of a holder of the vault who is present; once for each.")
@with_settings
def recover(
    settings: Settings, file: Path | None, new_identity: bool, shares: str | None, reason: str | None,
    holders: tuple[str, ...],
) -> None:  # fmt: skip
    """Bring a keeper back whose directory was lost. It may run meanwhile: it waits for this.

    The passphrase of --key is asked for, or read from the input.
    """
    if file is not None and new_identity:
        raise click.ClickException("Either --key or --new-identity.")
    if shares == "-" and not sys.stdin.isatty() and file is not None:
        raise click.ClickException("The input can't be both the passphrase and the shares: put the shares into a file.")
    private_key = None if file is None else _opened(file)
    present = None if shares is None else witness(reason, holders)
    vault_key = None if shares is None else read_key(shares)

    async def act(ctx: Context, tx: Tx) -> list[str]:
        return await _Recovery(settings, ctx, tx, present).run(private_key, new_identity, vault_key)

    try:
        lines = in_transaction(settings, act)
    except (recovery.NotOpened, BadRoster, VaultProblem) as wrong:
        raise click.ClickException(str(wrong)) from None
    except SealBroken:
        text = f"What lies in {settings.data / 'keeper'} was sealed under another secret.key; move it away first."
        raise click.ClickException(text) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}; nothing was changed.") from None
    for line in lines:
        click.echo(line)


class _Recovery:
    """One recovery, inside a transaction: what is written to disk is written before it ends."""

    def __init__(self, settings: Settings, ctx: Context, tx: Tx, witness: Witness | None) -> None:
        self._settings, self._ctx, self._tx, self._witness = settings, ctx, tx, witness
        self._user_id = case_room.keeper_id(ctx)
        self._directory = settings.data / "keeper"
        self._store_key = store_key(settings.keys / "secret.key")

    async def run(self, private_key: bytes | None, new_identity: bool, vault_key: bytes | None) -> list[str]:
        """What to tell. Raises NotOpened, BadRoster, SealBroken, OSError, click.ClickException."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = kept_identity(self._directory, self._store_key, self._user_id)
        if known is not None and new_identity:
            text = f"The keeper has its identity, in {self._directory}; move that away first if it is to begin anew."
            raise click.ClickException(text)
        if known is None and private_key is None and not new_identity:
            raise click.ClickException("The keeper has no identity here: say --key FILE, or --new-identity.")
        keys: dict[tuple[str, str], JSON] = {}
        lines = []
        if vault_key is not None:
            keys, damaged = await self._from_vault(vault_key)
            lines += [f"{damaged} of the vault's keys are not of this key, or wrapped."] if damaged else []
            if closed := await wrapping.count_closed(self._tx):
                lines.append(f"What {closed} keys are wrapped in is not here: `madoguchi wrapping load FILE` first.")
            if pin.is_missing(self._settings.keys):
                # Its holders have just shown that it is theirs.
                pin.write(self._settings.keys, sealing.public_of(vault_key))
        restored: tuple[CrossSigningKeys, Secrets] | None = None
        if private_key is not None:
            restored = await self._restored(private_key)
            copies, damaged = await self._from_backup(restored[1])
            keys |= copies
            lines += [f"{damaged} copies were not made by this keeper and are left out."] if damaged else []
        rooms = len({room_id for room_id, _ in keys})
        kind = "kept" if known is not None else "restored" if restored is not None else "new"
        figures: dict[str, object] = {"identity": kind, "keys": len(keys), "rooms": rooms}
        if self._witness is not None:
            figures |= {"reason": self._witness.reason, "holders": list(self._witness.holders)}
        at = self._ctx.clock.now()
        await audit.append(self._tx, at, operator(), "keeper.recovered", self._user_id, **figures)
        if vault_key is not None:
            await audit.append(self._tx, at, operator(), "vault.keys_given", self._user_id, **figures)
        recovery.Brought(self._directory, self._store_key).put(keys.values())
        if known is None:
            await self._give_identity(private_key, restored)
        lines.append(f"Identity {kind}; {len(keys)} room keys of {rooms} rooms wait for the keeper.")
        lines.append("It takes them up within seconds. Then: `madoguchi doctor`, `madoguchi vault check`.")
        if kind == "new":
            lines.append("It has other keys than before: once it runs, `madoguchi roster sign`. Until then pages that")
            lines.append("know the roster hold back what is written, and say why.")
        if vault_key is None:
            lines.append("Keys of cases that have ended are in the vault alone: --vault-key brings them back.")
        return lines

    async def _give_identity(
        self, private_key: bytes | None, restored: tuple[CrossSigningKeys, Secrets] | None
    ) -> None:
        if restored is None or private_key is None:
            keys = CrossSigningKeys.make(self._user_id)
        else:
            keys, secrets = restored
            public_key = encode_base64(bytes(PrivateKey(private_key).public_key))
            state = {"for": public_key, "identity": keys.master_public, "secrets": secrets.told}
            SealedFile(self._directory / STATE_FILE, self._store_key).write(state)
            known = self._settings.keys / recovery.KEY_FILE
            if not known.exists():
                pinned.write(known, public_key)
        if (roster := await rules.current(self._settings, self._tx)) is not None:
            (self._directory / "roster.number").write_text(str(roster.number), encoding="ascii")
        give_identity(self._directory, self._store_key, keys)

    async def _restored(self, private_key: bytes) -> tuple[CrossSigningKeys, Secrets]:
        kept = await account_data.get_account_data(self._tx, self._user_id, None, case_room.KEEPER_RECOVERY)
        if kept is None:
            raise recovery.NotOpened("The keeper has kept nothing for this: only --new-identity is left.")
        found = recovery.open_identity(private_key, msgspec.json.decode(kept), self._user_id)
        roster = await rules.current(self._settings, self._tx)
        expected = roster.master_key_of(self._user_id) if roster is not None else None
        if expected is None:
            published = await cross_signing.list_cross_signing_keys(self._tx, [self._user_id])
            expected = next((key.public_key for key in published if key.usage == "master"), None)
        if expected != found[0].master_public:
            where = "the roster names" if roster is not None else "the keeper had last"
            raise recovery.NotOpened(f"What was kept is not the identity that {where}.")
        return found

    async def _from_backup(self, secrets: Secrets) -> tuple[dict[tuple[str, str], JSON], int]:
        backup = await backups.get_current_backup(self._tx, self._user_id)
        if backup is None or msgspec.json.decode(backup.auth_data).get("public_key") != secrets.public_key:
            return {}, 0
        found, damaged = {}, 0
        for copy in await backups.list_keys(self._tx, self._user_id, backup.version):
            name = copy.room_id, copy.session_id
            try:
                found[name] = recovery.opened_copy(secrets, *name, msgspec.json.decode(copy.session_data))
            except recovery.NotOpened:
                damaged += 1
        return found, damaged

    async def _from_vault(self, vault_key: bytes) -> tuple[dict[tuple[str, str], JSON], int]:
        keys, damaged = await ceremony.open_all(self._tx, vault_key)
        return {(key.room_id, key.session_id): recovery.historic_key(key) for key in keys}, damaged


def _opened(file: Path) -> bytes:
    try:
        return locked_key.read_secret(file, _passphrase(), kind=locked_key.RECOVERY)
    except OSError as error:
        raise click.ClickException(f"{file} can't be read: {error.strerror}.") from None
    except ValueError as wrong:
        raise click.ClickException(str(wrong)) from None


def _passphrase(*, twice: bool = False) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    phrase: Any = click.prompt("Passphrase of the recovery key", hide_input=True, confirmation_prompt=twice, err=True)
    return str(phrase)
