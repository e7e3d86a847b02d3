"""Typing notifications (client-server API, "Typing Notifications")."""

from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core import access
from madoguchi.web.endpoint import Call

_DEFAULT_MS = 30_000


class SetTyping(msgspec.Struct):
    typing: bool
    timeout: int | None = None


async def set_typing(call: Call, room_id: str, user_id: str, body: SetTyping) -> dict[str, Any]:
    if user_id != call.session.user_id:
        raise errors.NotAllowed("You can only type as yourself.")
    await access.seat(call.tx, call.ctx, room_id, user_id)
    timeout_ms = (_DEFAULT_MS if body.timeout is None else max(0, body.timeout)) if body.typing else None
    await call.ctx.typing.set(call.tx, room_id, user_id, timeout_ms or None)
    return {}
