"""The audit log, for those who watch over the desk."""

from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi.storage import audit as stored
from madoguchi.web.endpoint import Call


class AuditQuery(msgspec.Struct):
    """before: the number of an entry, to go on from an earlier answer."""

    before: Annotated[int, Meta(ge=1)] = 2**53 - 1
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class AuditEntry(msgspec.Struct, frozen=True):
    """at: milliseconds; detail: JSON text, or empty."""

    seq: int
    at: int
    actor: str
    act: str
    subject: str
    detail: str


class AuditLog(msgspec.Struct, frozen=True):
    """entries: the newest first; signed: up to which entry the log is signed, 0 while nothing is."""

    entries: list[AuditEntry]
    signed: int


async def list_audit_log(call: Call, query: AuditQuery) -> AuditLog:
    """Who did what at the desk, the newest first. Never what was said."""
    heads = await stored.list_heads(call.tx)
    return AuditLog(
        [
            AuditEntry(each.seq, int(each.at.timestamp() * 1000), each.actor, each.act, each.subject, each.detail)
            for each in await stored.list_before(call.tx, query.before, query.limit)
        ],
        heads[-1].seq if heads else 0,
    )
