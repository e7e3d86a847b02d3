"""How much of a room somebody has not read yet, by their own push rules: counted on, not counted anew."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi.core.chat import push, receipts
from madoguchi.core.chat.ignoring import is_hidden
from madoguchi.core.chat.room_cache import Room
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import events as stored_events
from madoguchi.storage import notifications as stored_notifications
from madoguchi.storage import receipts as stored_receipts
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Event
from madoguchi.storage.receipts import Target

if TYPE_CHECKING:
    from madoguchi.core.chat.inbox import Inbox
    from madoguchi.core.chat.sync.asked import Asked, Reader

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

    def take(self, event: Event, thread: str | None, verdict: push.Verdict, own: bool) -> None:
        """Counts an event. Who answers has read ("Marking notifications as read"): what stands before counts no
        longer."""
        if own:
            if thread is None:
                self.main = Count()
            else:
                self.threads.pop(thread, None)
        elif thread is None or event.pos > self.read.get(thread, 0):
            count = self.main if thread is None else self.threads.setdefault(thread, Count())
            count.notify += 1
            count.highlight += verdict.highlight

    @property
    def all(self) -> Count:
        """Main timeline and threads together, for clients that know none."""
        counts = [self.main, *self.threads.values()]
        return Count(sum(count.notify for count in counts), sum(count.highlight for count in counts))


class Counts(msgspec.Struct):
    """What is known of a user's counts. When something of it no longer holds, another one takes its place: a request
    that is still reading then writes into what nobody asks any more."""

    rooms: dict[RoomID, Unread] = msgspec.field(default_factory=dict)
    rules: push.Rules | None = None


def forget(inbox: "Inbox", room_ids: Sequence[RoomID] | None = None) -> None:
    """Counts afresh next time: the user has read on (these rooms, or any), or has other rules."""
    before: Counts | None = inbox.memo.pop("unread", None)
    if before is not None and room_ids is not None:
        kept = {room_id: unread for room_id, unread in before.rooms.items() if room_id not in room_ids}
        inbox.memo["unread"] = Counts(kept, before.rules)


async def count(
    reader: "Reader", inbox: "Inbox", asked: "Asked", rooms: Sequence[Room], upto: int
) -> Mapping[RoomID, Unread]:
    """The counts of rooms the user is joined to, as of a position. Asks the database only for what is not known."""
    user_id = asked.user_id
    known: Counts = inbox.memo.setdefault("unread", Counts())
    rules = known.rules
    if rules is None:
        rules = known.rules = await push.rules_of(await reader(), user_id)
    if fresh := [room for room in rooms if room.room_id not in known.rooms]:
        read = await stored_receipts.list_read(await reader(), user_id, [room.room_id for room in fresh])
        since = await _joined_since(await reader(), user_id, fresh)
        for room in fresh:
            marks = read.get(room.room_id, {})
            start = max(marks.pop("", 0), marks.pop("main", 0), since.get(room.room_id, upto))
            known.rooms.setdefault(room.room_id, Unread(start, marks))
    for room in rooms:
        unread = known.rooms[room.room_id]
        if unread.counted_to < min(upto, room.head):
            told = await _told(reader, rules, room, asked, unread.counted_to, upto)
            # No waiting from here on: another request of the same user may be counting, too.
            for event, thread, verdict in told:
                if event.pos > unread.counted_to:
                    unread.take(event, thread, verdict, event.sender == user_id)
            unread.counted_to = max(unread.counted_to, min(upto, room.head))
    return known.rooms


async def _joined_since(tx: Tx, user_id: UserID, rooms: Sequence[Room]) -> dict[RoomID, int]:
    """From which position on the user has been in each room."""
    own = {room.room_id: room.state[("m.room.member", user_id)] for room in rooms if user_id in room.members}
    since = {room_id: event.pos for room_id, event in own.items()}
    # A join that replaces a join is a new name or picture: the user was there before.
    renamed = [room_id for room_id, event in own.items() if b'"membership":"join"' in event.unsigned]
    if renamed:
        since.update(await stored_notifications.list_joined_since(tx, user_id, renamed))
    return since


async def _told(
    reader: "Reader", rules: push.Rules, room: Room, asked: "Asked", after: int, upto: int
) -> list[tuple[Event, str | None, push.Verdict]]:
    """What in (after, upto] counts: the user's own messages, and what they are told of; with its thread."""
    news = room.since(after)
    if news is None:
        news = await stored_events.list_events_before(await reader(), room.room_id, upto + 1, after, MOST)
        news.reverse()
    facts: push.RoomFacts | None = None
    found = []
    for event in news:
        if event.pos > upto or is_hidden(event, asked.ignored):
            continue
        if event.sender == asked.user_id:
            if event.state_key is None:
                found.append((event, await _thread_of(reader, room, event), push.QUIET))
            continue
        facts = facts or push.facts_of(room, asked.user_id)
        told = {**_decoder.decode(event.body), "room_id": room.room_id}
        verdict = push.evaluate(rules, told, facts, asked.user_id)
        if verdict.notify:
            found.append((event, await _thread_of(reader, room, event), verdict))
    return found


async def _thread_of(reader: "Reader", room: Room, event: Event) -> str | None:
    """The root of the thread an event is in, None outside threads. What answers a poll in a thread is in the thread."""
    if event.relates_to is None or event.rel_type == "m.thread":
        return event.relates_to
    target = Target(event.event_id, event.pos, event.relates_to, event.rel_type)
    thread = await receipts.thread_of(await reader(), room.room_id, target)
    return None if thread == receipts.MAIN else thread
