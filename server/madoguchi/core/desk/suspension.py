"""Suspending a channel with no one cut off: who is on it and where each person stands, who stays, who signs.

`open → draining → notice_only → closed` and back. As soon as an app carries no content, or is about to, everybody
whose case runs on it is offered a move, those in danger first. To close it while somebody would be left with nowhere to
go takes two administrators; `emergency` asks nobody: it is there for the hour in which the app itself is the danger.
"""

from datetime import datetime, timedelta

import msgspec

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.desk import cases, channels, moves
from madoguchi.ids import CaseID
from madoguchi.storage import audit, stream
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import channels as stored_channels
from madoguchi.storage import moves as stored_moves
from madoguchi.storage import suspensions as stored
from madoguchi.storage.cases import Case
from madoguchi.storage.channels import Channel, Mode
from madoguchi.storage.db import Tx
from madoguchi.storage.moves import Person
from madoguchi.storage.stream import Note
from madoguchi.storage.suspensions import Closing, PlannedSwitch

SIGNED_WITHIN = timedelta(hours=1)
LONGEST_KEPT = timedelta(days=30)
LONGEST_AHEAD = timedelta(days=366)


class Suspension(msgspec.Struct, frozen=True):
    """A channel and its people. nowhere: how many of them have nowhere to go if it closes now.

    closing: waits for a second administrator; planned: a switch that is to come
    """

    channel: Channel
    people: list[Person]
    nowhere: int
    closing: Closing | None
    planned: PlannedSwitch | None


async def get(ctx: Context, tx: Tx, channel_id: str) -> Suspension:
    """How the suspension of a channel stands. Raises NotFound."""
    channel = await stored_channels.get_channel(tx, channel_id)
    if channel is None:
        raise errors.NotFound("There is no such channel.")
    at = ctx.clock.now()
    closing = await stored.get_closing(tx, channel_id)
    return Suspension(
        channel=channel,
        people=await stored_moves.list_people(tx, channel_id, at),
        nowhere=await _nowhere(tx, channel, at),
        closing=closing if closing is not None and at - closing.asked_at < SIGNED_WITHIN else None,
        planned=await stored.get_planned(tx, channel_id),
    )


async def switch(
    ctx: Context, tx: Tx, channel_id: str, mode: Mode, reason: str | None, *, by: str, sign: bool = False
) -> bool:
    """Changes a channel's mode; False where that waits for a second administrator, who does the same within an hour.

    sign: the closing is wanted although somebody would be left with nowhere to go. Raises NotFound, Invalid, and
    PeopleLeft for a closing that nobody signs.
    """
    channel = await stored_channels.get_channel_to_change(tx, channel_id)
    if channel is None:
        raise errors.NotFound("There is no such channel.")
    at = ctx.clock.now()
    nowhere = await _nowhere(tx, channel, at)
    signers = [by]
    if mode == "closed" and nowhere and channel.mode != "closed":
        if not sign:
            raise errors.PeopleLeft("Somebody would be left with nowhere to go.", nowhere=nowhere)
        closing = await stored.get_closing(tx, channel_id)
        waits = closing is not None and at - closing.asked_at < SIGNED_WITHIN
        if closing is None or not waits or closing.asked_by == by:
            if not (reason or "").strip():
                raise errors.Invalid("A change of mode needs a reason.")
            await stored.put_closing(tx, Closing(channel_id, (reason or "").strip(), nowhere, by, at))
            await stream.publish(tx, Note("desk", "channels"))
            await audit.append(tx, at, by, "channel.closing_signed", channel_id, nowhere=nowhere, reason=reason)
            return False
        signers = [closing.asked_by, by]
    await stored.delete_closing(tx, channel_id)
    await stored.delete_planned(tx, channel_id)
    if channel.kind not in channels.OWN:
        if mode == "relay":
            await stored_moves.delete_unsent(tx, channel_id)
        else:
            # Where words stop crossing the app, whoever was offered a move before hears so, with a link that is good.
            stops = channels.carries_words(channel.mode) and not channels.carries_words(mode)
            await moves.offer_all(ctx, tx, channel_id, by, again=stops or mode == "emergency")
    await channels.switch(ctx, tx, channel_id, mode, reason, by=by)
    if len(signers) > 1:
        await audit.append(tx, at, by, "channel.closed_by_two", channel_id, signed=", ".join(signers), nowhere=nowhere)
    await stream.publish(tx, Note("desk", "queue"))
    return True


async def withdraw_signature(ctx: Context, tx: Tx, channel_id: str, *, by: str) -> None:
    """A closing that waits for its second signature is no longer wanted."""
    await stored.delete_closing(tx, channel_id)
    await stream.publish(tx, Note("desk", "channels"))
    await audit.append(tx, ctx.clock.now(), by, "channel.closing_withdrawn", channel_id)


async def plan(ctx: Context, tx: Tx, channel_id: str, mode: Mode, reason: str, due_ms: int, *, by: str) -> None:
    """Plans a switch of mode for a later moment (milliseconds). Raises NotFound, Invalid."""
    channel = await stored_channels.get_channel_to_change(tx, channel_id)
    if channel is None:
        raise errors.NotFound("There is no such channel.")
    if mode not in channels.modes_of(channel.kind) or mode == "emergency":
        raise errors.Invalid("The channel can't be switched to this mode later.")
    at = ctx.clock.now()
    if not at.timestamp() * 1000 < due_ms <= (at + LONGEST_AHEAD).timestamp() * 1000:
        raise errors.Invalid("The moment must lie ahead, within a year.")
    due = at + timedelta(milliseconds=due_ms - at.timestamp() * 1000)
    await stored.put_planned(tx, channel_id, mode, reason.strip(), due, by, at)
    await stream.publish(tx, Note("desk", "channels"))
    await audit.append(tx, at, by, "channel.switch_planned", channel_id, after=mode, due=due.isoformat(), reason=reason)


async def cancel_plan(ctx: Context, tx: Tx, channel_id: str, *, by: str) -> None:
    """A planned switch is no longer wanted. Raises NotFound where there is none."""
    if not await stored.delete_planned(tx, channel_id):
        raise errors.NotFound("No switch is planned for this channel.")
    await stream.publish(tx, Note("desk", "channels"))
    await audit.append(tx, ctx.clock.now(), by, "channel.plan_cancelled", channel_id)


async def do_planned(ctx: Context, tx: Tx) -> None:
    """Does the switches whose time has come. A closing that would leave somebody with nowhere to go is not done."""
    for planned in await stored.list_due(tx, ctx.clock.now()):
        try:
            await switch(ctx, tx, planned.channel_id, planned.mode, planned.reason, by=planned.planned_by)
        except errors.PeopleLeft:
            await stored.update_planned_refused(tx, planned.channel_id, "people_left")
        except errors.Refused:
            await stored.update_planned_refused(tx, planned.channel_id, "refused")


async def keep(ctx: Context, tx: Tx, case_id: CaseID, reason: str, until_ms: int, *, by: str) -> Case:
    """Asks for a case to stay on its app, content and all, because a life is at stake; another person has to sign.

    reason: why, never what was said. Raises Invalid, Conflict for a case that came by no app or has ended, NotFound.
    """
    case = await cases.lock(tx, case_id)
    at = ctx.clock.now()
    if not case.running or case.channel in channels.OWN:
        raise errors.Conflict("This case does not run on an app.")
    if not at.timestamp() * 1000 < until_ms <= (at + LONGEST_KEPT).timestamp() * 1000:
        raise errors.Invalid("A case is kept for at most thirty days.")
    until = at + timedelta(milliseconds=until_ms - at.timestamp() * 1000)
    await stored.put_kept(tx, case_id, reason.strip(), until, by, at)
    await stream.publish(tx, Note("desk", "queue"))
    await audit.append(tx, at, by, "case.keeping_asked", case_id, reason=reason.strip(), until=until.isoformat())
    return case


async def sign_keeping(ctx: Context, tx: Tx, case_id: CaseID, *, by: str) -> Case:
    """The second signature, which puts the keeping in force. Raises NotFound, Conflict for one's own."""
    case = await cases.lock(tx, case_id)
    kept = await stored.lock_kept(tx, case_id)
    at = ctx.clock.now()
    if kept is None or kept.until <= at:
        raise errors.NotFound("Nobody has asked for this case to be kept.")
    if kept.asked_by == by:
        raise errors.Conflict("Somebody else has to sign.")
    if kept.signed_at is None:
        await stored.update_kept_signed(tx, case_id, by, at)
        await stored_cases.insert_step(tx, case_id, at, "kept", by, kept.asked_by)
        await stream.publish(tx, Note("desk", "queue"))
        await audit.append(tx, at, by, "case.kept", case_id, asked_by=kept.asked_by, until=kept.until.isoformat())
    return case


async def end_keeping(ctx: Context, tx: Tx, case_id: CaseID, *, by: str) -> Case:
    """The case is treated like the others of its channel again. Raises NotFound."""
    case = await cases.lock(tx, case_id)
    if not await stored.delete_kept(tx, case_id):
        raise errors.NotFound("This case is not kept.")
    await stream.publish(tx, Note("desk", "queue"))
    await audit.append(tx, ctx.clock.now(), by, "case.keeping_ended", case_id)
    return case


async def _nowhere(tx: Tx, channel: Channel, at: datetime) -> int:
    """Whom closing would leave with nowhere to go. On the desk's own page and Matrix running cases go on."""
    return 0 if channel.kind in channels.OWN else await stored_moves.count_nowhere(tx, channel.id, at)
