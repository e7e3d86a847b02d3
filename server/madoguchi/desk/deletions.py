"""Early deletion 削除の希望: a person wishes that what they said is destroyed; for people on apps, staff enter it."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from madoguchi.core.desk import certificates, periods, wishes
from madoguchi.desk.permissions import caller
from madoguchi.storage import wishes as stored
from madoguchi.storage.holds import Code
from madoguchi.web.endpoint import Call


class AskDeletion(msgspec.Struct, forbid_unknown_fields=True):
    """end: a case that runs is ended by it."""

    end: bool = False


class EnterDeletion(msgspec.Struct, forbid_unknown_fields=True):
    """reason: how the person asked for it; never what was said, for it is kept in clear. end: as of AskDeletion."""

    reason: Annotated[str, Meta(min_length=1, max_length=wishes.LONGEST_REASON)]
    end: bool = False


class Deletion(msgspec.Struct, frozen=True):
    """Moments are milliseconds. state: `none`, `asked` (until due_at it may be taken back), `done`.

    receipt: by which the person can ask later; kept: why it has to be kept now, if it has; days: how long a wish may be
    taken back; running: a case has not ended; destroyed: how many events, keys and files, once it is done.
    """

    state: Literal["none", "asked", "done"]
    asked_at: int | None
    due_at: int | None
    done_at: int | None
    receipt: str | None
    kept: Code | None
    days: int
    running: bool
    destroyed: dict[str, int] | None


class DeletionSeen(msgspec.Struct, frozen=True):
    """by: `person`, or who of the staff entered the wish, with the reason; kept: why the case is held, if it is."""

    case_id: str
    asked_at: int
    due_at: int
    by: str
    reason: str | None
    receipt: str
    kept: Code | None


class Deletions(msgspec.Struct, frozen=True):
    """wishes: those due first stand first; kinds: what has gone and what goes soon, of each kind."""

    wishes: list[DeletionSeen]
    kinds: list[periods.Figures]


async def get_my_deletion(call: Call) -> Deletion:
    """How it stands with the wish that what the caller said is destroyed."""
    return await _shown(call, await wishes.standing(call.ctx, call.tx, call.session.user_id))


async def ask_my_deletion(call: Call, body: AskDeletion) -> Deletion:
    """Wishes that all that the caller said is destroyed, after some days in which that may be taken back."""
    return await _shown(call, await wishes.ask(call.ctx, call.tx, call.session.user_id, end=body.end))


async def take_back_my_deletion(call: Call) -> Deletion:
    """Takes the wish back: nothing is destroyed before its time."""
    return await _shown(call, await wishes.take_back(call.ctx, call.tx, call.session.user_id))


async def get_deletion(call: Call, case_id: str) -> Deletion:
    """Whether the person of a case wishes that it is destroyed."""
    me = await caller(call, call.tx)
    return await _shown(call, await wishes.standing_of(call.ctx, call.tx, case_id, me))


async def enter_deletion(call: Call, case_id: str, body: EnterDeletion) -> Deletion:
    """Enters the wish of a case's person, who has said so by their app, by telephone or face to face."""
    me = await caller(call, call.tx)
    found = await wishes.ask_for(call.ctx, call.tx, case_id, me, body.reason, end=body.end)
    return await _shown(call, found)


async def take_back_deletion(call: Call, case_id: str) -> Deletion:
    """Takes back the wish of a case's person, as they have said."""
    me = await caller(call, call.tx)
    return await _shown(call, await wishes.take_back_for(call.ctx, call.tx, case_id, me))


async def list_deletions(call: Call) -> Deletions:
    """The cases that go by their persons' wishes, and what has gone and goes soon as its time is over."""
    found = await stored.list_covered(call.tx, call.ctx.clock.now())
    return Deletions(
        [
            DeletionSeen(
                case_id=each.case_id,
                asked_at=_required_ms(each.asked_at),
                due_at=_required_ms(each.due_at),
                by=each.asked_by,
                reason=each.reason,
                receipt=each.receipt,
                kept=each.code,
            )
            for each in found
        ],
        await periods.figures(call.ctx, call.tx),
    )


async def _shown(call: Call, found: wishes.Standing) -> Deletion:
    wish = found.wish
    if wish is not None and (wish.taken_back_at is not None or (wish.done_at is not None and found.left)):
        # Taken back, or of cases that are gone, while there are newer ones.
        wish = None
    done = wish is not None and wish.done_at is not None
    return Deletion(
        state="none" if wish is None else "done" if done else "asked",
        asked_at=None if wish is None else _required_ms(wish.asked_at),
        due_at=None if wish is None else _required_ms(wish.due_at),
        done_at=None if wish is None else _ms(wish.done_at),
        receipt=None if wish is None else wish.receipt,
        kept=found.code,
        days=found.days,
        running=found.running,
        destroyed=await certificates.destroyed_by(call.tx, wish.receipt) if wish is not None and done else None,
    )


def _ms(at: datetime | None) -> int | None:
    return None if at is None else _required_ms(at)


def _required_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
