"""What of the stream concerns an application service, as the body of one transaction ("Pushing events").

Which events: those of rooms in its namespaces (by id or alias), those of rooms that one of its people is in at that
point of the stream, and the membership events of its people. A desk's room is entered by nobody's regular expression:
of it the application service has what an account that it made itself was there for, which is ciphertext.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from madoguchi.core.chat import events as chat_events
from madoguchi.core.chat import receipts
from madoguchi.core.chat.registrations import KINDS, AppService
from madoguchi.core.chat.room_cache import content_of
from madoguchi.core.chat.typing import Typing
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import appservices as stored
from madoguchi.storage import events as stored_events
from madoguchi.storage import keys
from madoguchi.storage import receipts as stored_receipts
from madoguchi.storage.appservices import Mark
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Event

# One transaction, and one look at what may become one. Bridges take 1 MiB by default, and what has two names (a stable
# and an older one) stands twice in it.
MOST_EVENTS = 100
MOST_EVENT_BYTES = 384 * 1024
MOST_MESSAGES = 50
MOST_MESSAGE_BYTES = 160 * 1024
MOST_DEVICES = 200
_Thing = TypeVar("_Thing")


class Heard(msgspec.Struct):
    """What the announcements since the last look were about, so that nobody looks in vain.

    everything: that is not known, after a start or a lost connection
    typing, receipts: the rooms where somebody typed or read; keys: whose key counts changed
    """

    everything: bool = True
    kinds: set[str] = msgspec.field(default_factory=set)
    typing: set[RoomID] = msgspec.field(default_factory=set)
    receipts: set[RoomID] = msgspec.field(default_factory=set)
    keys: set[UserID] = msgspec.field(default_factory=set)

    def of(self, kind: str) -> bool:
        """Whether there may be news of a kind."""
        return self.everything or kind in self.kinds


class Found(msgspec.Struct, frozen=True):
    """body: of the transaction, None if nothing up to `pos` and `mark` concerns the application service; more: whether
    messages wait after `mark`."""

    pos: int
    mark: Mark
    body: bytes | None = None
    more: bool = False


async def look(tx: Tx, service: AppService, typing: Typing, heard: Heard, after: int, mark: Mark, upto: int) -> Found:
    """Reads on in (after, upto], and from `mark` on for messages to devices, as far as one transaction goes."""
    events = await stored_events.list_first_after(tx, after, upto, MOST_EVENTS + 1) if heard.of("event") else []
    fitting = _fitting(events, MOST_EVENTS, MOST_EVENT_BYTES, lambda event: len(event.body) + len(event.unsigned))
    reached = upto if len(fitting) == len(events) else fitting[-1].pos
    waiting: list[stored.Message] = []
    if service.hears_devices and heard.of("to_device"):
        waiting = await stored.list_to_device(tx, service.id, mark, upto, MOST_MESSAGES + 1)
    messages = _fitting(waiting, MOST_MESSAGES, MOST_MESSAGE_BYTES, lambda message: len(message.message))
    if messages:
        mark = Mark(messages[-1].pos, messages[-1].user_id, messages[-1].device_id)
    present = _People(service)
    await present.read(tx, {event.room_id for event in fitting})
    told = await present.events(tx, fitting)
    body: dict[str, Any] = {"events": [msgspec.Raw(chat_events.render(event)) for event in told]}
    news = bool(told)
    if service.receive_ephemeral:
        ephemeral = await _receipts(tx, service, heard, after, reached)
        if reached == upto:
            ephemeral += await _typing(tx, service, heard, typing)
        if ephemeral:
            body["ephemeral"] = body["de.sorunome.msc2409.ephemeral"] = ephemeral
        news = news or bool(ephemeral)
    if messages:
        body["to_device"] = body["de.sorunome.msc2409.to_device"] = [_addressed(message) for message in messages]
        news = True
    if service.msc3202:
        concerned = {message.user_id for message in messages} | present.own_in({event.room_id for event in told})
        changes = await _device_lists(tx, service, heard, after, reached)
        counts = await _key_counts(tx, service, concerned, heard if reached == upto else Heard(everything=False))
        news = news or any(changes.values()) or counts.is_news
        body["device_lists"] = body["org.matrix.msc3202.device_lists"] = changes
        for name, value in (("one_time_keys_count", counts.left), ("unused_fallback_key_types", counts.unused)):
            body[f"device_{name}"] = body[f"org.matrix.msc3202.device_{name}"] = value
    return Found(reached, mark, msgspec.json.encode(body) if news else None, len(messages) < len(waiting))


def _fitting(things: Sequence[_Thing], most: int, most_bytes: int, size_of: Callable[[_Thing], int]) -> list[_Thing]:
    """The first of the things, one at least, as many as go into a transaction."""
    size = 0
    for number, thing in enumerate(things):
        size += size_of(thing)
        if number == most or (number and size > most_bytes):
            return list(things[:number])
    return list(things)


class _People:
    """Who of an application service's people is in some rooms."""

    def __init__(self, service: AppService) -> None:
        self._service = service
        self._facts: dict[RoomID, stored.RoomFacts] = {}
        self._there: dict[RoomID, list[stored.Presence]] = {}

    async def read(self, tx: Tx, room_ids: Collection[RoomID]) -> None:
        if not room_ids:
            return
        rooms = sorted(room_ids)
        self._facts = {facts.room_id: facts for facts in await stored.list_room_facts(tx, rooms)}
        for person in await stored.list_present(tx, self._service.id, rooms, KINDS):
            facts = self._facts.get(person.room_id)
            mine = facts is not None and (person.own or facts.kind == "plain")
            if mine and self._service.speaks_for(person.user_id):
                self._there.setdefault(person.room_id, []).append(person)

    def own_in(self, room_ids: Iterable[RoomID]) -> set[UserID]:
        """Its own users in these rooms."""
        there = (person for room_id in room_ids for person in self._there.get(room_id, ()))
        return {person.user_id for person in there if person.own and person.membership == "join"}

    def is_followed(self, room_id: RoomID) -> bool:
        """Whether the room itself is in the namespaces."""
        facts = self._facts.get(room_id)
        return facts is not None and facts.kind == "plain" and self._service.follows(room_id, facts.aliases)

    def is_in(self, room_id: RoomID) -> bool:
        """Whether one of them is in the room now."""
        return any(person.membership == "join" for person in self._there.get(room_id, ()))

    async def events(self, tx: Tx, events: Sequence[Event]) -> list[Event]:
        """Those of the events that concern the application service."""
        stays: dict[RoomID, list[tuple[int, int]]] = {}
        for room_id, there in self._there.items():
            stays[room_id] = [stay for person in there for stay in await self._stays(tx, person, events[0].pos)]
        names = {(person.room_id, person.user_id) for there in self._there.values() for person in there}
        return [
            event
            for event in events
            if self.is_followed(event.room_id)
            or any(come <= event.pos <= gone for come, gone in stays.get(event.room_id, ()))
            or (event.type == "m.room.member" and (event.room_id, event.state_key) in names)
        ]

    async def _stays(self, tx: Tx, person: stored.Presence, since: int) -> list[tuple[int, int]]:
        """From where to where in the stream they were in the room, as far as it reaches beyond a position."""
        forever = 2**63
        if person.pos <= since:
            return [(person.pos, forever)] if person.membership == "join" else []
        stays: list[tuple[int, int]] = []
        come: int | None = None
        for event in await stored_events.list_history_of(tx, person.room_id, "m.room.member", person.user_id):
            joined = content_of(event).get("membership") == "join"
            if joined and come is None:
                come = event.pos
            elif not joined and come is not None:
                stays.append((come, event.pos))
                come = None
        return stays if come is None else [*stays, (come, forever)]


async def _entered(tx: Tx, service: AppService, room_ids: Collection[RoomID]) -> list[RoomID]:
    people = _People(service)
    await people.read(tx, room_ids)
    return sorted(room for room in room_ids if people.is_in(room) or people.is_followed(room))


async def _receipts(tx: Tx, service: AppService, heard: Heard, after: int, upto: int) -> list[dict[str, Any]]:
    if not heard.of("receipt"):
        return []
    rooms = await stored.list_own_rooms(tx, service.id) if heard.everything else heard.receipts
    entered = await _entered(tx, service, rooms)
    told: dict[RoomID, dict[str, Any]] = {}
    for receipt in await stored_receipts.list_receipts(tx, entered, after, upto) if entered else ():
        # A private one is nobody's business but its user's.
        if receipt.receipt_type == receipts.READ:
            content: dict[str, Any] = told.setdefault(receipt.room_id, {})
            read = {"ts": receipt.ts} | ({} if receipt.thread_id is None else {"thread_id": receipt.thread_id})
            content.setdefault(receipt.event_id, {}).setdefault(receipts.READ, {})[receipt.user_id] = read
    return [{"type": "m.receipt", "room_id": room_id, "content": content} for room_id, content in told.items()]


async def _typing(tx: Tx, service: AppService, heard: Heard, typing: Typing) -> list[dict[str, Any]]:
    entered = await _entered(tx, service, heard.typing) if heard.typing else []
    return [{"type": "m.typing", "room_id": room, "content": {"user_ids": typing.users(room)}} for room in entered]


def _addressed(message: stored.Message) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.json.decode(message.message)
    return {**content, "to_user_id": message.user_id, "to_device_id": message.device_id}


async def _device_lists(tx: Tx, service: AppService, heard: Heard, after: int, upto: int) -> dict[str, list[UserID]]:
    if not heard.of("devices"):
        return {"changed": [], "left": []}
    changed = await stored.list_changed_devices(tx, service.id, after, upto)
    return {"changed": changed, "left": await stored.list_parted(tx, service.id, after)}


class _Counts(msgspec.Struct):
    """By user id and device id: how many one-time keys are left, which fallback keys nobody was given yet."""

    left: dict[UserID, dict[str, dict[str, int]]]
    unused: dict[UserID, dict[str, list[str]]]
    is_news: bool


async def _key_counts(tx: Tx, service: AppService, concerned: set[UserID], heard: Heard) -> _Counts:
    wanted = None if heard.everything else sorted(concerned | heard.keys)
    counts = _Counts({}, {}, False)
    if wanted == []:
        return counts
    for user_id, device_id in await stored.list_own_devices(tx, service.id, wanted, MOST_DEVICES):
        left = await keys.count_one_time_keys(tx, user_id, device_id)
        counts.left.setdefault(user_id, {})[device_id] = left
        unused = await keys.list_unused_fallback_types(tx, user_id, device_id)
        counts.unused.setdefault(user_id, {})[device_id] = unused
        counts.is_news = counts.is_news or heard.everything or user_id in heard.keys
    return counts
