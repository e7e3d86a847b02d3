"""Sync: what has happened for one device since it last asked (client-server API, "Syncing").

1. Wait until this worker knows what the client may already know of.
2. Look into the user's inbox. Nothing there: wait, registered before looking.
3. Fix the position `upto`; take from memory what is there, and ask the database for the rest, never beyond `upto`.
4. Put the answer together: rooms, then what is the account's, then what is the device's.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi.core.chat.inbox import Inbox
from madoguchi.core.chat.room_cache import Room
from madoguchi.core.chat.sync import device
from madoguchi.core.chat.sync import rooms as rooms_of
from madoguchi.core.chat.sync.asked import Asked, News, Reader, news_of
from madoguchi.core.chat.tokens import token
from madoguchi.ids import RoomID
from madoguchi.storage import account_data, receipts
from madoguchi.storage import rooms as stored_rooms

if TYPE_CHECKING:
    from madoguchi.context import Context

# To-device messages in one answer; a longer queue is delivered over several.
MOST_TO_DEVICE = 200
LONGEST_SECONDS = 300.0
_FEW_ROOMS = 32


async def sync(ctx: "Context", asked: Asked, timeout: float) -> dict[str, Any]:
    """The answer to a sync request; waits up to `timeout` seconds for news."""
    hub = ctx.hub
    if not await hub.arrives(asked.since or 0, ctx.db.committed):
        asked.since = None
    inbox = hub.inbox(asked.user_id)
    loop = asyncio.get_running_loop()
    end = loop.time() + min(timeout, LONGEST_SECONDS)
    while True:
        # Watch before reading: what comes between the two would otherwise sleep until the timeout.
        waiter = inbox.register()
        try:
            must = asked.since is None or asked.full_state or hub.closed or loop.time() >= end
            if must or inbox.since(asked.since or 0) != []:
                answer, upto, empty = await _answer(ctx, asked, inbox)
                if must or not empty:
                    return answer
                # No second look before waiting: what has come since then has called the waiter, and what is still being
                # taken in will call it.
                asked.since = upto
            alarm = hub.alarms.set(waiter, end)
            try:
                await waiter
            finally:
                hub.alarms.cancel(waiter, alarm)
        finally:
            waiter.cancel()
            inbox.unregister(waiter)


async def _answer(ctx: "Context", asked: Asked, inbox: Inbox) -> tuple[dict[str, Any], int, bool]:
    async with AsyncExitStack() as stack:
        reader = Reader(ctx, stack)
        news = news_of(inbox, asked.since)
        # Should this worker lag behind another one's answer, it has nothing to say yet.
        upto = max(ctx.hub.pos, asked.since or 0)
        device.freshen(inbox, ctx.rooms, asked.user_id, upto)
        asked.ignored = await device.ignored(reader, asked, inbox)
        # A first sync has no token to go on with: it takes all there is.
        most = MOST_TO_DEVICE if asked.since is not None else 100_000
        messages, upto = await device.to_device(reader, asked, inbox, news, upto, asked.since, most)
        joined = await _load_rooms(ctx, reader, asked, news, upto)
        data = await _account_data(reader, asked, news, upto)
        rooms = await rooms_of.build(ctx, reader, asked, inbox, news, upto, joined, data)
        changed, left = await device.device_lists(reader, asked, news, upto, rooms.came, rooms.went)
        counts, unused = await device.key_counts(reader, asked, inbox, news)
        wants = asked.filter.account_data
        top = [msgspec.Raw(_typed(d)) for d in data if d.room_id is None and wants.wants(d.type, asked.user_id)]
        presence = await _presence(ctx, reader, asked, news)
        answer = {
            "next_batch": token(upto),
            "rooms": {"join": rooms.join, "invite": rooms.invite, "knock": rooms.knock, "leave": rooms.leave},
            "account_data": {"events": top},
            "to_device": {"events": [msgspec.Raw(message) for message in messages]},
            "device_lists": {"changed": sorted(changed), "left": sorted(left)},
            "device_one_time_keys_count": counts,
            "device_unused_fallback_key_types": unused,
            "org.matrix.msc2732.device_unused_fallback_key_types": unused,
            "presence": {"events": presence},
        }
        # A session of the user's has ended: perhaps this one, so the client has to show its token again.
        told = "keys" in news.kinds or "session" in news.kinds
        empty = not (rooms.any or top or messages or changed or left or presence or told)
        return answer, upto, empty


async def _presence(ctx: "Context", reader: Reader, asked: Asked, news: News) -> list[dict[str, Any]]:
    """How those are who share a room with the user, where it has changed; all of them where that is not known."""
    whose = news.presence
    if news.all and (there := ctx.presence.there()):
        whose = set(there) & (await stored_rooms.list_shared_users(await reader(), asked.user_id) | {asked.user_id})
    wants = asked.filter.presence
    return [ctx.presence.event(user_id) for user_id in sorted(whose) if wants.wants("m.presence", user_id)]


def _typed(data: account_data.AccountData) -> bytes:
    return b'{"type":' + msgspec.json.encode(data.type) + b',"content":' + data.content + b"}"


async def _load_rooms(ctx: "Context", reader: Reader, asked: Asked, news: News, upto: int) -> dict[RoomID, Room]:
    """The rooms that this answer may speak of, in memory; also sets which rooms of `news` have new events."""
    if asked.since is None or asked.full_state or news.all:
        memberships = await stored_rooms.list_memberships(await reader(), asked.user_id)
        present = [m.room_id for m in memberships if m.membership in ("join", "invite", "knock")]
        if asked.since is None:
            news.rooms.update(present)
            if asked.filter.room.include_leave:
                news.rooms.update(m.room_id for m in memberships if m.membership in ("leave", "ban"))
        else:
            news.rooms.update(await stored_rooms.list_touched(await reader(), asked.user_id, asked.since, upto))
            for receipt in await receipts.list_receipts(await reader(), present, asked.since, upto):
                if receipt.receipt_type != "m.read.private" or receipt.user_id == asked.user_id:
                    news.receipts.add(receipt.room_id)
            # Who stopped typing meanwhile is told where that costs little; the next news of a room tells it anyway.
            few = len(present) <= _FEW_ROOMS
            news.typing.update(room_id for room_id in present if few or ctx.typing.users(room_id))
            if asked.full_state:
                news.rooms.update(present)
    wanted = news.rooms | news.receipts | news.typing
    if news.has("account_data"):
        # Read marks and tags of a room travel with the room.
        wanted |= set(await _rooms_with_data(reader, asked, upto))
    return await ctx.rooms.get_many(sorted(wanted))


async def _rooms_with_data(reader: Reader, asked: Asked, upto: int) -> list[RoomID]:
    data = await account_data.list_account_data(await reader(), asked.user_id, asked.since or 0, upto)
    return [d.room_id for d in data if d.room_id is not None]


async def _account_data(reader: Reader, asked: Asked, news: News, upto: int) -> list[account_data.AccountData]:
    if not news.has("account_data"):
        return []
    return await account_data.list_account_data(await reader(), asked.user_id, asked.since or 0, upto)
