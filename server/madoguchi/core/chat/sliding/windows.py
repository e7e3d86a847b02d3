"""Which rooms a request is about: the user's rooms, sorted by what happened last, through its lists and subscriptions.

The list of rooms is kept with the user's inbox and carried on from there, so that a woken request needs no database.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi.core.chat.inbox import Inbox
from madoguchi.core.chat.room_cache import Room, content_of
from madoguchi.core.chat.sliding.asked import Config, Filters, SlidingAsked
from madoguchi.core.chat.sliding.sent import Sent
from madoguchi.core.chat.sync.asked import Asked, Reader
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import account_data
from madoguchi.storage.rooms import Fact, list_facts

if TYPE_CHECKING:
    from madoguchi.context import Context

_objects = msgspec.json.Decoder(dict[str, Any])
_NONE: frozenset[str] = frozenset()


class Known(msgspec.Struct):
    """The user's rooms as of a position of their inbox, which are direct messages, and their tags (None: not read
    yet)."""

    upto: int
    facts: dict[RoomID, Fact]
    direct: frozenset[RoomID] | None = None
    tags: dict[RoomID, frozenset[str]] | None = None


class Look(msgspec.Struct):
    """What a request looks at. wanted: rooms with what to send of them; lists: by room, the lists it stands in;
    counts: the length of each list."""

    wanted: dict[RoomID, Config]
    lists: dict[RoomID, list[str]]
    counts: dict[str, int]


async def known_rooms(
    ctx: "Context", reader: Reader, asked: Asked, request: SlidingAsked, inbox: Inbox, upto: int
) -> Known:
    """The user's rooms, up to date."""
    # Who begins anew has all looked up: what they have forgotten in the meantime is announced to nobody.
    known: Known | None = inbox.memo.get("windows") if asked.since is not None else None
    news = inbox.since(known.upto) if known is not None else None
    if known is None or news is None:
        known = inbox.memo["windows"] = Known(
            upto, {fact.room_id: fact for fact in await list_facts(await reader(), asked.user_id)}
        )
    elif news:
        touched = sorted({key for _, kind, key in news if kind == "event"})
        for room in (await ctx.rooms.get_many(touched)).values():
            _carry_on(known, room, asked.user_id)
        if any(kind == "account_data" for _, kind, _ in news):
            known.direct = known.tags = None
    known.upto = max(known.upto, upto)
    # As of now: while this waits, another request of the same user may take the list further.
    mine = msgspec.structs.replace(known)
    if mine.direct is None:
        raw = await account_data.get_account_data(await reader(), asked.user_id, None, "m.direct")
        rooms = [each for each in _objects.decode(raw or b"{}").values() if isinstance(each, list)]
        mine.direct = frozenset(room for each in rooms for room in each if isinstance(room, str))
    if mine.tags is None and any(each.filters.of_tags for each in request.lists.values()):
        mine.tags = await _tags(reader, asked.user_id)
    if known.upto == mine.upto:
        known.direct, known.tags = mine.direct, mine.tags
    return mine


def _carry_on(known: Known, room: Room, user_id: UserID) -> None:
    own = room.state.get(("m.room.member", user_id))
    if own is None:
        return
    before = known.facts.get(room.room_id)
    membership = room.members.get(user_id, "leave")
    known.facts[room.room_id] = Fact(
        room_id=room.room_id,
        membership=membership,
        own=own.pos,
        sender=own.sender,
        was_in=membership == "join" or (before is not None and (before.was_in or before.membership == "join")),
        removed=membership == "ban" or (membership == "leave" and own.sender != user_id),
        head=room.head,
        encrypted=room.encrypted,
        type=(room.content("m.room.create") or {}).get("type"),
    )


async def look(ctx: "Context", asked: Asked, request: SlidingAsked, sent: Sent, known: Known) -> Look:
    """The rooms in the windows of the request's lists, and those it subscribes to."""
    seen = [
        fact
        for fact in known.facts.values()
        if fact.membership in ("join", "knock")
        or (fact.membership == "invite" and fact.sender not in asked.ignored)
        # Who left knows it; who was removed may not. Both are told once, where the room had been shown.
        or fact.room_id in sent.rooms
        or (fact.removed and fact.was_in)
    ]
    seen.sort(key=lambda fact: fact.head if fact.membership == "join" else fact.own, reverse=True)
    found = Look({}, {}, {})
    for name, each in request.lists.items():
        place = 0
        passes = await _filter(ctx, each.filters, known)
        for fact in seen:
            if not passes(fact):
                continue
            if each.has(place):
                config = found.wanted.get(fact.room_id)
                found.wanted[fact.room_id] = each.config if config is None else config.joined(each.config)
                found.lists.setdefault(fact.room_id, []).append(name)
            place += 1
        found.counts[name] = place
    mine = {fact.room_id for fact in seen}
    for room_id, config in request.subscriptions.items():
        own = known.facts.get(room_id)
        # Whom a room is shown for the asking: those who were in it, up to the moment when they left.
        if room_id in mine or (own is not None and own.was_in):
            known_config = found.wanted.get(room_id)
            found.wanted[room_id] = config if known_config is None else known_config.joined(config)
    return found


async def _tags(reader: Reader, user_id: UserID) -> dict[RoomID, frozenset[str]]:
    tags: dict[RoomID, frozenset[str]] = {}
    for room_id, content in await account_data.list_of_rooms(await reader(), user_id, "m.tag"):
        found = _objects.decode(content).get("tags")
        tags[room_id] = frozenset(found) if isinstance(found, dict) else frozenset()
    return tags


async def _filter(ctx: "Context", wants: Filters, known: Known) -> Callable[[Fact], bool]:
    tags = known.tags or {}
    inside: set[RoomID] | None = None
    if wants.spaces is not None:
        joined = [
            room_id
            for room_id in wants.spaces
            if (f := known.facts.get(room_id)) is not None and f.membership == "join"
        ]
        spaces = await ctx.rooms.get_many(joined)
        inside = {
            key
            for space in spaces.values()
            for (type_, key), event in space.state.items()
            if type_ == "m.space.child" and content_of(event).get("via")
        }

    def passes(fact: Fact) -> bool:
        return not (
            (wants.is_dm is not None and (fact.room_id in (known.direct or ())) != wants.is_dm)
            or (wants.is_encrypted is not None and fact.encrypted != wants.is_encrypted)
            or (wants.is_invited is not None and (fact.membership == "invite") != wants.is_invited)
            or (wants.room_types is not None and fact.type not in wants.room_types)
            or (wants.not_room_types is not None and fact.type in wants.not_room_types)
            or (wants.tags is not None and tags.get(fact.room_id, _NONE).isdisjoint(wants.tags))
            or (wants.not_tags is not None and not tags.get(fact.room_id, _NONE).isdisjoint(wants.not_tags))
            or (inside is not None and fact.room_id not in inside)
        )

    return passes
