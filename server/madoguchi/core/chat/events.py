"""Making events: what is checked, how they get their id, and how state changes enter a room.

Messages go through the writer (`writer.py`). State events and redactions are rarer and decide what others may do, so
they are judged and stored in a transaction that holds the stream: nothing can change between the look and the deed.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import auth_rules, room_versions
from madoguchi.core.chat.room_cache import content_of
from madoguchi.core.chat.room_versions import hashes
from madoguchi.ids import EventID, RoomID, UserID
from madoguchi.storage import events as stored_events
from madoguchi.storage import profiles, stream
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Event, Membership

if TYPE_CHECKING:
    from madoguchi.context import Context

_encode = msgspec.json.Encoder().encode

# "Size limits": an event with everything a federation would add may have 65,536 bytes; ids and hashes take the rest.
MOST_BYTES = 65_536
_ENVELOPE = 512

# State that decides what others may do, and what a stripped invite shows.
AUTH_TYPES = ("m.room.create", "m.room.power_levels", "m.room.join_rules")

# What may be sent in clear into an encrypted room of the desk: none of it says anything about the matter.
CLEAR_TYPES = frozenset(("m.room.encrypted", "m.room.redaction"))
MEGOLM = "m.megolm.v1.aes-sha2"
# Beside a ciphertext: what is inside changes another message (a reaction, a correction). Nobody is called for it, and
# nobody waits for an answer to it. What it changes, and how, stands inside.
QUIET = "jp.madoguchi.quiet"
# What a message in clear would have beside its ciphertext.
_WORDS = frozenset(("msgtype", "body", "formatted_body", "m.new_content"))


def build(
    version: room_versions.RoomVersion,
    room_id: RoomID,
    sender: UserID,
    type_: str,
    content: Mapping[str, Any],
    at: int,
    *,
    nonce: str,
    state_key: str | None = None,
    redacts: EventID | None = None,
    device_id: str | None = None,
    txn_id: str | None = None,
) -> Event:
    """A new event without a position. `at`: milliseconds; `nonce` tells it from an equal one.

    Raises BadJson where the content is no canonical JSON, TooLarge beyond the specification's size limits.
    """
    hashes.check_canonical(content)
    for name, value in (("type", type_), ("state_key", state_key), ("sender", sender)):
        if value is not None and len(value.encode("utf-8", "surrogatepass")) > 255:
            raise errors.TooLarge(f"The {name} of an event can have 255 bytes.")
    shown: dict[str, Any] = {"type": type_, "sender": sender, "content": content, "origin_server_ts": at}
    if state_key is not None:
        shown["state_key"] = state_key
    if redacts is not None:
        shown["redacts"] = redacts
    try:
        event_id = hashes.event_id(version, hashed_form(version, room_id, shown, nonce))
    except (UnicodeEncodeError, msgspec.EncodeError):
        raise errors.BadJson("The event is not valid UTF-8.") from None
    shown["event_id"] = event_id
    body = _encode(shown)
    if len(body) + _ENVELOPE > MOST_BYTES:
        raise errors.TooLarge("The event is larger than 65,536 bytes.")
    related, rel_type = relation_of(content)
    return Event(
        pos=0,
        room_id=room_id,
        event_id=event_id,
        type=type_,
        sender=sender,
        at=at,
        body=body,
        state_key=state_key,
        device_id=device_id,
        txn_id=txn_id,
        relates_to=related,
        rel_type=rel_type,
        nonce=nonce,
    )


def hashed_form(
    version: room_versions.RoomVersion, room_id: RoomID, shown: Mapping[str, Any], nonce: str | None
) -> dict[str, Any]:
    """An event as it is hashed, of the event as clients see it, without `unsigned`."""
    form = {key: shown[key] for key in shown if key != "event_id"}
    if not (version.privileges_creators and shown["type"] == "m.room.create"):
        # A room whose id follows from its create event has none before.
        form["room_id"] = room_id
    if nonce is not None:
        form["nonce"] = nonce
    return form


def is_closed(type_: str, content: Mapping[str, Any]) -> bool:
    """Whether a message may stand in a desk's room: nothing that its sender forgot to encrypt, however it is called."""
    if type_ != "m.room.encrypted":
        return type_ in CLEAR_TYPES
    ciphertext = content.get("ciphertext")
    closed = content.get("algorithm") == MEGOLM and isinstance(ciphertext, str) and ciphertext != ""
    return closed and _WORDS.isdisjoint(content)


def relation_of(content: Mapping[str, Any]) -> tuple[EventID | None, str | None]:
    """What an event's content says it relates to: (event id, rel_type), or (None, None) ("Forming relationships")."""
    relates = content.get("m.relates_to")
    if isinstance(relates, Mapping):
        event_id, rel_type = relates.get("event_id"), relates.get("rel_type")
        if isinstance(event_id, str) and isinstance(rel_type, str) and "\0" not in event_id + rel_type:
            # Nothing longer is an event id, and an index would not take it.
            return (event_id, rel_type) if max(len(event_id), len(rel_type)) <= 255 else (None, None)
    return None, None


class Standing:
    """What decides a request about a room, read while the stream is held: so it stays true until the commit."""

    def __init__(self, room: stored_rooms.Room, state: Sequence[Event]) -> None:
        self.room = room
        self.version = room_versions.of(room.version)
        self._events = {(event.type, event.state_key or ""): event for event in state}

    def event(self, type_: str, state_key: str = "") -> Event | None:
        return self._events.get((type_, state_key))

    def content(self, type_: str, state_key: str = "") -> Mapping[str, Any] | None:
        event = self._events.get((type_, state_key))
        return content_of(event) if event is not None else None

    def membership(self, user_id: UserID) -> str:
        return auth_rules.membership_of(self.content, user_id)

    def check(self, sender: UserID, type_: str, state_key: str | None, content: Mapping[str, Any]) -> None:
        """Raises NotAllowed unless `sender` may send this."""
        auth_rules.check_event(self.version, self.content, self.room.creator, sender, type_, state_key, content)


async def standing(tx: Tx, room_id: RoomID, members: Sequence[UserID], types: Sequence[str] = ()) -> Standing:
    """Holds the stream and reads what decides about a room. Raises NotAllowed for a room that does not exist: whoever
    is not in a room learns nothing of it."""
    await stream.lock(tx)
    room = await stored_rooms.get_room(tx, room_id)
    if room is None:
        raise errors.NotAllowed("You are not in this room.")
    return Standing(room, await stored_events.list_some_state(tx, room_id, [*AUTH_TYPES, *types], members))


def _unsigned_for(previous: Event | None) -> bytes:
    if previous is None:
        return b""
    return _encode(
        {
            "prev_content": content_of(previous),
            "prev_sender": previous.sender,
            "replaces_state": previous.event_id,
        }
    )


def build_state(
    ctx: "Context", stands: Standing, sender: UserID, type_: str, state_key: str, content: Mapping[str, Any]
) -> Event:
    """A new state event without a position, which remembers what it replaces of the state that `stands`."""
    previous = stands.event(type_, state_key)
    event = build(
        stands.version, stands.room.room_id, sender, type_, content, ctx.clock.ms(),
        nonce=ctx.writer.nonce(), state_key=state_key,
    )  # fmt: skip
    return msgspec.structs.replace(
        event, replaces=previous.event_id if previous else None, unsigned=_unsigned_for(previous)
    )


async def put_state(
    ctx: "Context",
    tx: Tx,
    stands: Standing,
    sender: UserID,
    type_: str,
    state_key: str,
    content: Mapping[str, Any],
    *notes: stream.Note,
) -> Event:
    """Stores a state event that has been judged. The caller holds the stream (`standing`)."""
    event = build_state(ctx, stands, sender, type_, state_key, content)
    memberships = []
    if type_ == "m.room.member":
        memberships.append(Membership(event.room_id, state_key, str(content["membership"]), sender, event.event_id))
    [placed] = await stored_events.append(tx, [event], memberships, *notes)
    return placed


async def send_state(
    ctx: "Context",
    tx: Tx,
    room_id: RoomID,
    sender: UserID,
    type_: str,
    state_key: str,
    content: Mapping[str, Any],
) -> EventID:
    """Sets a piece of state that is no membership (those: `membership.py`). The same content again by the same sender
    is answered with the event that stands. Raises NotAllowed, BadJson, BadAlias, TooLarge."""
    stands = await standing(tx, room_id, [sender], [type_])
    if state_key and type_ not in AUTH_TYPES:
        found = await stored_events.list_state_at(tx, room_id, 2**62, type_, state_key)
        stands = Standing(stands.room, [*stands._events.values(), *found])
    stands.check(sender, type_, state_key, content)
    if stands.room.kind != "plain" and sender != stands.room.creator:
        # State is never encrypted: only the desk itself, as keeper, says something by it.
        raise errors.NotAllowed("This room only takes encrypted messages.")
    await _check_meaning(tx, stands, type_, content)
    present = stands.event(type_, state_key)
    if present is not None and present.sender == sender and content_of(present) == content:
        return present.event_id
    return (await put_state(ctx, tx, stands, sender, type_, state_key, content)).event_id


async def _check_meaning(tx: Tx, stands: Standing, type_: str, content: Mapping[str, Any]) -> None:
    if type_ == "m.room.encryption" and stands.event(type_) is not None:
        raise errors.NotAllowed("The encryption of a room can't be changed.")
    if type_ == "m.room.canonical_alias":
        named = [content.get("alias"), *(content.get("alt_aliases") or [])]
        for alias in filter(None, named):
            if not isinstance(alias, str):
                raise errors.BadJson("An alias must be a string.")
            pointing = await stored_rooms.get_alias(tx, alias)
            if pointing is None or pointing[0] != stands.room.room_id:
                raise errors.BadAlias("The alias does not point at this room.")
    opened = type_ == "m.room.history_visibility" and content.get("history_visibility") != "shared"
    if opened and stands.room.kind != "plain":
        raise errors.NotAllowed("The history of a desk's room stays with those who are in it.")


async def redact(
    ctx: "Context",
    tx: Tx,
    room_id: RoomID,
    sender: UserID,
    target_id: EventID,
    reason: str | None,
    device_id: str,
    txn_id: str,
) -> EventID:
    """Takes an event's content away ("Redactions"): own events, or others' with the power level `redact`.

    Idempotent by device and transaction id. Raises NotFound where there is no such event in the room, NotAllowed.
    """
    scope = f"{room_id} redact {target_id}"
    stands = await standing(tx, room_id, [sender])
    known = await stored_events.get_transaction(tx, sender, device_id, scope, txn_id)
    if known is not None:
        return known
    # A reason is content, and a redaction is not encrypted.
    content: dict[str, Any] = {"reason": reason} if reason is not None and stands.room.kind == "plain" else {}
    in_content = stands.version.redacts_in_content
    if in_content:
        content["redacts"] = target_id
    stands.check(sender, "m.room.redaction", None, content)
    target = await stored_events.get_event(tx, room_id, target_id)
    if target is None:
        raise errors.NotFound("There is no such event in this room.")
    if target.state_key is not None and stands.room.kind != "plain" and sender != stands.room.creator:
        # Redacted, m.room.encryption names no algorithm any more.
        raise errors.NotAllowed("What makes up a desk's room is not taken back.")
    if target.sender != sender:
        level = auth_rules.level_of(stands.version, stands.content, stands.room.creator, sender)
        if level < auth_rules.action_level(stands.content, "redact"):
            raise errors.NotAllowed("You can only take back what you have said yourself.")
    said = msgspec.json.decode(target.body)
    if said["content"].get(QUIET) is True:
        # Without its content nobody could tell it from a message that has been taken back.
        content[QUIET] = True
    redaction = build(
        stands.version, room_id, sender, "m.room.redaction", content, ctx.clock.ms(),
        nonce=ctx.writer.nonce(), redacts=target_id, device_id=device_id, txn_id=txn_id,
    )  # fmt: skip
    left = stands.version.redacted(said)
    nonce = await stored_events.get_nonce(tx, target_id)
    form = hashed_form(stands.version, room_id, said, nonce)
    hashed = hashes.content_hash(form) if nonce is not None else None
    [placed] = await stored_events.append(tx, [redaction], [])
    because = {"redacted_because": {**msgspec.json.decode(placed.body), "room_id": room_id}}
    await stored_events.redact(tx, target_id, _encode(left), _encode(because), hashed)
    await stored_events.insert_transaction(tx, sender, device_id, scope, txn_id, placed.event_id, placed.at)
    return placed.event_id


def render(
    event: Event,
    *,
    device: tuple[UserID, str] | None = None,
    room_id: bool = True,
    more: bytes = b"",
    membership: str = "",
) -> bytes:
    """An event as JSON for one client.

    device: (user id, device id) of the client, which alone is told its own transaction id
    room_id: whether the room id stands in it; more: further members of `unsigned`, as JSON text without braces
    membership: what the client's user was in the room then (a word that needs no escaping), to be told beside the event
    """
    parts = [event.unsigned[1:-1]] if event.unsigned else []
    if membership:
        parts.append(b'"membership":"' + membership.encode() + b'"')
    if more:
        parts.append(more)
    if device is not None and event.txn_id is not None and device == (event.sender, event.device_id):
        parts.append(b'"transaction_id":' + _encode(event.txn_id))
    tail = b',"unsigned":{' + b",".join(parts) + b"}}" if parts else b"}"
    if room_id:
        tail = b',"room_id":' + _encode(event.room_id) + tail
    return event.body[:-1] + tail


def stripped(event: Event) -> dict[str, Any]:
    """A state event as somebody outside the room may see it ("Stripped state")."""
    return {
        "type": event.type,
        "state_key": event.state_key or "",
        "sender": event.sender,
        "content": content_of(event),
    }


async def member_content(tx: Tx, user_id: UserID, membership: str, reason: str | None = None) -> dict[str, Any]:
    """The content of a membership event, with the profile where it is shown."""
    content: dict[str, Any] = {"membership": membership}
    if membership in ("join", "invite", "knock"):
        profile = await profiles.get_profile(tx, user_id)
        if profile.displayname:
            content["displayname"] = profile.displayname
        if profile.avatar_url:
            content["avatar_url"] = profile.avatar_url
    if reason:
        content["reason"] = reason
    return content
