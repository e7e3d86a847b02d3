"""What somebody had set for a room goes with them into the one that replaced it ("Room Upgrades")."""

from madoguchi.core.chat import account_data, push_rules
from madoguchi.core.chat.room_cache import content_of
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import account_data as stored_account_data
from madoguchi.storage import events as stored_events
from madoguchi.storage import push as stored_push
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.db import Tx
from madoguchi.storage.default_push_rules import Rule


async def carry_over(tx: Tx, user_id: UserID, room_id: RoomID) -> None:
    """Copies the tags and push rules that a user has for a room's predecessor, where there are none for the room.

    To be called before the stream is taken: these are locked first, everywhere.
    """
    old = await _predecessor(tx, room_id)
    if old is None or await stored_rooms.get_membership(tx, old, user_id) is None:
        return
    await stored_account_data.lock_account_data(tx, user_id, room_id, account_data.TAGS)
    await stored_push.lock_rules(tx, user_id)
    tags = await account_data.get_tags(tx, user_id, old)
    if tags and not await account_data.get_tags(tx, user_id, room_id):
        await account_data.keep(tx, user_id, room_id, account_data.TAGS, {"tags": tags})
    rules = await push_rules.get_all(tx, user_id)
    known = {rule.rule_id for rule in (*rules.room, *rules.override)}
    for kind, several in (("room", rules.room), ("override", rules.override)):
        for rule in several:
            # The way in which clients mute a room: an override of this one condition, named like the room.
            is_its = rule.rule_id == old and not rule.default
            if is_its and room_id not in known and (kind == "room" or _is_about(rule, old)):
                conditions = [{"kind": "event_match", "key": "room_id", "pattern": room_id}]
                await push_rules.put(
                    tx, user_id, kind, room_id, actions=list(rule.actions),
                    conditions=conditions if kind == "override" else None,
                )  # fmt: skip
                if not rule.enabled:
                    await push_rules.set_enabled(tx, user_id, kind, room_id, False)


async def _predecessor(tx: Tx, room_id: RoomID) -> RoomID | None:
    for event in await stored_events.list_some_state(tx, room_id, ["m.room.create"], []):
        before = content_of(event).get("predecessor")
        if isinstance(before, dict) and isinstance(before.get("room_id"), str):
            return str(before["room_id"])
    return None


def _is_about(rule: Rule, room_id: RoomID) -> bool:
    (only, *more) = rule.conditions or [{}]
    return not more and (only.get("kind"), only.get("key"), only.get("pattern")) == ("event_match", "room_id", room_id)
