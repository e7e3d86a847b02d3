"""What the desk's bot asks about the staff room, and what it was told there. For the bot alone."""

from time import monotonic
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from madoguchi.core.desk import staff_commands, staff_room
from madoguchi.core.desk.staff_room import Saying
from madoguchi.desk.arrival import WaitQuery
from madoguchi.desk.invitations import LOOK_AGAIN_S
from madoguchi.storage import stream
from madoguchi.storage.staff_room import Answer
from madoguchi.web.endpoint import Call


class StaffRoom(msgspec.Struct, frozen=True):
    """room_id: None while the room is switched off, or nobody works here. sayings: what is not said yet."""

    pos: int
    room_id: str | None
    invitations: list[str]
    removals: list[str]
    sayings: list[Saying]


class Told(msgspec.Struct):
    """case_id: empty for an alarm; told: the code of the saying; event_id: by which it was said."""

    case_id: Annotated[str, Meta(max_length=64)]
    told: Annotated[str, Meta(max_length=300, pattern="^(ended$|taken:|waiting:|late:|alarm:)")]
    event_id: Annotated[str, Meta(max_length=255)]


class Command(msgspec.Struct):
    """event_id: of the message that said it: its sender is who acts. words: no more than the command needs."""

    event_id: Annotated[str, Meta(max_length=255)]
    command: Literal["help", "queue", "mine", "accept", "close", "handover", "risk", "rest", "join", "unknown"]
    words: Annotated[list[Annotated[str, Meta(max_length=200)]], Meta(max_length=40)] = []


class Obeyed(msgspec.Struct, frozen=True):
    """answer: what to reply; None for nothing."""

    answer: Answer | None


async def get_staff_room(call: Call, query: WaitQuery) -> StaffRoom:
    """What is to be done in the staff room; with `after` as soon as something changes, if nothing is to be done."""
    until = monotonic() + (query.seconds if query.after is not None else 0)
    while True:
        async with call.ctx.db.transaction() as tx:
            pos = await stream.position(tx)
            found = await staff_room.wishes(call.ctx, tx)
        left = until - monotonic()
        if found.invitations or found.removals or found.sayings or left <= 0:
            return StaffRoom(pos, found.room_id, found.invitations, found.removals, found.sayings)
        await call.ctx.hub.wait_for_desk(pos, min(left, LOOK_AGAIN_S))


async def put_told(call: Call, body: Told) -> Told:
    """The bot has said something about a case, or an alarm."""
    await staff_room.told(call.ctx, call.tx, body.case_id, body.told, body.event_id)
    return body


async def obey_command(call: Call, body: Command) -> Obeyed:
    """Does what a member of staff has said in the staff room, once; asked again it gives the same answer."""
    return Obeyed(await staff_commands.obey(call.ctx, call.tx, body.event_id, body.command, body.words))
