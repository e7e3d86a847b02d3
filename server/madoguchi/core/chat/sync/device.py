"""What a sync answer has for the device alone: messages to it, whose devices to look at, how many keys are left."""

from madoguchi.core.chat.ignoring import ignored_by
from madoguchi.core.chat.inbox import Inbox
from madoguchi.core.chat.room_cache import Rooms as RoomCache
from madoguchi.core.chat.sync import unread
from madoguchi.core.chat.sync.asked import Asked, News, Reader
from madoguchi.ids import DeviceID, UserID
from madoguchi.storage import keys
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage import to_device as stored_to_device


def freshen(inbox: Inbox, rooms: RoomCache, user_id: UserID, upto: int) -> None:
    """Forgets what is in memory for the user that has become stale.

    Goes by what this worker has heard, not by what the client has been told: that may have been another worker's doing.
    """
    memo = inbox.memo
    before: int | None = memo.get("fresh")
    memo["fresh"] = upto
    heard = inbox.since(before) if before is not None else None
    if heard is None:
        unread.forget(inbox)
        for name in ("keys", "ignored"):
            memo.pop(name, None)
        return
    for _, kind, key in heard:
        if kind in ("account_data", "push_rules"):
            unread.forget(inbox)
            memo.pop("ignored", None)
        elif kind == "receipt":
            unread.forget(inbox, [key])
        elif kind == "keys":
            memo.pop("keys", None)
        elif kind == "event":
            room = rooms.peek(key)
            if room is None or room.member_pos(user_id) > (before or 0):
                # They may have left and come back: what was said in between does not count.
                unread.forget(inbox, [key])


async def ignored(reader: Reader, asked: Asked, inbox: Inbox) -> frozenset[UserID]:
    """Whom the user does not want to hear of."""
    # In something that can be dropped while this is still reading.
    known: list[frozenset[UserID]] = inbox.memo.setdefault("ignored", [])
    if not known:
        known.append(await ignored_by(await reader(), asked.user_id))
    return known[0]


async def to_device(
    reader: Reader, asked: Asked, inbox: Inbox, news: News, upto: int, since: int | None, most: int
) -> tuple[list[bytes], int]:
    """The device's messages in (since, upto], and how far they reach: not beyond the last message of a longer queue.

    since: what the client shows to have received, None for nothing yet.
    """
    delivered: dict[DeviceID, int] = inbox.memo.setdefault("to_device", {})
    # 0: this worker has looked, and nothing waits. Unknown after a restart, so then it looks once.
    if not news.has("to_device") and delivered.get(asked.device_id) == 0:
        return [], upto
    tx = await reader()
    if since is not None:
        # What the client shows to have received goes; another worker may have given it.
        await stored_to_device.delete_to_device(tx, asked.user_id, asked.device_id, since)
    found = await stored_to_device.list_to_device(tx, asked.user_id, asked.device_id, since or 0, upto, most)
    if len(found) == most:
        upto = found[-1][0]
    delivered[asked.device_id] = found[-1][0] if found else 0
    return [message for _, message in found], upto


async def device_lists(
    reader: Reader, asked: Asked, news: News, upto: int, came: set[UserID], went: set[UserID]
) -> tuple[set[UserID], set[UserID]]:
    """Whose devices to look at again, and whom one need not watch any longer. Empty on a first sync.

    came, went: who has come into, or gone from, a room together with the user since then.
    """
    if asked.since is None:
        return set(), set()
    changed = news.devices | came
    if news.all:
        changed |= {user for _, user in await keys.list_device_changes(await reader(), asked.since, upto)}
    if news.has("signatures"):
        changed |= set(await keys.list_signature_changes(await reader(), asked.user_id, asked.since, upto))
    left = set(went)
    if not changed and not left:
        return set(), set()
    others = (changed | left) - {asked.user_id}
    if others and (left or news.all):
        sharing = await stored_rooms.list_shared_users(await reader(), asked.user_id)
        return changed & (sharing | {asked.user_id}), (left | news.devices) - sharing - {asked.user_id}
    return changed, left


async def key_counts(reader: Reader, asked: Asked, inbox: Inbox, news: News) -> tuple[dict[str, int], list[str]]:
    """How many one-time keys of the device are left by algorithm, and which of its fallback keys are unused."""
    known: dict[DeviceID, tuple[dict[str, int], list[str]]] = inbox.memo.setdefault("keys", {})
    found = known.get(asked.device_id)
    if found is None:
        tx = await reader()
        counts = await keys.count_one_time_keys(tx, asked.user_id, asked.device_id)
        unused = await keys.list_unused_fallback_types(tx, asked.user_id, asked.device_id)
        # Clients take a missing count for "unknown"; zero makes them upload.
        found = known[asked.device_id] = ({"signed_curve25519": 0, **counts}, unused)
    return found
