"""Disclosures 開示 over HTTP: asked for, decided by another person, looked at for a while by two."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi.core.desk import disclosures as rules
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.disclosures import LONGEST_HOURS, LONGEST_REASON, Identity
from madoguchi.core.desk.holds import LONGEST_REFERENCE
from madoguchi.desk.permissions import caller
from madoguchi.storage import staff as stored_staff
from madoguchi.storage.disclosures import Address, Disclosure, Handover, Kind, Refusal, State
from madoguchi.web.endpoint import Call

Reason = Annotated[str, Meta(min_length=1, max_length=LONGEST_REASON)]


class OwnDisclosure(msgspec.Struct, frozen=True):
    """What the caller asked for of their own; moments are milliseconds. handover, refusal: what was decided."""

    state: State
    asked_at: int
    ends_at: int
    handover: Handover | None
    refusal: Refusal | None


class MyDisclosure(msgspec.Struct, frozen=True):
    """disclosure: null for whoever never asked."""

    disclosure: OwnDisclosure | None


class AskForCourt(msgspec.Struct):
    """reference: the number of the court's file; reason: for whoever reads the audit log, never what was said;
    side_room: the staff's own room, with the words of records, belongs to it."""

    reference: Annotated[str, Meta(min_length=1, max_length=LONGEST_REFERENCE)]
    reason: Reason
    side_room: bool = False


class AskWho(msgspec.Struct):
    """reason: why a life is at risk, in a few words that stand in the audit log in clear: never what was said.
    hours: after so many it is over."""

    reason: Reason
    hours: Annotated[int, Meta(ge=1, le=LONGEST_HOURS)]


class Approve(msgspec.Struct):
    """handover: how the person is given their own conversation; for nothing else."""

    handover: Handover | None = None


class Refuse(msgspec.Struct):
    refusal: Refusal


class Someone(msgspec.Struct, frozen=True):
    """name: of staff; None for the person themselves and the system's operator."""

    id: str
    name: str | None


class DisclosureSeen(msgspec.Struct, frozen=True):
    """Moments are milliseconds. may_decide: the caller may approve and refuse; may_withdraw: they asked; may_look: they
    are one of the two who may see who the person is; may_finish: they may say that it is handed over, or needed no
    longer."""

    id: str
    case_id: str
    kind: Kind
    state: State
    reason: str
    reference: str
    side_room: bool
    asked_by: Someone
    asked_at: int
    ends_at: int
    decided_by: Someone | None
    decided_at: int | None
    handover: Handover | None
    refusal: Refusal | None
    opened_at: int | None
    done_at: int | None
    may_decide: bool
    may_withdraw: bool
    may_look: bool
    may_finish: bool


class Disclosures(msgspec.Struct, frozen=True):
    disclosures: list[DisclosureSeen]


class Known(msgspec.Struct, frozen=True):
    """Of a record's codes: how old, at which school, and where somebody is."""

    age: str
    school: str
    grade: int | None
    gender: str
    prefecture: int | None


class IdentitySeen(msgspec.Struct, frozen=True):
    """All that the desk's server knows of who somebody is; nothing of what they said. Moments are milliseconds.

    desk: the desk's name; channel: by which the case runs; user_id: their account; since: when it was made; names: what
    they call themselves, where they have a name of their own; known: None while no record is written; addresses:
    network addresses of their devices since two people opened the glass; apps: kinds of the apps on which bridges know
    them.
    """

    desk: str
    case_id: str
    channel: str
    state: str
    user_id: str
    since: int
    arrived_at: int
    seen_at: int | None
    said_at: int | None
    names: list[str]
    known: Known | None
    addresses: list[Address]
    apps: list[str]
    ends_at: int


async def get_my_disclosure(call: Call) -> MyDisclosure:
    """How the caller's request for their own conversation stands."""
    found = await rules.own(call.ctx, call.tx, call.session.user_id)
    return MyDisclosure(_own(found) if found is not None else None)


async def ask_for_mine(call: Call) -> MyDisclosure:
    """Asks for a copy of one's own conversation. Asking twice makes one request."""
    return MyDisclosure(_own(await rules.ask_own(call.ctx, call.tx, call.session.user_id)))


async def list_disclosures(call: Call) -> Disclosures:
    """What was asked in the last year, the newest first: administrators see all, supervisors lives at risk, and
    counsellors what they asked for themselves."""
    me = await caller(call, call.tx)
    names = {person.user_id: person.name for person in await stored_staff.list_staff(call.tx)}
    return Disclosures([_seen(each, me, names) for each in await rules.list_for(call.ctx, call.tx, me)])


async def ask_for_court(call: Call, case_id: str, body: AskForCourt) -> Disclosures:
    """Writes down that a court asks for a transcript; a second administrator approves. The case is held from now on."""
    by = call.session.user_id
    await rules.ask_for_court(call.ctx, call.tx, case_id, by, body.reference, body.reason, body.side_room)
    return await list_disclosures(call)


async def ask_who(call: Call, case_id: str, body: AskWho) -> Disclosures:
    """Asks to see who the person of a case is, because a life is at risk; a supervisor or administrator approves."""
    await rules.ask_who(call.ctx, call.tx, case_id, await caller(call, call.tx), body.reason, body.hours)
    return await list_disclosures(call)


async def approve_disclosure(call: Call, disclosure_id: str, body: Approve) -> Disclosures:
    """The second person's word; never of whoever asked."""
    me = await caller(call, call.tx)
    await rules.approve(call.ctx, call.tx, disclosure_id, me.user_id, me.role, body.handover)
    return await list_disclosures(call)


async def refuse_disclosure(call: Call, disclosure_id: str, body: Refuse) -> Disclosures:
    """Says no, for a reason of a list; or, by whoever asked, that it is no longer wanted."""
    me = await caller(call, call.tx)
    await rules.refuse(call.ctx, call.tx, disclosure_id, me.user_id, me.role, body.refusal)
    return await list_disclosures(call)


async def finish_disclosure(call: Call, disclosure_id: str) -> Disclosures:
    """It is handed over; or nobody has to know any longer who somebody is, and addresses are forgotten at once."""
    me = await caller(call, call.tx)
    await rules.finish(call.ctx, call.tx, disclosure_id, me.user_id, me.role)
    return await list_disclosures(call)


async def look_at_identity(call: Call, disclosure_id: str) -> IdentitySeen:
    """Who the person is, for the two who opened the glass, until it ends; each look stands in the audit log."""
    found = await rules.look(call.ctx, call.tx, disclosure_id, await caller(call, call.tx))
    return _identity(found, (await desk_settings.get(call.tx)).name)


def _own(found: Disclosure) -> OwnDisclosure:
    return OwnDisclosure(found.state, _ms(found.asked_at), _ms(found.ends_at), found.handover, found.refusal)


def _seen(found: Disclosure, me: stored_staff.Staff, names: dict[str, str]) -> DisclosureSeen:
    mine = me.user_id in found.two
    return DisclosureSeen(
        id=found.id,
        case_id=found.case_id,
        kind=found.kind,
        state=found.state,
        reason=found.reason,
        reference=found.reference,
        side_room=found.side_room,
        asked_by=Someone(found.asked_by, names.get(found.asked_by)),
        asked_at=_ms(found.asked_at),
        ends_at=_ms(found.ends_at),
        decided_by=Someone(found.decided_by, names.get(found.decided_by)) if found.decided_by else None,
        decided_at=_ms(found.decided_at) if found.decided_at else None,
        handover=found.handover,
        refusal=found.refusal,
        opened_at=_ms(found.opened_at) if found.opened_at else None,
        done_at=_ms(found.done_at) if found.done_at else None,
        may_decide=found.state == "asked" and found.asked_by != me.user_id and rules.may_decide(found.kind, me.role),
        may_withdraw=found.state == "asked" and found.asked_by == me.user_id,
        may_finish=rules.may_finish(found, me.user_id, me.role),
        may_look=found.kind == "life_at_risk" and found.state in ("approved", "opened") and mine,
    )


def _identity(found: Identity, desk: str) -> IdentitySeen:
    codes, case, traces = found.codes, found.case, found.traces
    known = Known(codes.age, codes.school, codes.grade, codes.gender, codes.prefecture) if codes else None
    return IdentitySeen(
        desk=desk,
        case_id=case.id,
        channel=case.channel,
        state=case.state,
        user_id=case.user_id,
        since=traces.since_ms,
        arrived_at=_ms(case.arrived_at),
        seen_at=traces.seen_at,
        said_at=traces.said_at,
        names=traces.names,
        known=known,
        addresses=found.addresses,
        apps=traces.apps,
        ends_at=_ms(found.disclosure.ends_at),
    )


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
