"""Chapter "Presence": kept by nobody here. Who is awake at three in the morning is no other's business.

Clients that set their presence are thanked, and everybody is seen as offline, as the specification allows a server
that does not keep presence.
"""

from typing import Any, Literal

import msgspec

from madoguchi import errors
from madoguchi.storage import rooms as stored_rooms
from madoguchi.web.endpoint import Call


class Presence(msgspec.Struct):
    presence: Literal["online", "offline", "unavailable"]
    status_msg: str | None = None


async def set_presence(call: Call, user_id: str, body: Presence) -> dict[str, Any]:
    if user_id != call.session.user_id:
        raise errors.NotAllowed("You can only speak of your own presence.")
    return {}


async def get_presence(call: Call, user_id: str) -> dict[str, Any]:
    sharing = await stored_rooms.list_shared_users(call.tx, call.session.user_id)
    if user_id != call.session.user_id and user_id not in sharing:
        raise errors.NotAllowed("You share no room with this user.")
    return {"presence": "offline"}
