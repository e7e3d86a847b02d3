"""Disclosures 開示: somebody asks to see what is kept of a case, and another one decides.

`own`: the person asks for their own conversation; `court`: a court does, of which two administrators have to know;
`life_at_risk`: a life is at stake, and two people see for some hours who the person is, never what they said. Whoever
asks never approves. The words themselves are opened by the vault's holders (`madoguchi vault open --disclosure ID`).
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from madoguchi import errors, ids
from madoguchi.context import Context
from madoguchi.core.desk import cases, holds
from madoguchi.core.desk.holds import LONGEST_REFERENCE
from madoguchi.ids import CaseID, UserID
from madoguchi.storage import audit, records, stream
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import disclosures as stored
from madoguchi.storage.cases import Case
from madoguchi.storage.db import Tx
from madoguchi.storage.disclosures import Address, Disclosure, Handover, Kind, Refusal, Traces
from madoguchi.storage.records import Codes
from madoguchi.storage.staff import Role, Staff
from madoguchi.storage.stream import Note

# Within so long somebody decides, and after that the vault's holders meet.
WITHIN = timedelta(days=30)
LONGEST_HOURS = 24
SHOWN_FOR = timedelta(days=365)
MOST_SHOWN = 200
LONGEST_REASON = 300
# Whoever acts from the operator's own machine.
OPERATOR: Role = "administrator"


class Identity(msgspec.Struct, frozen=True):
    """All that the server knows of who somebody is. codes: of their record, None while none is written; addresses:
    since the glass was opened."""

    disclosure: Disclosure
    case: Case
    traces: Traces
    codes: Codes | None
    addresses: list[Address]


async def ask_own(ctx: Context, tx: Tx, user_id: UserID) -> Disclosure:
    """The person asks for their own conversation; a request that is open already is given again.

    Raises NotFound for somebody without a case that is kept.
    """
    case = await stored_cases.get_latest_case(tx, user_id)
    if case is None:
        raise errors.NotFound("You have no case here.")
    await stored_cases.lock_case(tx, case.id)
    return await _own(ctx, tx, case.id, user_id)


async def ask_own_by_letter(ctx: Context, tx: Tx, case_id: CaseID, by: str) -> Disclosure:
    """The same, written down by the operator for somebody who has asked on paper. Raises NotFound, Conflict."""
    await _lock_kept(tx, case_id)
    return await _own(ctx, tx, case_id, by)


async def own(ctx: Context, tx: Tx, user_id: UserID) -> Disclosure | None:
    """How the person's own request stands; None if they never asked."""
    found = await stored.get_own(tx, user_id)
    return found.at(ctx.clock.now()) if found is not None else None


async def ask_for_court(
    ctx: Context, tx: Tx, case_id: CaseID, by: str, reference: str, reason: str, side_room: bool
) -> Disclosure:
    """A court asks for the transcript. The case is held from now on, until somebody releases it.

    reference: the number of the court's file. Raises NotFound, Conflict for a purged case, Invalid.
    """
    await _lock_kept(tx, case_id)
    reason, reference = checked_reason(reason), reference.strip()
    if not 0 < len(reference) <= LONGEST_REFERENCE or not reference.isprintable():
        raise errors.Invalid(f"A reference is a file number: one line of at most {LONGEST_REFERENCE} characters.")
    new = _new(ctx, case_id, "court", by, WITHIN, reason=reason, reference=reference, side_room=side_room)
    if not any(each.reference == reference for each in await holds.standing(ctx, tx, case_id)):
        await holds.hold(ctx, tx, case_id, "court", reference, None, by)
    return await _asked(tx, new)


async def ask_who(ctx: Context, tx: Tx, case_id: CaseID, by: Staff, reason: str, hours: int) -> Disclosure:
    """A life is at risk: whoever has the case, or leads the shift, asks to see who the person is.

    hours: after so many it is over, approved or not. Raises NotFound, NotAllowed for a case in a colleague's hands,
    Conflict for a purged case or one of which the same is asked already, Invalid.
    """
    case, _ = await cases.lock_of(tx, case_id, by)
    _must_be_kept(case)
    if not 1 <= hours <= LONGEST_HOURS:
        raise errors.Invalid(f"It is asked for 1 to {LONGEST_HOURS} hours.")
    at = ctx.clock.now()
    if any(is_open(each.at(at)) for each in await stored.list_of_case(tx, case_id, "life_at_risk")):
        raise errors.Conflict("This is asked already of this case.")
    new = _new(ctx, case_id, "life_at_risk", by.user_id, timedelta(hours=hours), reason=checked_reason(reason))
    return await _asked(tx, new, hours=hours)


async def approve(
    ctx: Context, tx: Tx, disclosure_id: str, by: str, role: Role, handover: Handover | None = None
) -> Disclosure:
    """The word of a second person. handover: how the person is given their own conversation.

    Raises NotFound, NotAllowed for a role that may not, Conflict for one's own request or one that is decided, Invalid.
    """
    found = await _lock_visible(ctx, tx, disclosure_id, role)
    if not may_decide(found.kind, role):
        raise errors.NotAllowed("Administrators decide that." if found.kind != "life_at_risk" else "Supervisors do.")
    if found.asked_by == by:
        raise errors.Conflict("Somebody else has to approve.")
    _must_be(found, "asked")
    if (found.kind == "own") != (handover is not None):
        raise errors.Invalid("How it is handed over belongs to a person's own conversation, and only to that.")
    at = ctx.clock.now()
    after = msgspec.structs.replace(
        found,
        state="approved",
        decided_by=by,
        decided_at=at,
        handover=handover,
        ends_at=found.ends_at if found.kind == "life_at_risk" else at + WITHIN,
    )
    await stored.update_decided(tx, after)
    return await _changed(tx, at, by, "disclosure.approved", after, asked_by=found.asked_by, handover=handover)


async def refuse(ctx: Context, tx: Tx, disclosure_id: str, by: str, role: Role, refusal: Refusal) -> Disclosure:
    """Says no, for a reason of a closed list, which the person reads. Whoever asked may only withdraw.

    Raises NotFound, NotAllowed, Conflict for one that is decided.
    """
    found = await _lock_visible(ctx, tx, disclosure_id, role, by)
    if found.asked_by == by:
        if refusal != "withdrawn":
            raise errors.Conflict("Somebody else has to refuse; you can withdraw it.")
    elif not may_decide(found.kind, role):
        raise errors.NotAllowed("Administrators decide that." if found.kind != "life_at_risk" else "Supervisors do.")
    elif refusal == "withdrawn":
        raise errors.Invalid("Only whoever asked withdraws it.")
    _must_be(found, "asked")
    at = ctx.clock.now()
    after = msgspec.structs.replace(found, state="refused", decided_by=by, decided_at=at, refusal=refusal)
    await stored.update_decided(tx, after)
    return await _changed(tx, at, by, "disclosure.refused", after, asked_by=found.asked_by, refusal=refusal)


async def finish(ctx: Context, tx: Tx, disclosure_id: str, by: str, role: Role) -> Disclosure:
    """It is handed over; of a life at risk: nobody has to look any more. One of the two may say so, or who may decide.

    Raises NotFound, Conflict for one that was not opened.
    """
    found = await _lock_visible(ctx, tx, disclosure_id, role, by)
    if not may_finish(found, by, role):
        raise errors.Conflict(f"This request is {found.state}; only what was opened is done.")
    at = ctx.clock.now()
    await stored.update_done(tx, found.id, by, at)
    after = msgspec.structs.replace(found, state="done", done_by=by, done_at=at)
    return await _changed(tx, at, by, "disclosure.done", after)


async def look(ctx: Context, tx: Tx, disclosure_id: str, by: Staff) -> Identity:
    """Who the person is, for the two who opened the glass; each look stands in the audit log.

    Raises NotFound, NotAllowed for everybody else, Conflict for what is not approved or over.
    """
    found = await _lock_visible(ctx, tx, disclosure_id, by.role, by.user_id)
    if found.kind != "life_at_risk":
        raise errors.Conflict("The vault's holders open that.")
    if by.user_id not in found.two:
        raise errors.NotAllowed("Only the two who asked and approved see that.")
    _must_be(found, "approved", "opened")
    case = await cases.existing(tx, found.case_id)
    _must_be_kept(case)
    at = ctx.clock.now()
    await ctx.sessions.write_down_for(tx, case.user_id)
    record = await records.get_record(tx, case.id)
    seen = Identity(
        disclosure=found,
        case=case,
        traces=await stored.get_traces(tx, case.id),
        codes=record.codes if record else await records.get_earlier(tx, case.user_id, case.arrived_at),
        addresses=await stored.list_addresses(tx, found.id),
    )
    await stored.update_opened(tx, found.id, at)
    await _changed(tx, at, by.user_id, "disclosure.looked", found, addresses=len(seen.addresses))
    return seen


async def list_for(ctx: Context, tx: Tx, by: Staff) -> list[Disclosure]:
    """What a member of staff may know of: administrators all, supervisors lives at risk, counsellors their own."""
    return [each for each in await every_one(ctx, tx) if _is_visible(each, by.role, by.user_id)]


async def app_ids(
    ctx: Context, tx: Tx, disclosure_id: str, by: str, unseal: Callable[[bytes], bytes]
) -> list[tuple[str, str]]:
    """(kind of app, by what its company knows the person), for whoever has the bridges' key, on their machine.

    So that no server can ask for it: whatever `serve` says was approved, the key is not there. By the operator at the
    word of the two; it stands in the audit log like a look of theirs. Raises NotFound, Conflict for what is not
    approved or over, and whatever `unseal` raises.
    """
    found = await _lock_visible(ctx, tx, disclosure_id, OPERATOR)
    if found.kind != "life_at_risk":
        raise errors.Conflict("The vault's holders open that.")
    _must_be(found, "approved", "opened")
    sealed = await stored.list_app_addresses(tx, found.case_id)
    known = [(kind, unseal(address).decode()) for kind, address in sealed]
    at = ctx.clock.now()
    await stored.update_opened(tx, found.id, at)
    await _changed(tx, at, by, "disclosure.looked", found, app_ids=len(known))
    return known


async def every_one(ctx: Context, tx: Tx) -> list[Disclosure]:
    """All of the last year, the newest first."""
    at = ctx.clock.now()
    return [each.at(at) for each in await stored.list_newest(tx, at - SHOWN_FOR, MOST_SHOWN)]


async def open_ones(ctx: Context, tx: Tx) -> list[Disclosure]:
    """Those that wait for somebody, or that somebody may still look at."""
    return await stored.list_open(tx, ctx.clock.now())


def may_decide(kind: Kind, role: Role) -> bool:
    """Whether a role may say yes or no."""
    return role == "administrator" or (kind == "life_at_risk" and role == "supervisor")


def may_finish(found: Disclosure, by: str, role: Role) -> bool:
    """Whether somebody may say that it is handed over, or that nobody has to look any more."""
    opened = found.state == "opened" or (found.state == "approved" and found.kind == "life_at_risk")
    return opened and (by in found.two or may_decide(found.kind, role))


def is_open(found: Disclosure) -> bool:
    """Whether it waits for somebody, or may still be looked at."""
    return found.state in ("asked", "approved") or (found.state == "opened" and found.kind == "life_at_risk")


def checked_reason(reason: str) -> str:
    """Raises Invalid for a request that says not, or at too great length, why."""
    reason = reason.strip()
    if not 0 < len(reason) <= LONGEST_REASON:
        raise errors.Invalid(f"A reason has 1 to {LONGEST_REASON} characters.")
    return reason


def _new(ctx: Context, case_id: CaseID, kind: Kind, by: str, lasts: timedelta, **more: object) -> Disclosure:
    at = ctx.clock.now()
    return msgspec.structs.replace(
        Disclosure(
            id=ids.letters(12),
            case_id=case_id,
            kind=kind,
            state="asked",
            reason="",
            reference="",
            side_room=False,
            asked_by=by,
            asked_at=at,
            ends_at=at + lasts,
        ),
        **more,
    )


async def _own(ctx: Context, tx: Tx, case_id: CaseID, by: str) -> Disclosure:
    at = ctx.clock.now()
    for each in await stored.list_of_case(tx, case_id, "own"):
        if each.asked_by == by and each.at(at).state in ("asked", "approved", "opened"):
            return each
    return await _asked(tx, _new(ctx, case_id, "own", by, WITHIN))


async def _asked(tx: Tx, new: Disclosure, **more: object) -> Disclosure:
    await stored.insert(tx, new)
    told = {"reason": new.reason, "reference": new.reference, "side_room": new.side_room}
    return await _changed(
        tx, new.asked_at, new.asked_by, "disclosure.asked", new, **{k: v for k, v in told.items() if v}, **more
    )


async def _changed(tx: Tx, at: datetime, by: str, act: str, after: Disclosure, **more: object) -> Disclosure:
    await stream.publish(tx, Note("desk", "queue"))
    told = {name: value for name, value in more.items() if value is not None}
    await audit.append(tx, at, by, act, after.case_id, disclosure=after.id, kind=after.kind, **told)
    return after


async def _lock_visible(ctx: Context, tx: Tx, disclosure_id: str, role: Role, by: str | None = None) -> Disclosure:
    found = await stored.lock(tx, disclosure_id)
    if found is None or not _is_visible(found, role, by):
        raise errors.NotFound("There is no such request.")
    return found.at(ctx.clock.now())


def _is_visible(found: Disclosure, role: Role, by: str | None) -> bool:
    return may_decide(found.kind, role) or (by is not None and by in found.two)


async def _lock_kept(tx: Tx, case_id: CaseID) -> None:
    case = await stored_cases.lock_case(tx, case_id)
    if case is None:
        raise errors.NotFound("There is no such case.")
    _must_be_kept(case)


def _must_be_kept(case: Case) -> None:
    if case.state == "purged":
        raise errors.Conflict("This case is purged: nothing of it is kept.")


def _must_be(found: Disclosure, *states: str) -> None:
    if found.state not in states:
        raise errors.Conflict(f"This request is {found.state}.")
