"""Pages that refuse to send: what they tell the desk, and who is shown it."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from madoguchi.core.desk import lock_reports as rules
from madoguchi.ids import CaseID, RoomID
from madoguchi.storage import lock_reports as stored
from madoguchi.storage.lock_reports import Kind
from madoguchi.web.endpoint import Call


class Refused(msgspec.Struct, forbid_unknown_fields=True):
    """room_id: into which nothing is sent; about: whose keys or presence are the reason."""

    room_id: Annotated[str, Meta(max_length=255)]
    kind: Kind
    about: Annotated[str, Meta(max_length=255)] | None = None


class Kept(msgspec.Struct, frozen=True):
    """kept: false for what was known already."""

    kept: bool


class LockReport(msgspec.Struct, frozen=True):
    """at: milliseconds; about: a user id, null where it is about the roster or nobody of this server."""

    id: int
    at: int
    case_id: CaseID
    kind: Kind
    about: str | None
    by: Literal["young_person", "staff"]


class LockReports(msgspec.Struct, frozen=True):
    reports: list[LockReport]


async def post_lock_report(call: Call, body: Refused) -> Kept:
    """Tells that the caller's page sends nothing into a room of theirs, or nothing to a device, and why; never what."""
    room_id = RoomID(body.room_id)
    return Kept(await rules.report(call.ctx, call.tx, call.session.user_id, room_id, body.kind, body.about))


async def list_lock_reports(call: Call) -> LockReports:
    """The newest hundred of them, the newest first."""
    found = await stored.list_newest(call.tx, rules.SHOWN)
    return LockReports(
        [
            LockReport(
                each.id,
                _ms(each.at),
                each.case_id,
                each.kind,
                each.about or None,
                "young_person" if each.by_person else "staff",
            )
            for each in found
        ]
    )


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
