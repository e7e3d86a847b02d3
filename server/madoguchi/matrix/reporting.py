"""Chapter "Reporting content": reports go to the desk's supervisors."""

from typing import Annotated, Any

import msgspec

from madoguchi.core import access
from madoguchi.core.chat import history
from madoguchi.storage import accounts
from madoguchi.storage import rooms as stored_rooms
from madoguchi.web.endpoint import Call


class Report(msgspec.Struct):
    """The reason is words of a person, which the database never holds in clear: that there is a report is kept, and
    whoever looks after it asks in the room."""

    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    score: int | None = None


async def report_event(call: Call, room_id: str, event_id: str, body: Report) -> dict[str, Any]:
    seat = await access.seat(call.tx, call.ctx, room_id, call.session.user_id, "join")
    event = await history.get_visible(call.tx, seat, event_id)
    await _insert(call, room_id, event_id, event.sender, body)
    return {}


async def report_room(call: Call, room_id: str, body: Report) -> dict[str, Any]:
    # Thanked for in any case: a report is no way to learn which rooms and people there are.
    if await stored_rooms.get_room(call.tx, room_id) is not None:
        await _insert(call, room_id, None, None, body)
    return {}


async def report_user(call: Call, user_id: str, body: Report) -> dict[str, Any]:
    if await accounts.get_account(call.tx, user_id) is not None:
        await _insert(call, None, None, user_id, body)
    return {}


async def _insert(call: Call, room_id: str | None, event_id: str | None, user_id: str | None, body: Report) -> None:
    await stored_rooms.insert_report(
        call.tx, call.ctx.clock.ms(), call.session.user_id, room_id, event_id, user_id, bool(body.reason)
    )
