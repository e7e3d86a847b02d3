"""Suspending a channel with no one cut off, for administrators; and keeping a case on its app, for supervisors."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi.core.desk import suspension
from madoguchi.desk.administration import Channels, list_channels
from madoguchi.desk.counselling import Changed
from madoguchi.storage.cases import Case, Risk
from madoguchi.storage.channels import Mode
from madoguchi.web.endpoint import Call


class SwitchMode(msgspec.Struct):
    """reason: why; it is kept with who and when. sign: the closing is wanted although somebody would be left with
    nowhere to go; it is done when a second administrator says the same within an hour."""

    mode: Mode
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    sign: bool = False


class PlanSwitch(msgspec.Struct):
    """at: milliseconds."""

    mode: Mode
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    at: Annotated[int, Meta(ge=0, le=2**53)]


class PersonSeen(msgspec.Struct, frozen=True):
    """standing: where the person stands on the way from the app: `asked` (to be told), `notified`, `opened`, `moved`,
    `declined`, `unreachable`, or None where nothing was offered. kept_until: milliseconds, where the case stays on the
    app; kept_signed: by two people, so that it does."""

    case_id: str
    risk: Risk
    state: str
    standing: str | None
    kept_until: int | None
    kept_signed: bool
    counsellor: str | None


class ClosingSeen(msgspec.Struct, frozen=True):
    """A closing that waits for a second administrator. by: who signed first."""

    by: str
    at: int
    reason: str
    nowhere: int


class PlanSeen(msgspec.Struct, frozen=True):
    """A switch that is to come. refused: why it could not be done when its time came, `people_left` or `refused`."""

    mode: Mode
    reason: str
    at: int
    by: str
    refused: str | None


class SuspensionSeen(msgspec.Struct, frozen=True):
    """people: everybody whose case runs on the channel or has moved off it and still runs, those in danger first.
    counts: how many of them stand where, with `kept` and, where nothing was offered, `none`; nowhere: how many would be
    left with nowhere to go if the channel closed now."""

    channel_id: str
    kind: str
    name: str
    mode: Mode
    reason: str | None
    people: list[PersonSeen]
    counts: dict[str, int]
    nowhere: int
    closing: ClosingSeen | None
    planned: PlanSeen | None


class KeepCase(msgspec.Struct):
    """reason: why a life is at stake, never what was said; until: milliseconds, at most thirty days ahead."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    until: Annotated[int, Meta(ge=0, le=2**53)]


async def get_suspension(call: Call, channel_id: str) -> SuspensionSeen:
    """Who is on a channel, where each person stands on the way to the page, and who would be left."""
    found = await suspension.get(call.ctx, call.tx, channel_id)
    people = [
        PersonSeen(
            case_id=person.case_id,
            risk=person.risk,
            state=person.state,
            standing=person.standing,
            kept_until=round(person.kept_until.timestamp() * 1000) if person.kept_until else None,
            kept_signed=person.kept_signed,
            counsellor=person.counsellor,
        )
        for person in found.people
    ]
    counts = dict.fromkeys(("none", "asked", "notified", "opened", "moved", "declined", "unreachable", "kept"), 0)
    for person in people:
        counts["kept" if person.kept_signed and person.standing != "moved" else person.standing or "none"] += 1
    closing, planned = found.closing, found.planned
    return SuspensionSeen(
        channel_id=channel_id,
        kind=found.channel.kind,
        name=found.channel.name,
        mode=found.channel.mode,
        reason=found.channel.reason,
        people=people,
        counts=counts,
        nowhere=found.nowhere,
        closing=ClosingSeen(closing.asked_by, _ms(closing.asked_at), closing.reason, closing.nowhere)
        if closing
        else None,
        planned=PlanSeen(planned.mode, planned.reason, _ms(planned.at), planned.planned_by, planned.refused)
        if planned
        else None,
    )


async def put_channel_mode(call: Call, channel_id: str, body: SwitchMode) -> Channels:
    """Switches a channel's mode, within two seconds for everybody on it. Gives all channels as they then stand.

    A closing that would leave somebody with nowhere to go is refused, unless two administrators sign; after the first
    signature the mode is as before.
    """
    await suspension.switch(
        call.ctx, call.tx, channel_id, body.mode, body.reason, by=call.session.user_id, sign=body.sign
    )
    return await list_channels(call)


async def withdraw_signature(call: Call, channel_id: str) -> SuspensionSeen:
    """A closing that waits for its second signature is no longer wanted."""
    await suspension.withdraw_signature(call.ctx, call.tx, channel_id, by=call.session.user_id)
    return await get_suspension(call, channel_id)


async def plan_switch(call: Call, channel_id: str, body: PlanSwitch) -> SuspensionSeen:
    """Plans a switch of mode for later, in the place of one planned before."""
    by = call.session.user_id
    await suspension.plan(call.ctx, call.tx, channel_id, body.mode, body.reason, body.at, by=by)
    return await get_suspension(call, channel_id)


async def cancel_switch(call: Call, channel_id: str) -> SuspensionSeen:
    """A planned switch is no longer wanted."""
    await suspension.cancel_plan(call.ctx, call.tx, channel_id, by=call.session.user_id)
    return await get_suspension(call, channel_id)


async def keep_case(call: Call, case_id: str, body: KeepCase) -> Changed:
    """Asks for a case to stay on its app because a life is at stake; in force once somebody else has signed."""
    by = call.session.user_id
    return _changed(await suspension.keep(call.ctx, call.tx, case_id, body.reason, body.until, by=by))


async def sign_keeping(call: Call, case_id: str) -> Changed:
    """The second signature under the keeping of a case on its app."""
    return _changed(await suspension.sign_keeping(call.ctx, call.tx, case_id, by=call.session.user_id))


async def end_keeping(call: Call, case_id: str) -> Changed:
    """A kept case is treated like the others of its channel again."""
    return _changed(await suspension.end_keeping(call.ctx, call.tx, case_id, by=call.session.user_id))


def _changed(case: Case) -> Changed:
    return Changed(case.id, case.room_id, case.state)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
