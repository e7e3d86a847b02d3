"""The end of a case: what was said, its keys and its files are destroyed.

It happens in two steps. First everything but two things is destroyed at once: the room's creation and the fact that
each member has left, which say nothing and from which every client learns that the room is gone. A month later these go
as well, and with them the account of an anonymous person who has no other case. The case itself stays as figures: when
it came, by which channel, how long it took, in whose hands it was, and the codes of its record. With the rows goes what
the case's keys are wrapped in (storage/wrapping.py), so that older backups open nothing of it. A signed certificate
says what was destroyed (certificates.py); a case that is held (holds.py) is not. Where the person wished it
(wishes.py), codes and steps go as well, and whose case it was is forgotten with the last traces.
"""

from datetime import datetime, timedelta

import msgspec
import structlog

from madoguchi import errors, ids
from madoguchi.context import Context
from madoguchi.core.chat import accounts, membership
from madoguchi.core.desk import case_room, certificates, holds
from madoguchi.ids import CaseID, RoomID
from madoguchi.storage import accounts as stored_accounts
from madoguchi.storage import audit, destructions, records, side_rooms, staff_room, wrapping
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import purging as stored
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage import wishes as stored_wishes
from madoguchi.storage.cases import Case
from madoguchi.storage.db import Tx

log = structlog.get_logger()

# A client that has not asked for so long begins anew.
TRACES_KEPT = timedelta(days=30)
# Who destroys where the person wished it.
BY_WISH = "own_wish"
# Under which kind each of what is destroyed counts.
_KINDS: dict[str, destructions.Kind] = {
    "events": "content", "keys": "keys", "files": "media", "records": "record", "steps": "metadata",
}  # fmt: skip


class Purged(msgspec.Struct, frozen=True):
    """How many events, sealed keys and files were destroyed."""

    events: int = 0
    keys: int = 0
    files: int = 0


async def purge(
    ctx: Context, tx: Tx, case_id: CaseID, by: str, reason: str | None = None, *, receipt: str | None = None
) -> Purged:
    """Destroys the content, the keys and the files of a closed case; twice does no more.

    by, reason: who wanted it and why, as the case's steps and the certificate show it; receipt: of the person's wish,
    by which everything goes but figures. The files are off the disk once `work` has run. Raises NotFound, Conflict for
    a case that has not ended or that something holds.
    """
    case = await stored_cases.lock_case(tx, case_id)
    if case is None:
        raise errors.NotFound("There is no such case.")
    if case.state == "purged":
        return Purged()
    if case.state != "closed":
        raise errors.Conflict("This case has not ended. Close it first.")
    held = await holds.standing(ctx, tx, case_id)
    if held:
        raise errors.Conflict(f"This case is held ({', '.join(each.code for each in held)}). Release it first.")
    gone: dict[str, list[str]] = {"events": [], "keys": [], "files": [], "wrapping_keys": []}
    wrapped_since: list[datetime] = []
    for room_id in await _rooms_of(tx, case):
        await _destroy(ctx, tx, room_id, gone)
        around = await wrapping.delete_of(tx, room_id)
        gone["wrapping_keys"] += [str(key_id) for key_id, _ in around]
        wrapped_since += [made_at for _, made_at in around]
    purged = Purged(events=len(gone["events"]), keys=len(gone["keys"]), files=len(gone["files"]))
    at = ctx.clock.now()
    await stored.update_purged(tx, case_id, at, by_wish=receipt is not None)
    await staff_room.delete_card(tx, case_id)
    if receipt is None:
        await records.update_purged(tx, case_id)
        await stored_cases.insert_step(tx, case_id, at, "purged", by, reason=reason)
    else:
        gone["records"] = [case_id] * await records.delete_record(tx, case_id)
        gone["steps"] = await stored.delete_steps(tx, case_id)
    since = min(wrapped_since, default=None)
    await certificates.make(ctx, tx, case_id, at, by, reason, gone, receipt, wrapped_since=since)
    for figure, kind in _KINDS.items():
        if figure in gone:
            await destructions.insert(tx, case_id, kind, at, len(gone[figure]))
    figures = {"events": purged.events, "keys": purged.keys, "files": purged.files}
    await audit.append(tx, at, by, "case.purged", case_id, reason=reason, **figures)
    log.info("case purged", case_id=case_id, events=purged.events, keys=purged.keys, files=purged.files)
    return purged


async def _rooms_of(tx: Tx, case: Case) -> list[RoomID]:
    side = await side_rooms.get_room_of(tx, case.id)
    return [case.room_id] if side is None else [case.room_id, side]


async def _destroy(ctx: Context, tx: Tx, room_id: RoomID, gone: dict[str, list[str]]) -> None:
    """Sends everybody out of a room and destroys what is in it. Adds the ids of that to `gone`."""
    keeper = case_room.keeper_id(ctx)
    present = [
        user_id
        for kind in ("join", "invite", "knock")
        for user_id in await stored_rooms.list_members(tx, room_id, kind)
    ]
    for user_id in present:
        if user_id != keeper:
            await membership.kick(ctx, tx, room_id, keeper, user_id)
    await membership.leave(ctx, tx, room_id, keeper)
    gone["events"] += await stored.delete_content(tx, room_id)
    gone["keys"] += await stored.delete_keys(tx, room_id)
    gone["files"] += await stored.delete_media(tx, room_id)


async def forget(ctx: Context, tx: Tx, case_id: CaseID) -> None:
    """Takes away the last traces of a purged case's rooms, and the account of an anonymous person without another."""
    case = await stored_cases.lock_case(tx, case_id)
    if case is None or case.state != "purged":
        return
    for room_id in await _rooms_of(tx, case):
        await stored.delete_room(tx, room_id)
    await stored.update_forgotten(tx, case_id, ctx.clock.now())
    # Not the whole account: `work` may not read by what somebody signs in.
    kind = await stored_accounts.get_kind(tx, case.user_id)
    ends = kind == "youth" and not await stored.has_other_case(tx, case.user_id)
    if ends:
        await accounts.end(ctx, tx, case.user_id)
        await stored.delete_belongings(tx, case.user_id)
    instead = f"gone:{ids.lowercase(16)}"
    if await stored.update_anonymous(tx, case_id, instead) or ends:
        await stored_wishes.update_forgotten(tx, case.user_id, instead)
