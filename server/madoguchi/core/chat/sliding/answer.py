"""Sliding sync (MSC4186): what is new in the rooms that a client looks at, and for its device.

1. Open the connection as of the request's `pos`.
2. Look into the user's inbox. Nothing there that concerns this request: wait, registered before looking.
3. Find the rooms that its lists and subscriptions show; tell of each what the client does not have.
4. Keep what the client then has, under the `pos` of the answer.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat.inbox import Inbox
from madoguchi.core.chat.sliding import extensions
from madoguchi.core.chat.sliding.asked import Config, SlidingAsked
from madoguchi.core.chat.sliding.extensions import Starts
from madoguchi.core.chat.sliding.room import Part, Told, build, write_out
from madoguchi.core.chat.sliding.sent import Connection, SentRoom
from madoguchi.core.chat.sliding.windows import Known, Look, known_rooms, look
from madoguchi.core.chat.sync import device, unread
from madoguchi.core.chat.sync.answer import LONGEST_SECONDS
from madoguchi.core.chat.sync.asked import Asked, Reader, news_of
from madoguchi.core.chat.tokens import maybe
from madoguchi.ids import DeviceID, RoomID, UserID

if TYPE_CHECKING:
    from madoguchi.context import Context


async def sliding_sync(ctx: "Context", user_id: UserID, device_id: DeviceID, request: SlidingAsked) -> dict[str, Any]:
    """The answer to a request; waits up to its timeout for news. Raises Invalid, UnknownPosition."""
    request.check()
    with ctx.sliding.turn(user_id, device_id, request.conn_id) as turn:
        connection, since = await ctx.sliding.open(ctx, user_id, device_id, request.conn_id, request.pos)
        if not await ctx.hub.arrives(since or 0, ctx.db.committed):
            # A position of another time, say from before a backup was played back.
            raise errors.UnknownPosition("This position is not known here. Begin anew.")
        request = await _without_future(ctx, request)
        asked = Asked(user_id=user_id, device_id=device_id, since=since)
        inbox = ctx.hub.inbox(user_id)
        loop = asyncio.get_running_loop()
        end = loop.time() + min(max(request.timeout, 0), LONGEST_SECONDS)
        while True:
            # Watch before reading: what comes between the two would otherwise sleep until the timeout.
            turn.waiter = waiter = inbox.register()
            try:
                must = asked.since is None or ctx.hub.closed or loop.time() >= end
                answer, upto, says = await _answer(ctx, asked, request, connection, inbox)
                if turn.over:
                    return _nothing(request)
                if must or says:
                    answer["pos"] = await ctx.sliding.save(ctx, connection, upto)
                    return answer
                asked.since = upto
                alarm = ctx.hub.alarms.set(waiter, end)
                try:
                    await waiter
                finally:
                    ctx.hub.alarms.cancel(waiter, alarm)
                if turn.over:
                    return _nothing(request)
            finally:
                waiter.cancel()
                inbox.unregister(waiter)


async def _without_future(ctx: "Context", request: SlidingAsked) -> SlidingAsked:
    """The request without a token for messages to the device that is of another time, like a `pos`: what it would
    confirm has not arrived."""
    extension = request.extensions.get("to_device")
    if extension is None or await ctx.hub.arrives(maybe(extension.since) or 0, ctx.db.committed):
        return request
    extensions = {**request.extensions, "to_device": msgspec.structs.replace(extension, since=None)}
    return msgspec.structs.replace(request, extensions=extensions)


def _nothing(request: SlidingAsked) -> dict[str, Any]:
    """The answer to a request that its client has given up for another. It takes the connection nowhere."""
    if request.pos is None:
        raise errors.UnknownPosition("Another request has begun this connection anew.")
    return {"pos": request.pos, "lists": {}, "rooms": {}, "extensions": {}}


async def _answer(
    ctx: "Context", asked: Asked, request: SlidingAsked, connection: Connection, inbox: Inbox
) -> tuple[dict[str, Any], int, bool]:
    """(the answer without its `pos`, the position it reaches to, whether it says anything); carries `connection` on."""
    async with AsyncExitStack() as stack:
        reader = Reader(ctx, stack)
        news = news_of(inbox, asked.since)
        upto = max(ctx.hub.pos, asked.since or 0)
        device.freshen(inbox, ctx.rooms, asked.user_id, upto)
        asked.ignored = await device.ignored(reader, asked, inbox)
        known = await known_rooms(ctx, reader, asked, request, inbox, upto)
        seen = await look(ctx, asked, request, connection.sent, known)
        starts = _starts(asked, connection, known, seen)
        owed = extensions.owed(connection.sent, starts)
        live = await extensions.live_receipts(reader, asked, news, upto, owed)
        read = {
            each.room_id for each in live if each.user_id == asked.user_id and each.pos > (starts[each.room_id] or 0)
        }
        told = await _rooms(ctx, reader, asked, request, connection, inbox, known, seen, read, upto)
        rooms = {room_id: each.result for room_id, each in told.items() if each.result is not None}
        answer: dict[str, Any] = {"lists": {name: {"count": count} for name, count in seen.counts.items()}}
        answer["rooms"] = rooms
        answer["extensions"] = parts = {}
        says = bool(rooms)
        scopes: dict[str, set[RoomID]] = {}
        for name, extension in request.extensions.items():
            of = scopes[name] = extensions.scope(request, seen, extension, starts)
            match name:
                case "to_device":
                    part, spoke = await extensions.to_device(reader, asked, inbox, news, upto, extension)
                case "e2ee":
                    part, spoke = await extensions.e2ee(ctx, reader, asked, inbox, news, upto)
                case "account_data":
                    part, spoke = await extensions.account_data(reader, asked, news, upto, connection.sent, owed, of)
                case "receipts":
                    first = await extensions.first_receipts(ctx, reader, asked, upto, owed, told, connection.sent, of)
                    part, spoke = extensions.receipts([*live, *first], of)
                case "typing":
                    part, spoke = extensions.typing(ctx, asked, news, starts, of)
                case _:
                    # Clients ask for what other servers have; the spec lets a server pass over it.
                    continue
            parts[name] = part
            says = says or spoke
        extensions.settle(asked, connection.sent, owed, scopes)
        # A session of the user's has ended: perhaps this one, so the client has to show its token again.
        return answer, upto, says or "session" in news.kinds


def _starts(asked: Asked, connection: Connection, known: Known, seen: Look) -> Starts:
    """For each shown room that the user is in, the position from which on the client is to be told of it."""
    starts: Starts = {}
    for room_id in seen.wanted:
        if known.facts[room_id].membership == "join":
            sent = connection.sent.rooms.get(room_id)
            # Invitations, and rooms one has left, are no rooms yet: who has just come in gets all.
            fresh = sent is None or sent.required < 0 or sent.left or (asked.since or 0) < known.facts[room_id].own
            starts[room_id] = None if fresh or sent is None else asked.since if sent.behind is None else sent.behind
    return starts


async def _rooms(
    ctx: "Context",
    reader: Reader,
    asked: Asked,
    request: SlidingAsked,
    connection: Connection,
    inbox: Inbox,
    known: Known,
    seen: Look,
    read: set[RoomID],
    upto: int,
) -> dict[RoomID, Told]:
    """What is new in the shown rooms; carries on what the connection has been sent."""
    sent = connection.sent
    # Who looks away is told no longer, and of everything since then when they look again.
    for room_id, room_sent in sent.rooms.items():
        if room_id not in seen.wanted and room_sent.behind is None:
            room_sent.behind = asked.since
    due = [room_id for room_id in seen.wanted if _is_due(asked, connection, known, seen, room_id, read)]
    loaded = await ctx.rooms.get_many(due)
    if not request.stable:
        # All at once: room by room it would be as many questions.
        joined = [room for room_id, room in loaded.items() if known.facts[room_id].membership == "join"]
        await unread.count(reader, inbox, asked, joined, upto)
    told: dict[RoomID, Told] = {}
    for room_id in due:
        room = loaded.get(room_id)
        if room is None:
            continue
        before = sent.rooms.get(room_id)
        config = seen.wanted[room_id]
        part = Part(
            room=room,
            config=config,
            before=before,
            required=Config(0, sent.required[before.required] if before is not None and before.required >= 0 else ()),
            after=None if before is None else asked.since if before.behind is None else before.behind,
            since=asked.since,
            upto=upto,
            dm=room_id in (known.direct or ()),
            read=room_id in read,
            stable=request.stable,
        )
        each = told[room_id] = await build(reader, asked, inbox, part)
        if each.result is not None and request.stable and room_id in seen.lists:
            each.result["lists"] = seen.lists[room_id]
        if each.sent.required >= 0:
            each.sent.required = sent.place_of(config.required)
        sent.rooms[room_id] = each.sent
    for room_id in seen.wanted:
        if room_id in sent.rooms:
            sent.rooms[room_id].behind = None
    await write_out(reader, asked, told)
    return told


def _is_due(asked: Asked, connection: Connection, known: Known, seen: Look, room_id: RoomID, read: set[RoomID]) -> bool:
    """Whether there may be something to tell of a shown room: asked of what is in memory, before the room is read."""
    fact, config = known.facts[room_id], seen.wanted[room_id]
    before: SentRoom | None = connection.sent.rooms.get(room_id)
    if before is None or fact.own != before.own:
        return True
    if before.required < 0:
        return False
    if config.limit > before.limit or config.required != connection.sent.required[before.required]:
        return True
    if fact.membership != "join":
        return False
    knows = asked.since if before.behind is None else before.behind
    return fact.head > (knows or 0) or (room_id in (known.direct or ())) != before.dm or room_id in read
