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

from madoguchi.core.chat.ignoring import ignored_by
from madoguchi.core.chat.inbox import Inbox
from madoguchi.core.chat.room_cache import Room
from madoguchi.core.chat.sync import rooms as rooms_of
from madoguchi.core.chat.sync import unread
from madoguchi.core.chat.sync.asked import Asked, News, Reader, news_of
from madoguchi.core.chat.tokens import token
from madoguchi.ids import DeviceID, RoomID, UserID
from madoguchi.storage import account_data, keys, receipts, stream, to_device
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
    if not await hub.reach(max(ctx.db.committed, asked.since or 0)):
        async with ctx.db.connection() as connection:
            if asked.since is not None and asked.since > await stream.position(connection):
                # A position of another time, say from before a backup was played back: begin anew.
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
        _forget_counts(inbox, news)
        asked.ignored = await _ignored(reader, asked, inbox, news)
        messages, upto = await _to_device(reader, asked, inbox, news, upto)
        joined = await _load_rooms(ctx, reader, asked, news, upto)
        data = await _account_data(reader, asked, news, upto)
        rooms = await rooms_of.build(ctx, reader, asked, inbox, news, upto, joined, data)
        changed, left = await _device_lists(reader, asked, news, upto, rooms)
        counts, unused = await _key_counts(reader, asked, inbox, news)
        wants = asked.filter.account_data
        top = [msgspec.Raw(_typed(d)) for d in data if d.room_id is None and wants.wants(d.type, asked.user_id)]
        answer = {
            "next_batch": token(upto),
            "rooms": {"join": rooms.join, "invite": rooms.invite, "knock": rooms.knock, "leave": rooms.leave},
            "account_data": {"events": top},
            "to_device": {"events": [msgspec.Raw(message) for message in messages]},
            "device_lists": {"changed": sorted(changed), "left": sorted(left)},
            "device_one_time_keys_count": counts,
            "device_unused_fallback_key_types": unused,
            "org.matrix.msc2732.device_unused_fallback_key_types": unused,
            "presence": {"events": []},
        }
        # A session of the user's has ended: perhaps this one, so the client has to show its token again.
        told = "keys" in news.kinds or "session" in news.kinds
        empty = not (rooms.any or top or messages or changed or left or told)
        return answer, upto, empty


def _typed(data: account_data.AccountData) -> bytes:
    return b'{"type":' + msgspec.json.encode(data.type) + b',"content":' + data.content + b"}"


def _forget_counts(inbox: Inbox, news: News) -> None:
    if news.has("account_data") or news.has("push_rules"):
        unread.forget(inbox)
    elif news.receipts:
        unread.forget(inbox, list(news.receipts))
    if news.has("keys"):
        inbox.memo.pop("keys", None)


async def _ignored(reader: Reader, asked: Asked, inbox: Inbox, news: News) -> frozenset[UserID]:
    known: frozenset[UserID] | None = inbox.memo.get("ignored")
    if known is None or news.has("account_data"):
        known = inbox.memo["ignored"] = await ignored_by(await reader(), asked.user_id)
    return known


async def _to_device(reader: Reader, asked: Asked, inbox: Inbox, news: News, upto: int) -> tuple[list[bytes], int]:
    """The device's messages, and how far this answer may reach: not beyond the last message of a longer queue."""
    delivered: dict[DeviceID, int] = inbox.memo.setdefault("to_device", {})
    # 0: this worker has looked, and nothing waits. Unknown after a restart, so then it looks once.
    if not news.has("to_device") and delivered.get(asked.device_id) == 0:
        return [], upto
    tx = await reader()
    if asked.since is not None:
        # What the client shows to have received goes; another worker may have given it.
        await to_device.delete_to_device(tx, asked.user_id, asked.device_id, asked.since)
    most = MOST_TO_DEVICE if asked.since is not None else 100_000
    found = await to_device.list_to_device(tx, asked.user_id, asked.device_id, asked.since or 0, upto, most)
    if len(found) == most:
        upto = found[-1][0]
    delivered[asked.device_id] = found[-1][0] if found else 0
    return [message for _, message in found], upto


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


async def _device_lists(
    reader: Reader, asked: Asked, news: News, upto: int, rooms: rooms_of.Rooms
) -> tuple[set[UserID], set[UserID]]:
    """Whose devices to look at again, and whom one need not watch any longer. Empty on a first sync."""
    if asked.since is None:
        return set(), set()
    changed = news.devices | rooms.came
    if news.all:
        changed |= {user for _, user in await keys.list_device_changes(await reader(), asked.since, upto)}
    if news.has("signatures"):
        changed |= set(await keys.list_signature_changes(await reader(), asked.user_id, asked.since, upto))
    left = set(rooms.went)
    if not changed and not left:
        return set(), set()
    others = (changed | left) - {asked.user_id}
    if others and (left or news.all):
        sharing = await stored_rooms.list_shared_users(await reader(), asked.user_id)
        return changed & (sharing | {asked.user_id}), (left | news.devices) - sharing - {asked.user_id}
    return changed, left


async def _key_counts(reader: Reader, asked: Asked, inbox: Inbox, news: News) -> tuple[dict[str, int], list[str]]:
    known: dict[DeviceID, tuple[dict[str, int], list[str]]] = inbox.memo.setdefault("keys", {})
    found = known.get(asked.device_id)
    if found is None:
        tx = await reader()
        counts = await keys.count_one_time_keys(tx, asked.user_id, asked.device_id)
        unused = await keys.list_unused_fallback_types(tx, asked.user_id, asked.device_id)
        # Clients take a missing count for "unknown"; zero makes them upload.
        found = known[asked.device_id] = ({"signed_curve25519": 0, **counts}, unused)
    return found
