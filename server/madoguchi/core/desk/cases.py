"""Cases 相談, from arrival to close: every step is one transaction, and of two people who act at once one is refused.

Locks are taken in one order everywhere: person or staff, case, and last the stream (by the room's events).
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from madoguchi import errors, ids
from madoguchi.context import Context
from madoguchi.core.chat import accounts, sessions, web_push
from madoguchi.core.chat.sessions import Started
from madoguchi.core.desk import case_room, channels, guidance, proof, roster, teams
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.hours import midnight
from madoguchi.core.desk.presence import may_counsel
from madoguchi.core.desk.settings import DeskSettings
from madoguchi.ids import CaseID, RoomID, UserID
from madoguchi.storage import accounts as stored_accounts
from madoguchi.storage import blocks, side_rooms, stream
from madoguchi.storage import cases as stored
from madoguchi.storage import staff as stored_staff
from madoguchi.storage.cases import Case
from madoguchi.storage.channels import Channel
from madoguchi.storage.db import Tx
from madoguchi.storage.staff import Staff
from madoguchi.storage.stream import Note

_CLOSED = {
    "hours": "The desk is closed now.",
    "channel": "This way is closed. Please come by the web.",
    "paused": "The desk takes no new cases for a while.",
    "full": "As many people wait as the desk can answer.",
    "blocked": "You can't begin a new case for a while.",
    "today": "You have talked with the desk today. Please come again another day.",
}
# Who acts where nobody did.
BY_THE_CLOCK = "clock"
ARRIVAL_REPEATED_WITHIN = timedelta(hours=1)


class Arrived(msgspec.Struct, frozen=True):
    """case: the person's running case; session, password: of an account that was made for them just now."""

    case: Case
    session: Started | None = None
    password: str | None = None


class Closed(msgspec.Struct, frozen=True):
    """Why no new case is taken: outside of opening `hours`, not by this `channel`, because the shift has `paused` it,
    because the queue is `full`, from this person no more `today`, or because they are `blocked`; next_opening:
    milliseconds."""

    reason: Literal["hours", "channel", "paused", "full", "today", "blocked"]
    next_opening: int | None


async def arrive(
    ctx: Context,
    tx: Tx,
    user_id: UserID | None,
    *,
    channel: str,
    channel_id: str | None = None,
    language: str | None = None,
    with_password: bool = False,
    arrival_key: str | None = None,
    solved: proof.Proof | None = None,
) -> Arrived:
    """Opens a case and its room; for somebody who has a running case, gives that.

    user_id: None for somebody without an account: one without a name is made. channel: the kind. arrival_key: a secret
    under which somebody without an account may ask again, for an hour, when the answer was lost. solved: their proof of
    work. Raises DeskClosed with the guidance that is open now, ProofNeeded with a challenge, NotAllowed for staff,
    Invalid for a channel the desk does not have.
    """
    way = await channels.of_arrival(tx, channel, channel_id)
    if user_id is None and arrival_key is not None:
        again = await arrived_before(ctx, tx, arrival_key, with_password)
        if again is not None:
            return again
    if user_id is not None:
        await stored.lock_person(tx, user_id)
        running = await stored.get_running_case(tx, user_id)
        if running is not None:
            return Arrived(running)
        if await stored_staff.get_staff(tx, user_id) is not None or user_id == case_room.keeper_id(ctx):
            raise errors.NotAllowed("Staff don't come to their own desk. Please use an account of your own.")
        account = await stored_accounts.get_account(tx, user_id)
        if channel in channels.OWN and account is not None and account.kind in ("ghost", "appservice"):
            # It would be shown as sealed from end to end, with an app in between.
            raise errors.NotAllowed("Whom a bridge stands for comes by the channel of their app.")
        if not channels.may_bring(account, way):
            raise errors.NotAllowed("A bridge that is not the desk's own carries what is said: by a relay alone.")
    await _let_in(ctx, tx, way, user_id)
    password = secrets.token_urlsafe(24) if with_password and user_id is None else None
    started = None
    if user_id is None:
        await proof.check(ctx, tx, solved)
        user_id = await accounts.create(ctx, tx, None, password=password, kind="youth", password_is_random=True)
        started = await sessions.start(ctx, tx, user_id)
        if arrival_key is not None:
            await stored.insert_arrival(tx, arrival_digest(arrival_key), user_id, ctx.clock.now())
    case_id = ids.letters(16)
    # From here to the commit everybody else who writes waits: the room's events have taken the stream.
    room_id = await case_room.open_room(ctx, tx, case_id, user_id, way.kind)
    case = await stored.insert_case(tx, case_id, room_id, user_id, way, language, ctx.clock.now())
    await stream.publish(tx, Note("desk", "queue"))
    return Arrived(case, started, password)


async def arrived_before(ctx: Context, tx: Tx, arrival_key: str, with_password: bool) -> Arrived | None:
    """The running case that was opened under the key, with a session and a password of its own for this answer."""
    digest = arrival_digest(arrival_key)
    await stored.lock_person(tx, digest.hex())
    user_id = await stored.get_arrival(tx, digest, ctx.clock.now() - ARRIVAL_REPEATED_WITHIN)
    running = None if user_id is None else await stored.get_running_case(tx, user_id)
    if running is None:
        return None
    password = secrets.token_urlsafe(24) if with_password else None
    if password is not None:
        await accounts.set_password(ctx, tx, running.user_id, password, password_is_random=True)
    return Arrived(running, await sessions.start(ctx, tx, running.user_id), password)


def arrival_digest(arrival_key: str) -> bytes:
    """Under what an arrival is remembered."""
    return hashlib.sha256(arrival_key.encode()).digest()


async def arrive_by_alias(ctx: Context, tx: Tx, user_id: UserID) -> RoomID:
    """What joining `#desk:SERVER` from any Matrix client does: gives the room of the asking person's case.

    The person is in the room already. Raises what `arrive` raises.
    """
    return (await arrive(ctx, tx, user_id, channel="matrix")).case.room_id


async def accept(ctx: Context, tx: Tx, case_id: CaseID, by: UserID) -> Case:
    """Takes a waiting case. Once it is theirs, asking again gives it again.

    Whoever handed it to a team may take it back so. Raises AlreadyTaken with the colleague who was faster,
    CapacityFull, Conflict for a case that has ended, NotAllowed for one that waits for a team, NotOnRoster, NotFound.
    """
    staff = await _lock_counsellor(tx, by)
    await roster.vouch(ctx, tx, by, staff.name)
    case = await lock(tx, case_id)
    # One that was handed to a team waits, with the helpers who are in it.
    holders = await stored.list_counsellors(tx, case_id)
    if case.running and case.state != "waiting":
        if any(user_id == by for user_id, _ in holders):
            return case
        if holders:
            user_id, name = holders[0]
            raise errors.AlreadyTaken("A colleague has taken this case.", by={"user_id": user_id, "name": name})
    at = ctx.clock.now()
    if case.team is not None and not await stored.is_handing_over(tx, case_id, by):
        reach = await teams.reach(tx, await desk_settings.get(tx), at)
        if not reach.includes(staff, case.team):
            raise errors.NotAllowed("This case was handed to a team that you are not in.")
    await _has_room(tx, staff)
    if not await stored.update_accepted(tx, case_id, at):
        raise errors.Conflict("This case rests." if case.running else "This case has ended.")
    if any(user_id == by for user_id, _ in holders):
        await stored.update_part(tx, case_id, by, "counsellor")
    else:
        await stored.insert_counsellor(tx, case_id, by, at)
    await side_rooms.insert_seat_beside(tx, case_id, by, at)
    await stored.insert_step(tx, case_id, at, "accepted", by)
    await case_room.say_powers(ctx, tx, case.room_id, sorted({by, *(user_id for user_id, _ in holders)}))
    await tell(ctx, tx, case_id)
    return await existing(tx, case_id)


async def hand_over(ctx: Context, tx: Tx, case_id: CaseID, by: Staff, to: UserID, reason: str) -> Case:
    """Gives a case from the hands of `by` (or, done by a supervisor, of all who hold it) into those of a colleague.

    The keeper then invites the colleague with the history; whoever handed over leaves once the colleague is there.
    reason: why, never what was said. Raises Invalid, CapacityFull, Conflict for a case that is not being talked in,
    NotAllowed for a case that is not theirs, NotOnRoster, NotFound.
    """
    check_reason(reason)
    receiver = await stored_staff.lock_staff(tx, to)
    if receiver is None or not may_counsel(receiver):
        raise errors.Invalid("There is no such colleague who takes cases.")
    await roster.vouch(ctx, tx, to, receiver.name)
    case, holders = await lock_of(tx, case_id, by)
    if case.state not in ("talking", "resting"):
        raise errors.Conflict("Nobody looks after this case now.")
    helps = to in holders and await stored.get_part(tx, case_id, to) == "helper"
    if to in holders and not helps:
        raise errors.Invalid("This colleague has the case already.")
    await _has_room(tx, receiver)
    at = ctx.clock.now()
    leaving = [by.user_id] if by.user_id in holders else [holder for holder in holders if holder != to]
    for user_id in leaving:
        await stored.update_counsellor_ended(tx, case_id, user_id, at, to)
    if helps:
        await stored.update_part(tx, case_id, to, "counsellor")
    else:
        await stored.insert_counsellor(tx, case_id, to, at)
    await side_rooms.insert_seat_beside(tx, case_id, to, at)
    await stored.insert_step(tx, case_id, at, "handed_over", by.user_id, to, reason.strip())
    # Whoever hands over goes on talking until the colleague is there, so both have the power.
    await case_room.say_powers(ctx, tx, case.room_id, sorted({*holders, to}))
    await tell(ctx, tx, case_id)
    return await existing(tx, case_id)


def check_reason(reason: str) -> None:
    """Raises Invalid for a handover without a reason."""
    if not 0 < len(reason.strip()) <= 200:
        raise errors.Invalid("A handover has a reason of 1 to 200 characters.")


async def close(ctx: Context, tx: Tx, case_id: CaseID, by: Staff) -> Case:
    """Ends a case; its room can be read and no longer written in. Twice does no more.

    Raises NotAllowed for a case that is not theirs, NotFound.
    """
    case, _ = await lock_of(tx, case_id, by)
    return await _close(ctx, tx, case, by.user_id, "closed")


async def close_rested(ctx: Context, tx: Tx, case_id: CaseID, by: str) -> None:
    """Ends a case that has rested for as long as the desk allows. Does nothing for one that does not rest."""
    case = await lock(tx, case_id)
    if case.state == "resting":
        await _close(ctx, tx, case, by, "closed")


async def leave(ctx: Context, tx: Tx, user_id: UserID) -> Case:
    """The young person ends their case. Raises NotFound if they never had one; twice does no more."""
    found = await stored.get_latest_case(tx, user_id)
    if found is None:
        raise errors.NotFound("You have no case here.")
    return await _close(ctx, tx, await lock(tx, found.id), user_id, "left")


async def left_room(ctx: Context, tx: Tx, room_id: RoomID, user_id: UserID) -> None:
    """What leaving a case's room from any Matrix client means: the young person ends it, a counsellor gives it back.

    To be called before the room's lock is taken. Does nothing for other rooms and people.
    """
    found = await stored.get_case_of_room(tx, room_id)
    if found is None or not found.running:
        return
    if user_id == found.user_id:
        await _close(ctx, tx, await lock(tx, found.id), user_id, "left")
        return
    if await stored_staff.lock_staff(tx, user_id) is not None:
        case = await lock(tx, found.id)
        if case.running and any(holder == user_id for holder, _ in await stored.list_counsellors(tx, case.id)):
            await release(ctx, tx, user_id, [case], by=user_id)


async def people_changed(tx: Tx, room_id: RoomID) -> None:
    """Tells whoever watches the desk that somebody has come into a case's room, or was taken out of it.

    A handover ends that way: the keeper takes the old counsellor out when the new one has come in, and the old one's
    list no longer has the case then. Does nothing for other rooms.
    """
    if await stored.get_case_of_room(tx, room_id) is not None:
        await stream.publish(tx, Note("desk", "queue"))


async def hold_all(tx: Tx, user_id: UserID) -> list[Case]:
    """The running cases in somebody's hands, held until the end of the transaction."""
    return [await lock(tx, case_id) for case_id in await stored.list_running_cases_of_staff(tx, user_id)]


async def release(ctx: Context, tx: Tx, user_id: UserID, held: list[Case], *, by: str) -> None:
    """Takes cases out of somebody's hands; those that nobody else holds go back to the queue, at their old place,
    or go on resting.

    held: locked running cases. The keeper then removes the person from the rooms.
    """
    at = ctx.clock.now()
    for case in held:
        await stored.update_counsellor_ended(tx, case.id, user_id, at, None)
        others = [other for other, _ in await stored.list_counsellors(tx, case.id)]
        await stored.insert_step(tx, case.id, at, "stepped_out" if others else "returned", by)
        if not others and case.state != "resting":
            # Who rests is not there to wait: their case lies with nobody until they come back (core/desk/resting.py).
            await stored.update_returned(tx, case.id)
        elif others and case.state != "waiting":
            # Whoever is there goes on: the young person is not sent back to wait while somebody talks with them.
            await stored.update_promoted(tx, case.id)
        await case_room.say_powers(ctx, tx, case.room_id, others)
        await tell(ctx, tx, case.id)


def closed_for(settings: DeskSettings, way: Channel, at: datetime, waiting: int) -> Closed | None:
    """Why no new case is taken on a channel at a moment at which so many wait; None if one is."""
    last = at + timedelta(minutes=settings.last_acceptance_minutes)
    if not (settings.hours.open_at(at) and settings.hours.open_at(last)):
        opening = settings.hours.next_opening(last)
        return Closed("hours", int(opening.timestamp() * 1000) if opening else None)
    if settings.intake == "paused":
        return Closed("paused", None)
    if not channels.takes_cases(way):
        return Closed("channel", None)
    return Closed("full", None) if 0 < settings.most_waiting <= waiting else None


async def _let_in(ctx: Context, tx: Tx, way: Channel, user_id: UserID | None) -> None:
    at = ctx.clock.now()
    settings = await desk_settings.get(tx)
    closed = closed_for(settings, way, at, await stored.count_waiting(tx))
    blocked = None if user_id is None else await blocks.get_end(tx, user_id, at)
    if blocked is not None:
        closed = Closed("blocked", int(blocked.timestamp() * 1000))
    elif closed is None and user_id is not None and settings.cases_a_day:
        today = midnight(at)
        if await stored.count_talked(tx, user_id, today) >= settings.cases_a_day:
            tomorrow = today + timedelta(days=1)
            opening = tomorrow if settings.hours.open_at(tomorrow) else settings.hours.next_opening(tomorrow)
            closed = Closed("today", int(opening.timestamp() * 1000) if opening else None)
    if closed is not None:
        raise errors.DeskClosed(
            _CLOSED[closed.reason],
            reason=closed.reason,
            next_opening=closed.next_opening,
            guidance=await guidance.open_now(tx, at),
            web_url=ctx.settings.base_url + "/",
        )


async def lock(tx: Tx, case_id: CaseID) -> Case:
    """The case, held until the end of the transaction. Raises NotFound."""
    case = await stored.lock_case(tx, case_id)
    if case is None or case.state == "purged":
        raise errors.NotFound("There is no such case.")
    return case


async def lock_of(tx: Tx, case_id: CaseID, by: Staff) -> tuple[Case, list[UserID]]:
    """The case, and who holds it: `by` is one of them, or leads the shift."""
    case = await lock(tx, case_id)
    holders = [user_id for user_id, _ in await stored.list_counsellors(tx, case_id)]
    if by.user_id not in holders and by.role not in ("supervisor", "administrator"):
        raise errors.NotAllowed("This case is in a colleague's hands.")
    return case, holders


async def _lock_counsellor(tx: Tx, user_id: UserID) -> Staff:
    staff = await stored_staff.lock_staff(tx, user_id)
    if staff is None or staff.disabled_at is not None:
        raise errors.NotAllowed("Only the desk's staff may do this.")
    return staff


async def _has_room(tx: Tx, staff: Staff) -> None:
    if staff.away_since is not None:
        raise errors.Conflict(f"{staff.name} is on a break.")
    if not may_counsel(staff) or await stored.count_charges(tx, staff.user_id) >= staff.capacity:
        raise errors.CapacityFull(f"{staff.name} looks after as many cases as they may.", capacity=staff.capacity)


async def _close(ctx: Context, tx: Tx, case: Case, by: str, step: stored.Step) -> Case:
    if not case.running:
        return case
    at = ctx.clock.now()
    await stored.update_closed(tx, case.id, at, by)
    await stored.insert_step(tx, case.id, at, step, by)
    await web_push.forget(tx, case.user_id)
    counsellors = [user_id for user_id, _ in await stored.list_counsellors(tx, case.id)]
    await tell(ctx, tx, case.id)
    await case_room.say_powers(ctx, tx, case.room_id, counsellors, closed=True)
    return await existing(tx, case.id)


async def tell(ctx: Context, tx: Tx, case_id: CaseID) -> None:
    """Tells the case's room, and whoever watches the desk, how a case stands now."""
    case = await existing(tx, case_id)
    await case_room.say_state(ctx, tx, case.room_id, case.id, case.state, case.channel)
    await stream.publish(tx, Note("desk", "queue"))


async def existing(tx: Tx, case_id: CaseID) -> Case:
    """A case that is known to be there."""
    case = await stored.get_case(tx, case_id)
    assert case is not None
    return case
