"""The only door to a room: whoever has a `Seat` has been let in."""

from typing import TYPE_CHECKING, Literal

import msgspec

from madoguchi import errors
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.db import Tx

if TYPE_CHECKING:
    from madoguchi.context import Context


class Seat(msgspec.Struct, frozen=True):
    """Proof that a user may look into a room.

    membership: join, invite, knock, leave or ban, or `world` for a stranger in a room that all the world may read
    pos: the position of that membership: somebody who is out has seen nothing after it
    """

    room_id: RoomID
    user_id: UserID
    membership: str
    pos: int


async def seat(
    tx: Tx, ctx: "Context", room_id: RoomID, user_id: UserID, at_least: Literal["join", "invite", "ever"] = "join"
) -> Seat:
    """The user's seat in a room.

    at_least: `join` for members; `invite` for those invited too; `ever` for whoever was once joined, and for everybody
    in rooms that are world_readable. Raises NotAllowed, the same for a room that does not exist.
    """
    present = await stored_rooms.get_membership(tx, room_id, user_id)
    membership = present.membership if present is not None else "never"
    allowed = {"join": ("join",), "invite": ("join", "invite"), "ever": ("join", "invite", "leave", "ban")}[at_least]
    admitted = present is not None and membership in allowed and not present.forgotten
    if admitted and membership in ("leave", "ban"):
        admitted = await stored_rooms.was_joined(tx, room_id, user_id)
    if present is None or not admitted:
        if at_least == "ever":
            pos = await stored_rooms.world_readable_since(tx, room_id)
            if pos is not None:
                return Seat(room_id, user_id, "world", pos)
        raise errors.NotAllowed("You are not in this room.")
    return Seat(room_id, user_id, membership, present.pos)
