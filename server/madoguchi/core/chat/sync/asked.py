"""What a sync request asks for, and what the user's inbox says to look at."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Literal

import msgspec

from madoguchi.core.chat.filters import EVERYTHING, Filter
from madoguchi.core.chat.ignoring import NOBODY
from madoguchi.core.chat.inbox import Inbox
from madoguchi.ids import DeviceID, RoomID, UserID
from madoguchi.storage.db import Tx

if TYPE_CHECKING:
    from madoguchi.context import Context


# Where a room's state stands in the answer. matrix-js-sdk asks by the name that MSC4222 had before it was accepted.
StateName = Literal["state", "state_after", "org.matrix.msc4222.state_after"]


class Asked(msgspec.Struct, kw_only=True):
    """A sync request. since: a position or None for the beginning; state: which state of the rooms the client wants, by
    that name; ignored: whom the user does not want to hear of."""

    user_id: UserID
    device_id: DeviceID
    since: int | None = None
    full_state: bool = False
    state: StateName = "state"
    filter: Filter = EVERYTHING
    ignored: frozenset[UserID] = NOBODY

    @property
    def state_after(self) -> bool:
        """Whether the state as of the timeline's end is wanted, instead of as of its beginning."""
        return self.state != "state"


class News(msgspec.Struct):
    """What the inbox says has happened, sorted by kind. all: it does not reach back far enough; look everywhere."""

    all: bool = False
    rooms: set[RoomID] = msgspec.field(default_factory=set)
    receipts: set[RoomID] = msgspec.field(default_factory=set)
    typing: set[RoomID] = msgspec.field(default_factory=set)
    devices: set[UserID] = msgspec.field(default_factory=set)
    presence: set[UserID] = msgspec.field(default_factory=set)
    kinds: set[str] = msgspec.field(default_factory=set)

    def has(self, kind: str) -> bool:
        return self.all or kind in self.kinds


class Reader:
    """A database connection that is only taken if something has to be asked."""

    def __init__(self, ctx: "Context", stack: AsyncExitStack) -> None:
        self._ctx = ctx
        self._stack = stack
        self._tx: Tx | None = None

    async def __call__(self) -> Tx:
        if self._tx is None:
            self._tx = await self._stack.enter_async_context(self._ctx.db.connection())
        return self._tx


def news_of(inbox: Inbox, since: int | None) -> News:
    """What has happened for the user after a position; everything may have, where the inbox does not reach so far."""
    news = News()
    entries = None if since is None else inbox.since(since)
    if entries is None:
        return News(all=True)
    for _, kind, key in entries:
        news.kinds.add(kind)
        if kind == "event":
            news.rooms.add(key)
        elif kind == "receipt":
            news.receipts.add(key)
        elif kind == "typing":
            news.typing.add(key)
        elif kind == "devices":
            news.devices.add(key)
        elif kind == "presence":
            news.presence.add(key)
    return news
