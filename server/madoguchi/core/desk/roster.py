"""The roster 名簿 at the desk: who would stand on it, what a new one changes, and who may come into a case's rooms.

Once there is a roster, nobody else of the staff comes into a case's rooms. The server only refuses; the pages and the
keeper look at the signature themselves and need not believe it.
"""

from pathlib import Path
from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.desk import case_room
from madoguchi.crypto import pinned
from madoguchi.crypto import roster as signed
from madoguchi.crypto.roster import Entry, Roster
from madoguchi.ids import UserID
from madoguchi.storage import audit, cross_signing
from madoguchi.storage import rosters as stored
from madoguchi.storage import staff as stored_staff
from madoguchi.storage.db import Tx

# The operator's public key, unpadded base64 and a line's end.
KEY_FILE = "roster.pub"
KEEPER = "記録係"


class Draft(msgspec.Struct, frozen=True):
    """Of the next roster. staff: who would stand on it. without: names of those who have no identity yet."""

    number: int
    staff: list[Entry]
    without: list[str]


def pinned_key(keys: Path) -> str | None:
    """The operator's public key (unpadded base64), None where there is none."""
    try:
        return pinned.read(keys / KEY_FILE)
    except OSError:
        return None


async def draft(ctx: Context, tx: Tx) -> Draft:
    """All enabled staff and the keeper, by the identities that they have now."""
    found: list[tuple[UserID, str, signed.Role]] = [
        (person.user_id, person.name, person.role)
        for person in await stored_staff.list_staff(tx)
        if person.disabled_at is None
    ]
    found.append((case_room.keeper_id(ctx), KEEPER, "keeper"))
    keys = await _master_keys(tx, [user_id for user_id, _, _ in found])
    entries = [Entry(user_id, name, role, keys[user_id]) for user_id, name, role in found if user_id in keys]
    newest = await stored.get_newest(tx)
    number = 1 if newest is None else 1 + int(msgspec.json.decode(newest)["number"])
    return Draft(number, entries, [name for user_id, name, _ in found if user_id not in keys])


async def current(settings: Settings, tx: Tx) -> Roster | None:
    """The roster that counts, or None. Raises BadRoster for one that this desk's key has not signed."""
    document = await stored.get_newest(tx)
    key = pinned_key(settings.keys)
    if document is None:
        return None
    if key is None:
        raise signed.BadRoster(f"There is a roster, and no {KEY_FILE} in the keys to check it by.")
    return signed.verify(msgspec.json.decode(document), key, settings.server_name)


async def shown(tx: Tx) -> dict[str, Any]:
    """The newest roster as it was signed. Raises NotFound."""
    document = await stored.get_newest(tx)
    if document is None:
        raise errors.NotFound("This desk has no roster.")
    found: dict[str, Any] = msgspec.json.decode(document)
    return found


async def put(ctx: Context, tx: Tx, document: dict[str, Any], key: str, by: str) -> Roster:
    """Makes a signed roster the one that counts. key: by which it has to be signed, or from which its key follows.
    Raises BadRoster, Conflict for one that is not newer."""
    roster = signed.verify(document, key, ctx.settings.server_name)
    at = ctx.clock.now()
    text = msgspec.json.encode(document).decode()
    if not await stored.insert_roster(tx, roster.number, text, at, by):
        raise errors.Conflict("There is a roster of this number already, or a later one.")
    await audit.append(tx, at, by, "roster.signed", str(roster.number), staff=len(roster.staff))
    return roster


def differences(before: Roster | None, staff: list[Entry]) -> list[str]:
    """What signing would change, a line each; the dangerous ones in capitals."""
    old = {entry.user_id: entry for entry in before.staff} if before is not None else {}
    new = {entry.user_id: entry for entry in staff}
    lines = []
    for user_id, entry in new.items():
        known = old.get(user_id)
        if known is None:
            lines.append(f"new: {entry.name} ({user_id}), {entry.role}, identity {entry.master_key}")
            continue
        if known.master_key != entry.master_key:
            lines.append(
                f"IDENTITY REPLACED: {entry.name} ({user_id}) has other keys than before: {entry.master_key}, not "
                f"{known.master_key}. Ask them in person whether they began anew."
            )
        if (known.name, known.role) != (entry.name, entry.role):
            lines.append(f"changed: {user_id}: {known.name}, {known.role} -> {entry.name}, {entry.role}")
    lines += [f"gone: {entry.name} ({user_id})" for user_id, entry in old.items() if user_id not in new]
    return lines


async def vouch(ctx: Context, tx: Tx, user_id: UserID, name: str) -> None:
    """Refuses whom the roster does not name by the identity they have now; where there is no roster, nobody. Raises
    NotOnRoster."""
    if await unvouched(ctx.settings, tx, [user_id]):
        raise errors.NotOnRoster(
            f"{name} does not stand on the desk's roster, or has other keys than it says. An administrator signs it "
            "anew: `madoguchi roster sign`."
        )


async def unvouched(settings: Settings, tx: Tx, user_ids: list[UserID]) -> set[UserID]:
    """Those of these whom the roster does not name by the identity that they have now. A roster that does not hold
    vouches for nobody."""
    if not user_ids:
        return set()
    try:
        roster = await current(settings, tx)
    except signed.BadRoster:
        return set(user_ids)
    if roster is None:
        return set()
    keys = await _master_keys(tx, user_ids)
    return {each for each in user_ids if each not in keys or roster.master_key_of(each) != keys[each]}


async def _master_keys(tx: Tx, user_ids: list[UserID]) -> dict[str, str]:
    found = await cross_signing.list_cross_signing_keys(tx, user_ids)
    return {key.user_id: key.public_key for key in found if key.usage == "master"}
