"""What an answer of sliding sync has beside rooms, each part only if it is asked for."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi.core.chat.inbox import Inbox
from madoguchi.core.chat.room_cache import content_of
from madoguchi.core.chat.sliding.asked import Extension, SlidingAsked
from madoguchi.core.chat.sliding.room import Told
from madoguchi.core.chat.sliding.sent import Sent
from madoguchi.core.chat.sliding.windows import Look
from madoguchi.core.chat.sync import device
from madoguchi.core.chat.sync.asked import Asked, News, Reader
from madoguchi.core.chat.sync.rooms import receipt_contents
from madoguchi.core.chat.sync.timeline import changed_state
from madoguchi.core.chat.tokens import maybe, token
from madoguchi.ids import EventID, RoomID, UserID
from madoguchi.storage import account_data as stored_account_data
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.account_data import AccountData
from madoguchi.storage.receipts import Receipt, list_receipts, list_receipts_at

if TYPE_CHECKING:
    from madoguchi.context import Context

MOST_TO_DEVICE = 200
_encode = msgspec.json.Encoder().encode
Starts = dict[RoomID, int | None]


def scope(request: SlidingAsked, look: Look, extension: Extension, joined: Iterable[RoomID]) -> set[RoomID]:
    """Of the rooms the user is in, those that an extension is to speak of."""
    lists = extension.lists
    rooms = extension.rooms
    found = set()
    for room_id in joined:
        in_list = room_id in look.lists and (lists is None or "*" in lists or set(lists) & set(look.lists[room_id]))
        subscribed = room_id in request.subscriptions and (rooms is None or "*" in rooms or room_id in rooms)
        if in_list or subscribed:
            found.add(room_id)
    return found


async def to_device(
    reader: Reader, asked: Asked, inbox: Inbox, news: News, upto: int, extension: Extension
) -> tuple[dict[str, Any], bool]:
    """(the part, whether it says anything): messages to the device after those it shows to have received."""
    most = max(1, min(extension.limit or 100, MOST_TO_DEVICE))
    messages, upto = await device.to_device(reader, asked, inbox, news, upto, maybe(extension.since), most)
    return {"next_batch": token(upto), "events": [msgspec.Raw(message) for message in messages]}, bool(messages)


async def e2ee(
    ctx: "Context", reader: Reader, asked: Asked, inbox: Inbox, news: News, upto: int
) -> tuple[dict[str, Any], bool]:
    """(the part, whether it says anything): whose devices to look at, how many of the own keys are left."""
    came, went = await _come_and_gone(ctx, reader, asked, news, upto)
    changed, left = await device.device_lists(reader, asked, news, upto, came, went)
    counts, unused = await device.key_counts(reader, asked, inbox, news)
    part: dict[str, Any] = {"device_one_time_keys_count": counts, "device_unused_fallback_key_types": unused}
    if asked.since is not None:
        part["device_lists"] = {"changed": sorted(changed), "left": sorted(left)}
    return part, bool(changed or left or "keys" in news.kinds)


async def _come_and_gone(
    ctx: "Context", reader: Reader, asked: Asked, news: News, upto: int
) -> tuple[set[UserID], set[UserID]]:
    """Who has come into, and gone from, rooms of the user's; all of a room that the user came into or left."""
    came: set[UserID] = set()
    went: set[UserID] = set()
    if asked.since is None:
        return came, went
    touched = set(news.rooms)
    if news.all:
        touched |= set(await stored_rooms.list_touched(await reader(), asked.user_id, asked.since, upto))
    for room in (await ctx.rooms.get_many(sorted(touched))).values():
        for event in await changed_state(reader, room, asked.since, upto + 1):
            if event.type != "m.room.member" or event.state_key is None:
                continue
            into = came if content_of(event).get("membership") == "join" else went
            if event.state_key == asked.user_id:
                into.update(room.joined())
            else:
                into.add(event.state_key)
    return came - {asked.user_id}, went - {asked.user_id}


class Owed(msgspec.Struct, frozen=True):
    """For each shown room that the user is in, from which position on account data and receipts are to be told; None
    for all there are. Behind what is told of the room, where the extension was not asked for then."""

    data: Starts
    receipts: Starts


def owed(sent: Sent, starts: Starts) -> Owed:
    """What the extensions owe of each room."""
    found = Owed({}, {})
    for room_id, start in starts.items():
        before = sent.rooms.get(room_id)
        for positions, behind in (
            (found.data, before.data if before is not None else None),
            (found.receipts, before.receipts if before is not None else None),
        ):
            positions[room_id] = start if start is None or behind is None else (min(start, behind) or None)
    return found


def settle(asked: Asked, sent: Sent, owes: Owed, scopes: dict[str, set[RoomID]]) -> None:
    """Writes down which rooms an extension has not spoken of, and since when."""
    if "account_data" in scopes:
        sent.data = None
    elif sent.data is None:
        sent.data = asked.since or 0
    for room_id in owes.data:
        room = sent.rooms.get(room_id)
        if room is not None:
            room.data = None if room_id in scopes.get("account_data", ()) else owes.data[room_id] or 0
            room.receipts = None if room_id in scopes.get("receipts", ()) else owes.receipts[room_id] or 0


async def account_data(
    reader: Reader, asked: Asked, news: News, upto: int, sent: Sent, owes: Owed, rooms: set[RoomID]
) -> tuple[dict[str, Any], bool]:
    """(the part, whether it says anything): of the account since the last answer; of a room since it was shown."""
    since = asked.since or 0
    since = since if sent.data is None else min(since, sent.data)
    after = min((owes.data[room_id] or 0 for room_id in rooms), default=since)
    found: list[AccountData] = []
    if min(after, since) < (asked.since or 0) or not since or news.has("account_data"):
        found = await stored_account_data.list_account_data(await reader(), asked.user_id, min(after, since), upto)
    top = [each for each in found if each.room_id is None and (each.pos > since or not since)]
    by_room: dict[RoomID, list[msgspec.Raw]] = {}
    for each in found:
        if each.room_id in rooms and each.pos > (owes.data[each.room_id] or 0):
            by_room.setdefault(each.room_id, []).append(_typed(each))
    return {"global": [_typed(each) for each in top], "rooms": by_room}, bool(top or by_room)


def _typed(data: AccountData) -> msgspec.Raw:
    return msgspec.Raw(b'{"type":' + _encode(data.type) + b',"content":' + data.content + b"}")


async def live_receipts(reader: Reader, asked: Asked, news: News, upto: int, owes: Owed) -> list[Receipt]:
    """The receipts that have moved in rooms whose receipts the client has; the user's own private ones among them."""
    since = asked.since or 0
    starts = {
        room_id: start
        for room_id, start in owes.receipts.items()
        if start is not None and (start < since or news.all or room_id in news.receipts)
    }
    if not starts:
        return []
    found = await list_receipts(await reader(), sorted(starts), min(starts.values()), upto)
    return [each for each in found if each.pos > starts[each.room_id] and _may_see(asked, each)]


async def first_receipts(
    ctx: "Context",
    reader: Reader,
    asked: Asked,
    upto: int,
    owes: Owed,
    told: Mapping[RoomID, Told],
    sent: Sent,
    rooms: set[RoomID],
) -> list[Receipt]:
    """Where a timeline begins: the receipts at its events, and the user's own (MSC3960)."""
    event_ids: set[EventID] = set()
    fresh: list[RoomID] = []
    for room_id in sorted(rooms):
        shown = told[room_id].shown if room_id in told else None
        if shown is None and owes.receipts[room_id] is None:
            # Asked for late: the timeline has been sent before.
            room = await ctx.rooms.get(room_id)
            known = sent.rooms.get(room_id)
            newest = list(room.ring)[-known.limit :] if room is not None and known is not None and known.limit else []
            shown = frozenset(event.event_id for event in newest)
        if shown is not None:
            fresh.append(room_id)
            event_ids |= shown
    if not fresh:
        return []
    found = await list_receipts_at(await reader(), fresh, asked.user_id, sorted(event_ids), upto)
    return [each for each in found if _may_see(asked, each)]


def _may_see(asked: Asked, receipt: Receipt) -> bool:
    return receipt.receipt_type != "m.read.private" or receipt.user_id == asked.user_id


def receipts(found: list[Receipt], rooms: set[RoomID]) -> tuple[dict[str, Any], bool]:
    """(the part, whether it says anything)."""
    by_room: dict[RoomID, list[Receipt]] = {}
    for receipt in found:
        if receipt.room_id in rooms:
            by_room.setdefault(receipt.room_id, []).append(receipt)
    told = {room_id: {"type": "m.receipt", "content": receipt_contents(each)[0]} for room_id, each in by_room.items()}
    return {"rooms": told}, bool(told)


def typing(ctx: "Context", asked: Asked, news: News, starts: Starts, rooms: set[RoomID]) -> tuple[dict[str, Any], bool]:
    """(the part, whether it says anything): who types; nobody, too, where somebody has stopped."""
    told = {}
    for room_id in sorted(rooms):
        start = starts[room_id]
        fresh = asked.since is None or start is None or start < asked.since
        users = ctx.typing.users(room_id)
        if (fresh and users) or (not fresh and (news.all or room_id in news.typing)):
            told[room_id] = {"type": "m.typing", "content": {"user_ids": users}}
    return {"rooms": told}, bool(told)
