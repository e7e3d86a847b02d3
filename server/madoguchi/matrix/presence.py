"""Chapter "Presence". Where it is not kept, clients that set theirs are thanked, and everybody is seen as offline."""

from typing import Any, Literal

import msgspec

from madoguchi import errors
from madoguchi.storage import rooms as stored_rooms
from madoguchi.web.endpoint import Call


class Presence(msgspec.Struct):
    presence: Literal["online", "offline", "unavailable"]
    # Words about oneself would lie in clear where everybody sees them: they are not kept.
    status_msg: str | None = None


async def set_presence(call: Call, user_id: str, body: Presence) -> dict[str, Any]:
    if user_id != call.session.user_id:
        raise errors.NotAllowed("You can only speak of your own presence.")
    await call.ctx.presence.set(call.tx, user_id, body.presence)
    return {}


async def get_presence(call: Call, user_id: str) -> dict[str, Any]:
    sharing = await stored_rooms.list_shared_users(call.tx, call.session.user_id)
    if user_id != call.session.user_id and user_id not in sharing:
        raise errors.NotAllowed("You share no room with this user.")
    return call.ctx.presence.content(user_id)
