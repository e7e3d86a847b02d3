"""Blocks: who makes them, and who reviews them."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi.core.desk import blocks
from madoguchi.desk.counselling import Changed
from madoguchi.desk.permissions import caller
from madoguchi.ids import CaseID, UserID
from madoguchi.storage import blocks as stored
from madoguchi.storage.blocks import Reason
from madoguchi.web.endpoint import Call


class MakeBlock(msgspec.Struct, forbid_unknown_fields=True):
    """hours: for how long, until somebody has reviewed it."""

    reason: Reason
    hours: Annotated[int, Meta(ge=1, le=blocks.MOST_HOURS)] = blocks.MOST_HOURS


class Review(msgspec.Struct, forbid_unknown_fields=True):
    """days: for how long from now on; 0 lifts it."""

    days: Annotated[int, Meta(ge=0, le=blocks.MOST_DAYS)]


class BlockSeen(msgspec.Struct, frozen=True):
    """Moments are milliseconds; over: it stands no more; may_review: the caller is not who made it."""

    case_id: CaseID
    channel: str
    reason: Reason
    by: str
    at: int
    ends_at: int
    over: bool
    reviewer: str | None
    reviewed_at: int | None
    may_review: bool


class Blocks(msgspec.Struct, frozen=True):
    """The last to end first; those that are over, for a month."""

    blocks: list[BlockSeen]


async def block_case(call: Call, case_id: str, body: MakeBlock) -> Changed:
    """Ends a case and keeps its person from beginning another one for a while; they see whom they can call."""
    me = await caller(call, call.tx)
    case = await blocks.block(call.ctx, call.tx, case_id, me, body.reason, body.hours)
    return Changed(case.id, case.room_id, case.state)


async def list_blocks(call: Call) -> Blocks:
    """Who may not begin a new case, why and until when."""
    now, me = call.ctx.clock.now(), call.session.user_id
    return Blocks([_seen(each, now, me) for each in await blocks.list_blocks(call.ctx, call.tx)])


async def review_block(call: Call, case_id: str, body: Review) -> BlockSeen:
    """Lets a block that somebody else has made stand for longer or shorter, or lifts it."""
    found = await blocks.review(call.ctx, call.tx, case_id, await caller(call, call.tx), body.days)
    return _seen(found, call.ctx.clock.now(), call.session.user_id)


def _seen(block: stored.Block, now: datetime, viewer: UserID) -> BlockSeen:
    over = block.ends_at <= now
    return BlockSeen(
        case_id=block.case_id,
        channel=block.channel,
        reason=block.reason,
        by=block.by_name,
        at=_ms(block.blocked_at),
        ends_at=_ms(block.ends_at),
        over=over,
        reviewer=block.reviewer,
        reviewed_at=None if block.reviewed_at is None else _ms(block.reviewed_at),
        may_review=not over and block.blocked_by != viewer,
    )


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
