"""What a connection has been sent, so that it is sent only what is new.

Each answer that changes it leaves a record under a new tag, and the answer's `pos` names the tag: a request that is
repeated because its answer got lost begins from the same record again. A request shows that its `pos` has arrived, and
what is older than that goes. The records lie in the database, so any worker can go on.

A client that wants something else gives its request up and sends another with the same `pos`. What has been given up
goes on here until it notices: the next request ends it, and whatever it still writes takes nothing from the one that
the client goes on with.
"""

import asyncio
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from madoguchi import errors
from madoguchi.core.chat.sliding.asked import Required
from madoguchi.core.chat.tokens import position
from madoguchi.ids import DeviceID, RoomID, UserID
from madoguchi.storage import sliding_states

if TYPE_CHECKING:
    from madoguchi.context import Context

_MOST_KNOWN = 2_000
_MOST_MEMBERS = 200
_encode = msgspec.json.Encoder().encode
Key = tuple[UserID, DeviceID, str]


def _unknown() -> errors.UnknownPosition:
    return errors.UnknownPosition("This position is not known here. Begin anew.")


class SentRoom(msgspec.Struct, array_like=True, omit_defaults=True):
    """A room that the client has.

    behind: the position up to which it has been told of the room; None while it is told of all that happens there.
    limit: how many of the newest events it had in one piece; required: the state it asked for (place in Sent.required),
    -1 for a room it knows from outside only.
    own: position of the membership told; dm: whether it was called a direct message; members: the membership events
    that it was sent because somebody spoke (position by user id). left: whether it was told that the user is gone.
    data, receipts: like `behind`, for what the extensions say of the room; 0 where they have not said anything yet.
    """

    behind: int | None = None
    limit: int = 0
    required: int = 0
    own: int = 0
    dm: bool = False
    members: dict[UserID, int] = {}
    left: bool = False
    data: int | None = None
    receipts: int | None = None

    def forget_members(self) -> None:
        """Lets go of the members told longest ago where there are many: they will be told again."""
        for user_id in list(self.members)[: max(0, len(self.members) - _MOST_MEMBERS)]:
            del self.members[user_id]


class Sent(msgspec.Struct):
    """What the client of one connection has. data: like `SentRoom.data`, for the account's own."""

    rooms: dict[RoomID, SentRoom] = {}
    required: list[tuple[Required, ...]] = []
    data: int | None = None

    def place_of(self, required: tuple[Required, ...]) -> int:
        """Where a set of required state stands in `required`, where it is put if it is new."""
        if required not in self.required:
            self.required.append(required)
        return self.required.index(required)

    def tidy(self) -> None:
        """Lets go of sets of required state that no room is sent any longer."""
        used = sorted({room.required for room in self.rooms.values() if room.required >= 0})
        if len(used) < len(self.required):
            places = {old: new for new, old in enumerate(used)}
            self.required = [self.required[old] for old in used]
            for room in self.rooms.values():
                room.required = places.get(room.required, -1)


_decoder = msgspec.json.Decoder(Sent)


class Connection(msgspec.Struct):
    """One connection of a device. raw: the record as it was found; tag: its name."""

    user_id: UserID
    device_id: DeviceID
    conn_id: str
    tag: str | None = None
    raw: bytes = b""
    sent: Sent = msgspec.field(default_factory=Sent)


class Turn:
    """A request under way on a connection. over: another one has come, so nobody waits for this one's answer."""

    def __init__(self, connections: "Connections", key: Key) -> None:
        self._connections = connections
        self._key = key
        self.over = False
        self.waiter: asyncio.Future[None] | None = None

    def __enter__(self) -> "Turn":
        self._connections.give_up(self._key)
        self._connections.turns[self._key] = self
        return self

    def __exit__(self, *_: object) -> None:
        if self._connections.turns.get(self._key) is self:
            del self._connections.turns[self._key]


class Connections:
    """The records that this worker has met lately, in front of the table. A tag never means anything else, so what is
    known of it is always true."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[UserID, DeviceID, str, bytes]] = OrderedDict()
        self.turns: dict[Key, Turn] = {}

    def turn(self, user_id: UserID, device_id: DeviceID, conn_id: str) -> Turn:
        """A request begins; the one before it on the same connection is over."""
        return Turn(self, (user_id, device_id, conn_id))

    def give_up(self, key: Key) -> None:
        """Ends what waits on a connection."""
        before = self.turns.pop(key, None)
        if before is not None:
            before.over = True
            if before.waiter is not None and not before.waiter.done():
                before.waiter.set_result(None)

    async def open(
        self, ctx: "Context", user_id: UserID, device_id: DeviceID, conn_id: str, pos: str | None
    ) -> tuple[Connection, int | None]:
        """The connection as of `pos`, and the position up to which its client knows; a new one without `pos`.

        Raises UnknownPosition where the client has to begin anew.
        """
        connection = Connection(user_id, device_id, conn_id)
        if not pos:
            return connection, None
        where, _, tag = pos.partition("_")
        try:
            since = position(where)
        except errors.Invalid:
            raise _unknown() from None
        key = (user_id, device_id, conn_id)
        known = self._known.get(tag)
        if known is None or known[:3] != key:
            async with ctx.db.connection() as tx:
                raw = await sliding_states.get_state(tx, user_id, device_id, conn_id, tag)
            if raw is None:
                raise _unknown()
            known = (user_id, device_id, conn_id, raw)
            self._remember(tag, known)
        connection.tag, connection.raw = tag, known[3]
        connection.sent = _decoder.decode(known[3])
        return connection, since

    async def save(self, ctx: "Context", connection: Connection, pos: int) -> str:
        """Keeps what the connection has been sent; gives the `pos` for its answer.

        Raises UnknownPosition where the client has gone on without this answer.
        """
        connection.sent.tidy()
        if connection.tag is None:
            # A connection begun anew under its name ends the one before.
            key = (connection.user_id, connection.device_id, connection.conn_id)
            for tag in [tag for tag, known in self._known.items() if known[:3] == key]:
                del self._known[tag]
        raw = _encode(connection.sent)
        if connection.tag is None or raw != connection.raw:
            tag = secrets.token_urlsafe(9).replace("_", "-")
            async with ctx.db.transaction() as tx:
                kept = await sliding_states.insert_state(
                    tx, connection.user_id, connection.device_id, connection.conn_id, tag,
                    connection.tag, raw, ctx.clock.ms(),
                )  # fmt: skip
            if not kept:
                raise _unknown()
            self._remember(tag, (connection.user_id, connection.device_id, connection.conn_id, raw))
            connection.tag, connection.raw = tag, raw
        return f"s{pos}_{connection.tag}"

    def _remember(self, tag: str, known: tuple[UserID, DeviceID, str, bytes]) -> None:
        self._known[tag] = known
        self._known.move_to_end(tag)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
