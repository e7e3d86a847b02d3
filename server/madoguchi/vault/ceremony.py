"""Making the vault, opening it, exchanging its key: when its private key exists outside its holders' papers."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from madoguchi.storage import audit, wrapping
from madoguchi.storage import vault as rows
from madoguchi.storage.db import Tx
from madoguchi.vault import sealing, shares, signing, transcript
from madoguchi.vault.saved import Saved


class VaultProblem(Exception):
    """The vault can't be made or opened. The text says why."""


@dataclass(frozen=True)
class Made:
    """A new vault: its key's short name and the holders' shares, 33 words each. The shares exist nowhere else."""

    key_id: str
    public_key: bytes
    shares: list[str]
    threshold: int
    signing_key: bytes

    def sheet(self) -> str:
        """The shares as a text to print or to keep in a file; `shares.read` takes it as it is."""
        head = [
            f"# Vault key {self.key_id}: {len(self.shares)} share(s), {self.threshold} needed to open.",
            "# Whoever has that many can read every conversation of this desk. It is kept nowhere else.",
        ]
        for number, words in enumerate(self.shares, 1):
            head += [f"# Share {number}", words]
        return "\n".join(head) + "\n"


@dataclass(frozen=True)
class Opening:
    """An opened room. unreadable: how many entries could not be opened; damaged: how many sealed keys; closed: why
    sealed keys stayed wrapped, if any did."""

    room: rows.CaseRoom
    entries: list[transcript.Entry]
    names: dict[str, str]
    unreadable: int
    damaged: int
    closed: str | None = None

    def opened(self) -> rows.Opened:
        """What is written down of it."""
        return rows.Opened(self.room.case_id, self.room.room_id, len(self.entries), self.unreadable)

    def as_text(self) -> str:
        """The transcript, times in this machine's time zone."""
        return transcript.as_text(self.entries, self.names)


@dataclass(frozen=True)
class Witness:
    """Who opens, why, and which holders are present. Whoever reads the log reads all of it."""

    by: str
    reason: str
    holders: Sequence[str] = ()


async def init(tx: Tx, number: int = 1, threshold: int = 1, *, by: str = "system") -> Made:
    """Make the vault: the public keys go into the database, the shares to the caller and nowhere else.

    `number` shares, any `threshold` of them open; by: who makes it, for the audit log. Raises VaultProblem when there
    is a vault already, shares.SharesProblem when the numbers make no sense.
    """
    if await rows.get_vault(tx) is not None:
        raise VaultProblem("There is a vault already; its key is with its holders. A vault is never overwritten.")
    made = _new(number, threshold)
    if not await rows.insert_vault(tx, made.key_id, made.public_key, made.signing_key, number, threshold):
        raise VaultProblem("There is a vault already; its key is with its holders. A vault is never overwritten.")
    await audit.append(tx, datetime.now(UTC), by, "vault.made", made.key_id, **_told(made))
    return made


async def rotate(tx: Tx, old_key: bytes, number: int, threshold: int, witness: Witness) -> tuple[Made, int, int]:
    """A new key in the old one's place, every sealed key sealed anew: (the new vault, how many keys, how many damaged).

    All in the caller's transaction: before its end the old shares open everything, after it the new ones do, and the
    old ones nothing of this database. What the old key could not open is taken out, for the keeper to seal again.
    Raises VaultProblem, shares.SharesProblem.
    """
    vault = _matching(await rows.lock_vault(tx), old_key)
    if closed := await wrapping.count_closed(tx):
        raise VaultProblem(f"What {closed} keys are wrapped in is not here: `madoguchi wrapping load FILE` first.")
    made = _new(number, threshold)
    await rows.update_vault(tx, made.key_id, made.public_key, made.signing_key, number, threshold)
    again = []
    for key in await rows.list_all_keys(tx):
        if key.key is not None and (secret := _unsealed(old_key, key, key.key)) is not None:
            sealed = wrapping.wrap(key.key, sealing.seal(made.public_key, secret))
            again.append((key.room_id, key.session_id, sealed))
    await rows.update_keys(tx, made.key_id, again)
    damaged = await rows.delete_keys_of_others(tx, made.key_id)
    figures = {"keys": len(again), "damaged": damaged, "before": vault.key_id, "reason": witness.reason}
    figures["holders"] = list(witness.holders)
    await audit.append(tx, datetime.now(UTC), witness.by, "vault.rotated", made.key_id, **_told(made), **figures)
    return made, len(again), damaged


async def open_all(tx: Tx, private_key: bytes) -> tuple[list[sealing.SessionSecret], int]:
    """Every key that the vault has: (the keys, how many were damaged or can't be unwrapped here). For the keeper, and
    written down by the caller. Raises VaultProblem."""
    await unlock(tx, private_key)
    found = [_unsealed(private_key, key, key.key) for key in await rows.list_all_keys(tx)]
    keys = [secret for secret in found if secret is not None]
    return keys, len(found) - len(keys)


async def unlock(tx: Tx, private_key: bytes) -> rows.Vault:
    """The vault, if this is its key. Raises VaultProblem."""
    return _matching(await rows.get_vault(tx), private_key)


async def read_case(
    tx: Tx, case_or_room: str, private_key: bytes, side_room: bool = True, saved: Saved | None = None
) -> list[Opening]:
    """Open a case's room and, if there is one and it is wanted, the staff's own; a room by its id, alone.

    saved: wrapping keys for a copy of the database that has none. Raises VaultProblem.
    """
    vault = await unlock(tx, private_key)
    first = await _read_room(tx, vault, case_or_room, private_key, saved)
    side = first.room.side_room_id if side_room else None
    return [first] if side is None else [first, await _read_room(tx, vault, side, private_key, saved)]


async def write_down(
    tx: Tx, opened: Sequence[rows.Opened], witness: Witness, at: datetime,
    manifest: bytes | None = None, record: bytes | None = None, disclosure: str | None = None,
) -> None:  # fmt: skip
    """Write down who opened which rooms, when and why. manifest, record: as `storage.vault.insert_opening` says;
    disclosure: the request that it answers."""
    for room in opened:
        await rows.insert_opening(tx, at, witness.by, witness.reason, witness.holders, room, manifest, record)
    now = datetime.now(UTC)
    for room in opened:
        detail: dict[str, object] = {"reason": witness.reason, "holders": list(witness.holders)}
        detail |= {"entries": room.entries, "unreadable": room.unreadable}
        if manifest is not None:
            detail["manifest"] = manifest.hex()
        if disclosure is not None:
            detail["disclosure"] = disclosure
        if record is not None:
            detail |= {"record": record.hex(), "opened_at": at.isoformat()}
        await audit.append(tx, now, witness.by, "vault.opened", room.case_id or room.room_id, **detail)


async def _read_room(tx: Tx, vault: rows.Vault, case_or_room: str, private_key: bytes, saved: Saved | None) -> Opening:
    room = await rows.find_room(tx, case_or_room)
    if room is None:
        raise VaultProblem(f"There is no case or room {case_or_room}.")
    sealed = await rows.list_keys(tx, room.room_id, vault.key_id)
    around = {key.wrapping: key.key for key in sealed if key.key is not None} | (saved.by_id() if saved else {})
    wrapped = [key for key in sealed if key.wrapping not in around]
    secrets = [
        secret for key in sealed if (secret := _unsealed(private_key, key, around.get(key.wrapping))) is not None
    ]
    opened = transcript.Opened(secrets, {key.session_id for key in wrapped})
    stored = await rows.list_events(tx, room.room_id)
    entries = transcript.entries([_event(room.room_id, event) for event in stored], opened)
    unreadable = sum(entry.unreadable is not None for entry in entries)
    names = await _names(tx, room, {event.sender for event in stored})
    damaged = len(sealed) - len(wrapped) - len(secrets)
    return Opening(room, entries, names, unreadable, damaged, await _why_closed(tx, wrapped, saved))


async def _why_closed(tx: Tx, wrapped: Sequence[rows.WrappedKey], saved: Saved | None) -> str | None:
    if not wrapped:
        return None
    room_id = wrapped[0].room_id
    destroyed_at = saved.destroyed.get(room_id) if saved else await wrapping.get_destroyed_at(tx, room_id)
    if destroyed_at is not None:
        when = f"{destroyed_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return f"What its keys are wrapped in was destroyed with the case on {when}: nobody can open it, in any copy."
    if saved is None:
        return "This database is a copy without the wrapping keys: say the file that has them (--wrapping-keys FILE)."
    if max(key.at for key in wrapped) > saved.made_at:
        saved_at = f"{saved.made_at:%Y-%m-%d %H:%M} UTC"
        return f"The wrapping keys were saved on {saved_at}, before this was sealed: take newer ones."
    return "The file of wrapping keys does not know this room: it is not of this copy's desk, or of another time of it."


def _new(number: int, threshold: int) -> Made:
    private_key = sealing.make_private_key()
    words = shares.split(private_key, number, threshold)
    if shares.join(words[:threshold]) != private_key:
        raise VaultProblem("The shares do not give the key again; nothing was changed.")
    public_key = sealing.public_of(private_key)
    return Made(sealing.key_id(public_key), public_key, words, threshold, signing.public_half(private_key))


def _told(made: Made) -> dict[str, object]:
    key = base64.b64encode(made.signing_key).decode()
    return {"shares": len(made.shares), "threshold": made.threshold, "signing_key": key}


def _matching(vault: rows.Vault | None, private_key: bytes) -> rows.Vault:
    if vault is None:
        raise VaultProblem("This desk has no vault yet. Make one with `madoguchi vault init`.")
    if sealing.public_of(private_key) != vault.public_key:
        given = sealing.key_id(sealing.public_of(private_key))
        raise VaultProblem(f"Wrong key: this one is {given}, the vault's is {vault.key_id}.")
    return vault


def _unsealed(private_key: bytes, key: rows.WrappedKey, around: bytes | None) -> sealing.SessionSecret | None:
    if around is None:
        return None
    try:
        secret = sealing.unseal(private_key, wrapping.unwrap(around, key.wrapped))
    except (sealing.WrongKey, wrapping.Unwrapped):
        return None
    # Whoever could write into the database must not be able to put one room's key in another's place.
    return secret if (secret.room_id, secret.session_id) == (key.room_id, key.session_id) else None


def _event(room_id: str, event: rows.StoredEvent) -> dict[str, object]:
    body: dict[str, object] = json.loads(event.body)
    body |= {"event_id": event.event_id, "type": event.type, "sender": event.sender, "room_id": room_id}
    body["origin_server_ts"] = event.at
    return body


async def _names(tx: Tx, room: rows.CaseRoom, senders: set[str]) -> dict[str, str]:
    staff = await rows.list_staff_names(tx, sorted(senders))
    names = {user_id: f"相談員 {name}" for user_id, name in staff.items()}
    for sender in senders - staff.keys():
        if sender == room.user_id:
            names[sender] = "相談者"
        elif sender.startswith("@keeper:"):
            names[sender] = "記録係"
    return names
