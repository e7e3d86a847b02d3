"""How much of a room somebody has not read yet, by their own push rules: counted on, not counted anew."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi.core.chat import push
from madoguchi.core.chat.ignoring import is_hidden
from madoguchi.core.chat.room_cache import Room
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import events as stored_events
from madoguchi.storage import notifications as stored_notifications
from madoguchi.storage import receipts
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Event

if TYPE_CHECKING:
    from madoguchi.core.chat.inbox import Inbox
    from madoguchi.core.chat.sync.asked import Asked

# Beyond so many a number says nothing more to a person.
MOST = 1000
_decoder = msgspec.json.Decoder(dict[str, Any])


class Count(msgspec.Struct):
    """What notifies, and what of it asks for attention."""

    notify: int = 0
    highlight: int = 0

    def shown(self) -> dict[str, int]:
        return {"notification_count": self.notify, "highlight_count": self.highlight}


class Unread(msgspec.Struct):
    """The counts of a room. counted_to: the position up to which they hold. main: what stands in no thread.
    threads: by root, none without anything unread. read: how far each thread has been read by itself."""

    counted_to: int
    read: dict[str, int]
    main: Count = msgspec.field(default_factory=Count)
    threads: dict[str, Count] = msgspec.field(default_factory=dict)

    def add(self, thread: str | None, highlight: bool) -> None:
        count = self.main if thread is None else self.threads.setdefault(thread, Count())
        count.notify += 1
        count.highlight += highlight

    def forget(self, thread: str | None) -> None:
        if thread is None:
            self.main = Count()
        else:
            self.threads.pop(thread, None)

    @property
    def all(self) -> Count:
        """Main timeline and threads together, for clients that know none."""
        counts = [self.main, *self.threads.values()]
        return Count(sum(count.notify for count in counts), sum(count.highlight for count in counts))


def forget(inbox: "Inbox", room_ids: Sequence[RoomID] | None = None) -> None:
    """Counts afresh next time: the user has read on (these rooms, or any), or has other rules."""
    counts: dict[RoomID, Unread] = inbox.memo.setdefault("unread", {})
    if room_ids is None:
        counts.clear()
        inbox.memo.pop("rules", None)
    else:
        for room_id in room_ids:
            counts.pop(room_id, None)


async def count(tx: Tx, inbox: "Inbox", asked: "Asked", rooms: Sequence[Room], upto: int) -> Mapping[RoomID, Unread]:
    """The counts of rooms the user is joined to, as of a position."""
    user_id = asked.user_id
    counts: dict[RoomID, Unread] = inbox.memo.setdefault("unread", {})
    fresh = [room for room in rooms if room.room_id not in counts]
    rules: push.Rules | None = inbox.memo.get("rules")
    if rules is None:
        rules = inbox.memo["rules"] = await push.rules_of(tx, user_id)
    if fresh:
        read = await receipts.list_read(tx, user_id, [room.room_id for room in fresh])
        since = await _joined_since(tx, user_id, fresh)
        for room in fresh:
            marks = read.get(room.room_id, {})
            start = max(marks.pop("", 0), marks.pop("main", 0), since.get(room.room_id, upto))
            counts[room.room_id] = Unread(start, marks)
    for room in rooms:
        unread = counts[room.room_id]
        if unread.counted_to < min(upto, room.head):
            news = room.since(unread.counted_to)
            if news is None:
                news = await stored_events.list_events_before(tx, room.room_id, upto + 1, unread.counted_to, MOST)
                news.reverse()
            told = [event for event in news if event.pos <= upto and not is_hidden(event, asked.ignored)]
            _add(unread, rules, room, user_id, told)
            unread.counted_to = max(unread.counted_to, min(upto, room.head))
    return counts


async def _joined_since(tx: Tx, user_id: UserID, rooms: Sequence[Room]) -> dict[RoomID, int]:
    """From which position on the user has been in each room."""
    own = {room.room_id: room.state[("m.room.member", user_id)] for room in rooms if user_id in room.members}
    since = {room_id: event.pos for room_id, event in own.items()}
    # A join that replaces a join is a new name or picture: the user was there before.
    renamed = [room_id for room_id, event in own.items() if b'"membership":"join"' in event.unsigned]
    if renamed:
        since.update(await stored_notifications.list_joined_since(tx, user_id, renamed))
    return since


def needs_database(inbox: "Inbox", rooms: Sequence[Room]) -> bool:
    """Whether `count` would have to ask the database."""
    counts: dict[RoomID, Unread] = inbox.memo.get("unread", {})
    if "rules" not in inbox.memo:
        return True
    return any((unread := counts.get(room.room_id)) is None or unread.counted_to < room.floor for room in rooms)


def _add(unread: Unread, rules: push.Rules, room: Room, user_id: UserID, news: Sequence[Event]) -> None:
    facts: push.RoomFacts | None = None
    for event in news:
        thread = event.relates_to if event.rel_type == "m.thread" else None
        if event.sender == user_id:
            if event.state_key is None:
                # Who answers has read ("Marking notifications as read"): what stands before counts no longer.
                unread.forget(thread)
            continue
        if thread is not None and event.pos <= unread.read.get(thread, 0):
            continue
        facts = facts or push.facts_of(room, user_id)
        verdict = push.evaluate(rules, {**_decoder.decode(event.body), "room_id": room.room_id}, facts, user_id)
        if verdict.notify:
            unread.add(thread, verdict.highlight)
