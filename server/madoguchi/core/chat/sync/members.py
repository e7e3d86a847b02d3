"""Members in a sync answer: how the user came to be one, of whom to tell, whom an unnamed room is called after."""

from collections.abc import Sequence
from typing import Any

import msgspec

from madoguchi.core.chat import history
from madoguchi.core.chat.events import stripped
from madoguchi.core.chat.inbox import Inbox
from madoguchi.core.chat.room_cache import Room, content_of
from madoguchi.core.chat.sync.asked import Asked, Reader
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import events as stored_events
from madoguchi.storage.events import Event

# State that an invitation or a knock shows ("Stripped state").
_STRIPPED = (
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
)


async def own_at(reader: Reader, asked: Asked, room: Room, upto: int) -> Event | None:
    """The user's membership at a position: the room in memory may be ahead of it."""
    own = room.state.get(("m.room.member", asked.user_id))
    if own is None or own.pos <= upto:
        return own
    found = await stored_events.list_state_at(await reader(), room.room_id, upto, "m.room.member", asked.user_id)
    return found[0] if found else None


class Came(msgspec.Struct, frozen=True):
    """How a member came in. newly: they were not joined at the last sync; again: but had been earlier.
    was_away: they were joined at the last sync, and have left and come back since."""

    newly: bool = False
    again: bool = False
    was_away: bool = False


async def came_in(reader: Reader, asked: Asked, room: Room, own: Event) -> Came:
    """How the user came to hold `own`, a membership of somebody joined."""
    if asked.since is None or own.pos <= asked.since:
        return Came()
    past = await stored_events.list_history_of(await reader(), room.room_id, "m.room.member", asked.user_id)
    was = [content_of(event).get("membership") == "join" for event in past if event.pos <= asked.since]
    if not was or not was[-1]:
        return Came(newly=True, again=any(was))
    since = [event for event in past if asked.since < event.pos < own.pos]
    return Came(was_away=any(content_of(event).get("membership") != "join" for event in since))


def lazy(
    asked: Asked,
    inbox: Inbox,
    room: Room,
    shown: Sequence[Event],
    state: list[Event],
    heroes: Sequence[UserID],
    whole: bool,
    upto: int,
) -> list[Event]:
    """Leaves out members who say nothing, and adds those who do, or whom the room is called after, and have not been
    sent to this device before. What has changed in a gap is never left out."""
    # By room, the membership events that were sent and with which answer: one that got lost does not count.
    sent: dict[RoomID, dict[str, int]] = inbox.memo.setdefault(("lazy", asked.device_id), {})
    if asked.since is None:
        sent.clear()
    known = sent.setdefault(room.room_id, {})
    if whole:
        known.clear()
    wanted = {*(event.sender for event in shown), *heroes}
    of_all = wanted | {asked.user_id}
    in_timeline = {event.state_key for event in shown if event.type == "m.room.member"}
    kept = [e for e in state if e.type != "m.room.member" or e.state_key in of_all or not whole]
    have = {event.event_id for event in kept}
    for user in sorted(wanted - in_timeline):
        member = room.state.get(("m.room.member", user))
        # What was set after the timeline began is no state from before it.
        if member is None or member.event_id in have or member.pos > upto or (shown and member.pos >= shown[0].pos):
            continue
        redundant = asked.filter.room.state.include_redundant_members
        if redundant or known.get(member.event_id, history.FOREVER) > (asked.since or 0):
            kept.append(member)
    for event in [*kept, *shown]:
        if event.type == "m.room.member":
            known.setdefault(event.event_id, upto)
            known[event.event_id] = min(known[event.event_id], upto)
    return kept


def has_member(events: Sequence[Event]) -> bool:
    return any(event.type == "m.room.member" for event in events)


def summary_of(room: Room, user_id: UserID) -> dict[str, Any]:
    """Counts, and who to name an unnamed room after: up to five others, the first to come first."""
    joined = [user for user, membership in room.members.items() if membership == "join"]
    invited = [user for user, membership in room.members.items() if membership == "invite"]
    summary: dict[str, Any] = {"m.joined_member_count": len(joined), "m.invited_member_count": len(invited)}
    if not (room.content("m.room.name") or {}).get("name"):
        others = [user for user in [*joined, *invited] if user != user_id] or [
            user for user, membership in room.members.items() if membership in ("leave", "ban") and user != user_id
        ]
        others.sort(key=lambda user: room.state["m.room.member", user].pos)
        summary["m.heroes"] = others[:5]
    return summary


def stripped_state(room: Room, own: Event) -> list[dict[str, Any]]:
    shown = [room.state[type_, ""] for type_ in _STRIPPED if (type_, "") in room.state]
    inviter = room.state.get(("m.room.member", own.sender))
    if inviter is not None and own.sender != own.state_key:
        shown.append(inviter)
    return [stripped(event) for event in [*shown, own]]
