"""Chapter "Syncing"."""

from typing import Any, Literal

import msgspec

from madoguchi import errors
from madoguchi.core.chat import filters
from madoguchi.core.chat.sync.answer import sync as chat_sync
from madoguchi.core.chat.sync.asked import Asked, StateName
from madoguchi.core.chat.tokens import maybe
from madoguchi.web.endpoint import Call
from madoguchi.web.reading import token_of


class SyncQuery(msgspec.Struct):
    filter: str | None = None
    since: str | None = None
    full_state: bool = False
    set_presence: Literal["offline", "online", "unavailable"] = "online"
    timeout: int = 0
    use_state_after: bool = False
    unstable_state_after: bool = msgspec.field(default=False, name="org.matrix.msc4222.use_state_after")

    @property
    def state(self) -> StateName:
        if self.use_state_after:
            return "state_after"
        return "org.matrix.msc4222.state_after" if self.unstable_state_after else "state"


async def sync(call: Call, query: SyncQuery) -> dict[str, Any]:
    """Holds no connection while it waits."""
    session = call.session
    wanted = filters.EVERYTHING
    if query.filter:
        if query.filter.lstrip().startswith("{"):
            wanted = filters.inline(query.filter)
        else:
            known: dict[str, Any] = call.ctx.hub.inbox(session.user_id).memo.setdefault("filters", {})
            if query.filter not in known:
                async with call.ctx.db.transaction() as tx:
                    known[query.filter] = await filters.get(tx, session.user_id, query.filter)
            wanted = known[query.filter]
    asked = Asked(
        user_id=session.user_id,
        device_id=session.device_id,
        since=maybe(query.since),
        full_state=query.full_state,
        state=query.state,
        filter=wanted,
    )
    await call.ctx.presence.seen(session.user_id, query.set_presence)
    answer = await chat_sync(call.ctx, asked, max(0, query.timeout) / 1000)
    if session.appservice is None and await call.ctx.sessions.get(token_of(call.request) or "") is None:
        # Logged out while it waited: what came after is no longer for this device.
        raise errors.UnknownToken("This access token is not known here.", soft_logout=False)
    return answer
