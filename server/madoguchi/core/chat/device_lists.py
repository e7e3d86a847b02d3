"""Whose devices a client must look at again, and whose no more (client-server API, "Tracking the device list for a
user")."""

from madoguchi.ids import UserID
from madoguchi.storage import keys as storage
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.db import Tx


async def changes(tx: Tx, user_id: UserID, after: int, upto: int) -> tuple[list[UserID], list[UserID]]:
    """(changed, left) in (after, upto], each sorted.

    changed: people in the user's rooms, the user included, who have changed their devices or keys, whose key the user
    has signed, or who share a room only now. left: people who share no room any more.
    """
    sharing = await stored_rooms.list_shared_users(tx, user_id) | {user_id}
    changed = {other for _, other in await storage.list_device_changes(tx, after, upto)} & sharing
    changed |= await storage.list_newly_sharing(tx, user_id, after) - {user_id}
    changed.update(await storage.list_signature_changes(tx, user_id, after, upto))
    left = await storage.list_parted(tx, user_id, after) - sharing
    return sorted(changed), sorted(left)
