"""Retention 保存期間: for how long each kind of what a case leaves behind is kept after its end, and what then goes.

What tells more never outlives what tells less: files go with what was said or before it, the codes of the record with
it or after it, who took part last of all. The sealed keys have no period of their own: without what it opens a key is
good for nothing, and without its key what was said could neither be handed to its person nor to a court.
What is held (holds.py) stays, whatever its kind.
"""

from datetime import timedelta

import msgspec
import structlog

from madoguchi import errors, ids
from madoguchi.context import Context
from madoguchi.core.desk import auditing, certificates, holds
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.settings import DeskSettings
from madoguchi.ids import CaseID
from madoguchi.storage import audit, destructions, purging, records
from madoguchi.storage import cases as stored_cases
from madoguchi.storage.cases import Case
from madoguchi.storage.db import Tx
from madoguchi.storage.destructions import Kind

log = structlog.get_logger()

KINDS: tuple[Kind, ...] = ("media", "keys", "content", "record", "metadata")
# Those that `destroy` takes; keys and content go by purge.purge.
APART: tuple[Kind, ...] = ("media", "record", "metadata")
SHOWN_FOR = timedelta(days=30)


class Figures(msgspec.Struct, frozen=True):
    """Of a kind. days: its period, None for as long as the case's figures are kept; gone_cases, gone_items: destroyed
    in the last 30 days; due: cases whose time is over within the next 30 days; held: how many of these are held now.
    """

    kind: str
    days: int | None
    gone_cases: int
    gone_items: int
    due: int
    held: int


def days_of(settings: DeskSettings) -> dict[Kind, int | None]:
    """For how many days after the end of a case each kind is kept; None: for good."""
    content, metadata = settings.content_days, settings.metadata_days or None
    return {
        "media": settings.media_days or content,
        "keys": content,
        "content": content,
        "record": settings.record_days or metadata,
        "metadata": metadata,
    }


async def figures(ctx: Context, tx: Tx) -> list[Figures]:
    """How much of each kind has gone, and how much goes soon."""
    now = ctx.clock.now()
    gone = await destructions.count_since(tx, now - SHOWN_FOR)
    found = []
    for kind, days in days_of(await desk_settings.get(tx)).items():
        due, held = (0, 0)
        if days is not None:
            due, held = await purging.count_due(tx, kind, now + SHOWN_FOR - timedelta(days=days), now)
        cases, items = gone.get(kind, (0, 0))
        found.append(Figures(kind, days, cases, items, due, held))
    return found


async def list_due(ctx: Context, tx: Tx, most: int) -> list[tuple[Kind, CaseID]]:
    """What is to be destroyed apart from the rest of its case now."""
    now = ctx.clock.now()
    days = days_of(await desk_settings.get(tx))
    found: list[tuple[Kind, CaseID]] = []
    for kind in APART:
        period = days[kind]
        if period is not None and not (kind == "media" and period == days["content"]):
            due = await purging.list_due_of(tx, kind, now - timedelta(days=period), now, most)
            found += [(kind, case_id) for case_id in due]
    return found


async def destroy(ctx: Context, tx: Tx, case_id: CaseID, kind: Kind) -> int:
    """Destroys a kind of a case, if its time is over and nothing holds it. Gives how many items; certified where there
    were any. Raises Conflict without the audit key."""
    period = days_of(await desk_settings.get(tx))[kind]
    case = await stored_cases.lock_case(tx, case_id)
    now = ctx.clock.now()
    if case is None or case.closed_at is None or period is None or case.closed_at >= now - timedelta(days=period):
        return 0
    if case.running or await holds.standing(ctx, tx, case_id):
        return 0
    if kind == "metadata" and case.state != "purged":
        return 0
    gone = await _destroy(tx, case, kind)
    count = sum(len(each) for each in gone.values())
    await destructions.insert(tx, case_id, kind, now, count)
    if count:
        left = certificates.LEFT_WITHOUT[kind if case.state == "closed" or kind == "metadata" else f"purged_{kind}"]
        await certificates.make(ctx, tx, case_id, now, "retention", None, gone, left=left)
        await audit.append(tx, now, "retention", "case.destroyed", case_id, kind=kind, items=count)
    log.info("kind destroyed", case_id=case_id, kind=kind, items=count)
    return count


async def _destroy(tx: Tx, case: Case, kind: Kind) -> dict[str, list[str]]:
    if kind == "media":
        rooms = await purging.list_rooms_of(tx, case.id)
        return {"files": [each for room_id in rooms for each in await purging.delete_media(tx, room_id)]}
    if kind == "record":
        return {"records": [case.id] * await records.delete_record(tx, case.id)}
    if kind == "metadata":
        return {
            "steps": await purging.delete_steps(tx, case.id),
            "staff": await purging.delete_staff(tx, case.id),
            "person": await purging.update_person_forgotten(tx, case.id, f"gone:{ids.lowercase(16)}"),
        }
    raise errors.Invalid("This kind has no time of its own.")


async def cut_audit_log(ctx: Context, tx: Tx) -> int:
    """Cuts what is older than `audit_days` off the audit log, behind a signed anchor. Gives how many entries.

    Up to a signed head, never the last entry, never what is younger than a case that is held; and nothing at all from
    a log that is not whole: what was done to it must stay to be seen.
    """
    days = (await desk_settings.get(tx)).audit_days
    if days == 0:
        return 0
    now = ctx.clock.now()
    before = now - timedelta(days=days)
    for held in await holds.standing(ctx, tx):
        case = await stored_cases.get_case(tx, held.case_id)
        if case is not None:
            before = min(before, case.arrived_at)
    count = await auditing.cut(ctx, tx, before)
    if count:
        log.info("audit log cut", entries=count)
    return count
