"""Whom new events are pushed to, and what a gateway is told (Push Gateway API).

A gateway belongs to somebody else, and what it passes on lies on a screen: of a desk's room it learns that something
has happened, never what or who, whatever the pusher asks for.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from madoguchi.core.chat import push, web_push
from madoguchi.core.chat.ignoring import ignored_by, is_hidden
from madoguchi.core.chat.room_cache import Room, Rooms, content_of
from madoguchi.ids import UserID
from madoguchi.storage import events as stored_events
from madoguchi.storage import notifications as stored_notifications
from madoguchi.storage import pushes
from madoguchi.storage.db import Database, Tx
from madoguchi.storage.events import Event
from madoguchi.storage.push import Pusher
from madoguchi.storage.pushes import Due, Push

Json = dict[str, Any]
NOTIFY_PATH = "/_matrix/push/v1/notify"
_EVENTS_AT_ONCE = 500
_LOOKED_AT = 300
_NEWEST = 2**62
_decoder = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode


def origin_of(url: str) -> str | None:
    """Scheme, host and port of a gateway's address; None for what is no address of a gateway."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.path != NOTIFY_PATH or parts.username:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")


async def look(db: Database, tx: Tx, after: int, upto: int) -> tuple[list[Due], int]:
    """(what is to be pushed, up to where it has been looked) for a part of (after, upto]."""
    events = await stored_events.list_first_after(tx, after, upto, _EVENTS_AT_ONCE)
    end = events[-1].pos if len(events) == _EVENTS_AT_ONCE else upto
    watchers: dict[str, list[UserID]] = {}
    for room_id, user_id in await pushes.list_watchers(tx, sorted({event.room_id for event in events})):
        watchers.setdefault(room_id, []).append(user_id)
    # Read afresh each time: nobody tells this process what changes in a room.
    rooms = await Rooms(db).get_many(sorted(watchers))
    found: dict[tuple[UserID, str], Due] = {}
    ignored: dict[UserID, frozenset[UserID]] = {}
    for event in events:
        room = rooms.get(event.room_id)
        for user_id in watchers.get(event.room_id, ()) if room is not None else ():
            assert room is not None
            if not _concerns(room, event, user_id):
                continue
            if user_id not in ignored:
                ignored[user_id] = await ignored_by(tx, user_id)
            if is_hidden(event, ignored[user_id]):
                continue
            told = {**_decoder.decode(event.body), "room_id": event.room_id}
            actions = push.actions_of(await push.rules_of(tx, user_id), told, push.facts_of(room, user_id), user_id)
            if push.verdict_of(actions).notify:
                tweaks = _encode(_tweaks(actions)).decode()
                found[user_id, event.room_id] = Due(user_id, event.room_id, event.event_id, event.pos, tweaks)
            elif event.state_key != user_id and await _comes_in(tx, room, event):
                # In their browser, where nothing is shown but that; a client of their own goes by its rules.
                due = Due(user_id, event.room_id, event.event_id, event.pos, "{}", only_app=web_push.APP_ID)
                found.setdefault((user_id, event.room_id), due)
    readers = [Due(user_id, "", None, end, "{}") for user_id in await pushes.list_readers(tx, after, end)]
    return [*found.values(), *readers], end


async def _comes_in(tx: Tx, room: Room, event: Event) -> bool:
    """Whether somebody comes into a case's room with this: who waits for that, and has left the page, wants to know."""
    if room.kind != "case" or event.type != "m.room.member" or content_of(event).get("membership") != "join":
        return False
    before = event.replaces and await stored_events.get_event(tx, event.room_id, event.replaces)
    # Who was in has only changed their name.
    return not before or content_of(before).get("membership") != "join"


def _concerns(room: Room, event: Event, user_id: UserID) -> bool:
    if room.members.get(user_id) == "join":
        return event.pos > room.member_pos(user_id) or event.state_key is None
    # Of the invited only the invitation itself is known.
    return event.type == "m.room.member" and event.state_key == user_id


def _tweaks(actions: Sequence[push.Action]) -> Json:
    return {
        str(action["set_tweak"]): action.get("value", True)
        for action in actions
        if isinstance(action, dict) and "set_tweak" in action
    }


async def unread_rooms(db: Database, tx: Tx, user_id: UserID) -> int:
    """In how many rooms something waits for the user to be read that they would be told of."""
    events = await stored_notifications.list_events_of_others(tx, user_id, _NEWEST, _LOOKED_AT)
    room_ids = sorted({event.room_id for event in events})
    rooms = await Rooms(db).get_many(room_ids)
    read = await stored_notifications.list_read(tx, user_id, room_ids, events[-1].pos if events else 0)
    rules = await push.rules_of(tx, user_id)
    ignored = await ignored_by(tx, user_id)
    unread: set[str] = set()
    for event in events:
        room = rooms.get(event.room_id)
        if room is None or event.room_id in unread or is_hidden(event, ignored):
            continue
        thread = event.relates_to if event.rel_type == "m.thread" and event.relates_to else "main"
        if event.pos <= max(read.get((event.room_id, ""), 0), read.get((event.room_id, thread), 0)):
            continue
        told = {**_decoder.decode(event.body), "room_id": event.room_id}
        if push.evaluate(rules, told, push.facts_of(room, user_id), user_id).notify:
            unread.add(event.room_id)
    return len(unread)


async def notification(db: Database, tx: Tx, due: Push) -> Json | None:
    """The body for the gateway ("POST /_matrix/push/v1/notify"); None if there is nothing to tell any more."""
    told: Json = {"counts": {"unread": await unread_rooms(db, tx, due.user_id)}, "prio": "low"}
    device: Json = {"app_id": due.pusher.app_id, "pushkey": due.pusher.pushkey}
    device["data"] = {key: value for key, value in due.pusher.data.items() if key != "url"}
    if due.event_id is not None:
        rooms = await Rooms(db).get_many([due.room_id])
        room = rooms.get(due.room_id)
        event = await stored_events.get_event(tx, due.room_id, due.event_id)
        if room is None or event is None:
            return None
        told |= {"event_id": event.event_id, "room_id": event.room_id, "prio": "high"}
        if room.kind == "plain" and due.pusher.data.get("format") != "event_id_only":
            told |= _in_full(room, event, due.user_id)
            device["tweaks"] = msgspec.json.decode(due.tweaks)
    told["devices"] = [device]
    return {"notification": told}


def _in_full(room: Room, event: Event, user_id: UserID) -> Json:
    """What the full format says of an event of a room that is not the desk's; of one that is encrypted no content."""

    def text(type_: str, key: str) -> str | None:
        found = (room.content(type_) or {}).get(key)
        return found if isinstance(found, str) else None

    told: Json = {
        "type": event.type,
        "sender": event.sender,
        "sender_display_name": room.member_content(event.sender).get("displayname"),
        "room_name": text("m.room.name", "name"),
        "room_alias": text("m.room.canonical_alias", "alias"),
    }
    if event.type != "m.room.encrypted":
        told["content"] = content_of(event)
    if event.type == "m.room.member":
        told["user_is_target"] = event.state_key == user_id
        told["membership"] = content_of(event).get("membership")
    return {key: value for key, value in told.items() if value is not None}


def rejected(answer: Mapping[str, Any], pusher: Pusher) -> bool:
    """Whether a gateway says that a push key is no longer good."""
    keys = answer.get("rejected")
    return isinstance(keys, list) and pusher.pushkey in keys
