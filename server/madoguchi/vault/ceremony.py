"""Making the vault and opening it: the two occasions on which its private key exists outside its holders' papers."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from madoguchi.storage import audit
from madoguchi.storage import vault as rows
from madoguchi.storage.db import Tx
from madoguchi.vault import sealing, shares, transcript


class VaultProblem(Exception):
    """The vault can't be made or opened. The text says why."""


@dataclass(frozen=True)
class Made:
    """A new vault: its key's short name and the holders' shares, 33 words each. The shares exist nowhere else."""

    key_id: str
    shares: list[str]
    threshold: int

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
    """An opened room. unreadable: how many entries could not be opened; damaged: how many sealed keys."""

    room: rows.CaseRoom
    entries: list[transcript.Entry]
    names: dict[str, str]
    unreadable: int
    damaged: int

    def as_text(self) -> str:
        """The transcript, times in this machine's time zone."""
        return transcript.as_text(self.entries, self.names)


async def init(tx: Tx, number: int = 1, threshold: int = 1, *, by: str = "system") -> Made:
    """Make the vault: the public key goes into the database, the shares to the caller and nowhere else.

    `number` shares, any `threshold` of them open; by: who makes it, for the audit log. Raises VaultProblem when there
    is a vault already, shares.SharesProblem when the numbers make no sense.
    """
    if await rows.get_vault(tx) is not None:
        raise VaultProblem("There is a vault already; its key is with its holders. A vault is never overwritten.")
    private_key = sealing.make_private_key()
    words = shares.split(private_key, number, threshold)
    public_key = sealing.public_of(private_key)
    name = sealing.key_id(public_key)
    if shares.join(words[:threshold]) != private_key:
        raise VaultProblem("The shares do not give the key again; nothing was changed.")
    if not await rows.insert_vault(tx, name, public_key, number, threshold):
        raise VaultProblem("There is a vault already; its key is with its holders. A vault is never overwritten.")
    await audit.append(tx, datetime.now(UTC), by, "vault.made", name, shares=number, threshold=threshold)
    return Made(name, words, threshold)


async def open_case(tx: Tx, case_or_room: str, private_key: bytes, by_whom: str, reason: str) -> Opening:
    """Open a case's room, and write down who did and why. Raises VaultProblem."""
    vault = await rows.get_vault(tx)
    if vault is None:
        raise VaultProblem("This desk has no vault yet. Make one with `madoguchi vault init`.")
    if sealing.public_of(private_key) != vault.public_key:
        given = sealing.key_id(sealing.public_of(private_key))
        raise VaultProblem(f"Wrong key: this one is {given}, the vault's is {vault.key_id}.")
    room = await rows.find_room(tx, case_or_room)
    if room is None:
        raise VaultProblem(f"There is no case or room {case_or_room}.")
    sealed = await rows.list_keys(tx, room.room_id, vault.key_id)
    secrets = [secret for key in sealed if (secret := _unsealed(private_key, key)) is not None]
    opened = transcript.Opened(secrets)
    stored = await rows.list_events(tx, room.room_id)
    entries = transcript.entries([_event(room.room_id, event) for event in stored], opened)
    unreadable = sum(entry.unreadable is not None for entry in entries)
    names = await _names(tx, room, {event.sender for event in stored})
    await rows.insert_opening(tx, by_whom, reason, room.case_id, room.room_id, len(entries), unreadable)
    figures = {"entries": len(entries), "unreadable": unreadable}
    subject = room.case_id or room.room_id
    await audit.append(tx, datetime.now(UTC), by_whom, "vault.opened", subject, reason=reason, **figures)
    return Opening(room, entries, names, unreadable, len(sealed) - len(secrets))


def _unsealed(private_key: bytes, key: rows.SealedKey) -> sealing.SessionSecret | None:
    try:
        secret = sealing.unseal(private_key, key.sealed)
    except sealing.WrongKey:
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
