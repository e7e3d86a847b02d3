"""Making rooms ("Creation", client-server API), and questions about who shares them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from madoguchi import errors, ids
from madoguchi.core.chat import auth_rules, events, room_versions
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import accounts, stream
from madoguchi.storage import events as stored_events
from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Event, Membership

if TYPE_CHECKING:
    from madoguchi.context import Context

_PRESETS: dict[str, tuple[str, str, str]] = {
    # preset: join rule, history visibility, guest access
    "private_chat": ("invite", "shared", "can_join"),
    "trusted_private_chat": ("invite", "shared", "can_join"),
    "public_chat": ("public", "shared", "forbidden"),
}


class StateEvent(msgspec.Struct):
    """An entry of `initial_state`."""

    type: str
    content: dict[str, Any]
    state_key: str = ""


class CreateRoom(msgspec.Struct, kw_only=True):
    """The body of POST /createRoom."""

    visibility: str = "private"
    room_alias_name: str | None = None
    name: str | None = None
    topic: str | None = None
    invite: Annotated[list[str], msgspec.Meta(max_length=100)] = msgspec.field(default_factory=list)
    invite_3pid: list[dict[str, Any]] = msgspec.field(default_factory=list)
    room_version: str | None = None
    creation_content: dict[str, Any] = msgspec.field(default_factory=dict)
    initial_state: list[StateEvent] = msgspec.field(default_factory=list)
    preset: str | None = None
    is_direct: bool = False
    power_level_content_override: dict[str, Any] = msgspec.field(default_factory=dict)


class Making:
    """A room being made: each event is judged by the state that those before it have made."""

    def __init__(self, ctx: "Context", version: room_versions.RoomVersion, creator: UserID) -> None:
        self.ctx = ctx
        self.version = version
        self.creator = creator
        self.room_id = ""
        self.events: list[Event] = []
        self.memberships: list[Membership] = []
        self._contents: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._ids: dict[tuple[str, str], str] = {}

    def content(self, type_: str, state_key: str) -> Mapping[str, Any] | None:
        return self._contents.get((type_, state_key))

    def create(self, content: Mapping[str, Any]) -> None:
        """The first event; in versions whose room id is its hash, the id follows from it."""
        server_name = self.ctx.settings.server_name
        self.room_id = "" if self.version.privileges_creators else ids.new_room_id(server_name)
        event = self._built("m.room.create", "", content, self.creator)
        if self.version.privileges_creators:
            self.room_id = "!" + event.event_id[1:]
            event = msgspec.structs.replace(event, room_id=self.room_id)
        self._keep(event, content)

    def add(self, type_: str, content: Mapping[str, Any], state_key: str = "", sender: UserID | None = None) -> None:
        """The next event. Raises NotAllowed, BadJson, TooLarge."""
        sender = sender or self.creator
        auth_rules.check_event(self.version, self.content, self.creator, sender, type_, state_key, content)
        self._keep(self._built(type_, state_key, content, sender), content)

    def _built(self, type_: str, state_key: str, content: Mapping[str, Any], sender: UserID) -> Event:
        return events.build(
            self.version, self.room_id, sender, type_, content, self.ctx.clock.ms(),
            nonce=self.ctx.writer.nonce(), state_key=state_key,
        )  # fmt: skip

    def _keep(self, event: Event, content: Mapping[str, Any]) -> None:
        key = (event.type, event.state_key or "")
        event = msgspec.structs.replace(event, replaces=self._ids.get(key))
        self._contents[key] = content
        self._ids[key] = event.event_id
        self.events.append(event)
        if event.type == "m.room.member":
            # The later event of the same user replaces the earlier one: only the last may stay.
            self.memberships = [m for m in self.memberships if m.user_id != key[1]]
            self.memberships.append(
                Membership(self.room_id, key[1], str(content["membership"]), event.sender, event.event_id)
            )


async def create_room(
    ctx: "Context",
    tx: Tx,
    creator: UserID,
    wanted: CreateRoom,
    *,
    joined: Sequence[UserID] = (),
    kind: str = "plain",
    encrypted: bool = False,
    appservice: str | None = None,
) -> RoomID:
    """Makes a room with `creator` in it. Gives its id.

    joined: users who are joined at once, without being asked (for the desk's own rooms); kind: see storage/rooms.py
    encrypted: puts m.room.encryption into the initial state; appservice: the application service that asks
    Raises UnsupportedRoomVersion, BadJson, NotAllowed, RoomInUse (alias taken), Exclusive (alias of somebody else's),
    Invalid (third-party invites), NotFound (invited user unknown).
    """
    version = room_versions.of(wanted.room_version or room_versions.DEFAULT)
    if wanted.invite_3pid:
        raise errors.Invalid("Nobody can be invited by e-mail or telephone here.")
    if wanted.visibility not in ("public", "private"):
        raise errors.Invalid("visibility is public or private.")
    if wanted.visibility == "public":
        check_directory(ctx)
    preset = wanted.preset or ("public_chat" if wanted.visibility == "public" else "private_chat")
    if preset not in _PRESETS:
        raise errors.Invalid("There is no such preset.")
    making = Making(ctx, version, creator)
    making.create(_create_content(version, wanted, preset, creator))
    making.add("m.room.member", await events.member_content(tx, creator, "join"), creator)
    try:
        await _furnish(tx, making, wanted, preset, encrypted)
    except errors.NotAllowed as refused:
        raise errors.InvalidRoomState(refused.message) from None
    alias = await _alias(ctx, tx, making, wanted, appservice)
    for user_id in dict.fromkeys(joined):
        if user_id != creator:
            making.add("m.room.member", await events.member_content(tx, user_id, "invite"), user_id)
            making.add("m.room.member", await events.member_content(tx, user_id, "join"), user_id, sender=user_id)
    for user_id in dict.fromkeys(wanted.invite):
        if not ids.is_user_id(user_id) or await accounts.get_account(tx, user_id) is None:
            raise errors.NotFound("There is no such user here.")
        content = await events.member_content(tx, user_id, "invite")
        making.add("m.room.member", {**content, **({"is_direct": True} if wanted.is_direct else {})}, user_id)
    if alias is not None:
        await stored_rooms.insert_alias(tx, alias, making.room_id, creator)
    await place(tx, making, kind=kind, public=wanted.visibility == "public", joined=[creator, *joined])
    return making.room_id


async def place(tx: Tx, making: Making, *, kind: str, public: bool, joined: Sequence[UserID]) -> None:
    """Stores a room that has been made. joined: who is in it, and so whose devices others may have to look at."""
    room = stored_rooms.Room(making.room_id, making.version.name, kind, making.creator, making.events[0].at, 0, public)
    await stored_rooms.insert_room(tx, room)
    changed = [stream.Note("devices", user, making.room_id) for user in dict.fromkeys(joined)]
    await stored_events.append(tx, making.events, making.memberships, *changed)


def _trusted(wanted: CreateRoom, preset: str) -> list[UserID]:
    """Who is to be the creator's equal."""
    return wanted.invite if preset == "trusted_private_chat" else []


def _create_content(
    version: room_versions.RoomVersion, wanted: CreateRoom, preset: str, creator: UserID
) -> dict[str, Any]:
    additional = wanted.creation_content.get("additional_creators", [])
    if not isinstance(additional, list) or not all(ids.is_user_id(user) for user in additional):
        raise errors.Invalid("additional_creators must be a list of user ids.")
    return version.create_content(wanted.creation_content, creator, _trusted(wanted, preset))


async def _furnish(tx: Tx, making: Making, wanted: CreateRoom, preset: str, encrypted: bool) -> None:
    """Everything between the creator's joining and the others': in the order that the specification gives."""
    join_rule, visibility, guests = _PRESETS[preset]
    making.add("m.room.power_levels", _power_levels(making, wanted, preset))
    initial = {(state.type, state.state_key): state.content for state in wanted.initial_state}
    defaults: dict[tuple[str, str], dict[str, Any]] = {
        ("m.room.join_rules", ""): {"join_rule": join_rule},
        ("m.room.history_visibility", ""): {"history_visibility": visibility},
        ("m.room.guest_access", ""): {"guest_access": guests},
    }
    if encrypted:
        defaults["m.room.encryption", ""] = {"algorithm": events.MEGOLM}
    for (type_, state_key), content in {**defaults, **initial}.items():
        if type_ in ("m.room.create", "m.room.member"):
            raise errors.Invalid("initial_state can't have a create or membership event.")
        making.add(type_, content, state_key)
    if wanted.name:
        making.add("m.room.name", {"name": wanted.name})
    if wanted.topic:
        text = {"m.text": [{"body": wanted.topic}]}
        making.add("m.room.topic", {"topic": wanted.topic, "m.topic": text})


def _power_levels(making: Making, wanted: CreateRoom, preset: str) -> dict[str, Any]:
    return {
        "users": making.version.first_levels(making.creator, _trusted(wanted, preset)),
        "users_default": 0,
        "events": {
            "m.room.name": 50,
            "m.room.power_levels": 100,
            "m.room.history_visibility": 100,
            "m.room.canonical_alias": 50,
            "m.room.avatar": 50,
            "m.room.tombstone": making.version.tombstone_level,
            "m.room.server_acl": 100,
            "m.room.encryption": 100,
        },
        "events_default": 0,
        "state_default": 50,
        "ban": 50,
        "kick": 50,
        "redact": 50,
        "invite": 50 if preset == "public_chat" else 0,
        **wanted.power_level_content_override,
    }


async def _alias(ctx: "Context", tx: Tx, making: Making, wanted: CreateRoom, appservice: str | None) -> str | None:
    if wanted.room_alias_name is None:
        return None
    alias = f"#{wanted.room_alias_name}:{ctx.settings.server_name}"
    check_alias(ctx, alias, appservice)
    if await stored_rooms.get_alias(tx, alias) is not None:
        raise errors.RoomInUse("This alias is taken.")
    making.add("m.room.canonical_alias", {"alias": alias})
    return alias


def check_directory(ctx: "Context") -> None:
    """Raises NotAllowed where no room is published."""
    if ctx.settings.room_directory == "closed":
        raise errors.NotAllowed("This desk has no directory of rooms.")


def check_alias(ctx: "Context", alias: str, appservice: str | None = None) -> None:
    """Raises Invalid unless the text is an alias of this server that a room may have, Exclusive for one that an
    application service keeps for itself, or that lies outside of the namespaces of the one that asks."""
    localpart, _, server_name = alias[1:].partition(":")
    wrong = not alias.startswith("#") or not localpart or any(c in localpart for c in "\0:") or " " in localpart
    if wrong or len(alias.encode("utf-8", "surrogatepass")) > 255:
        raise errors.Invalid("That is not a room alias.")
    if server_name != ctx.settings.server_name:
        raise errors.Invalid("Aliases of other servers can't be kept here.")
    if localpart == "desk" or localpart.lower().startswith("move-"):
        raise errors.Exclusive("This alias leads to the desk itself.")
    for service in ctx.appservices:
        if service.id != appservice and service.keeps_alias(alias):
            raise errors.Exclusive("An application service keeps this alias for itself.")
        if service.id == appservice and not service.names(alias):
            raise errors.Exclusive("This alias is outside of the application service's namespaces.")


async def shared_users(tx: Tx, user_id: UserID) -> set[UserID]:
    """Who is in a room with the user; the user too, if in any."""
    return await stored_rooms.list_shared_users(tx, user_id)
