"""Sliding sync (MSC4186), under its unstable path as Element X speaks it, and under its stable one."""

from typing import Any, Literal, get_args

import msgspec

from madoguchi import errors
from madoguchi.core.chat.sliding.answer import sliding_sync as chat_sliding_sync
from madoguchi.core.chat.sliding.asked import (
    MEMBER,
    MOST_TIMELINE,
    Config,
    Extension,
    Filters,
    List,
    Required,
    SlidingAsked,
)
from madoguchi.web.endpoint import Call
from madoguchi.web.reading import token_of

Json = dict[str, Any]
Presence = Literal["offline", "online", "unavailable"]
PRESENCES: tuple[Presence, ...] = get_args(Presence)


class SlidingQuery(msgspec.Struct):
    pos: str | None = None
    timeout: int = 0
    set_presence: Presence = "online"


class UnstableConfig(msgspec.Struct):
    """required_state: (type, state key); `*` is any, `$ME` oneself, `$LAZY` for members: as they speak."""

    timeline_limit: int = 0
    required_state: list[tuple[str, str]] = []

    def config(self) -> Config:
        include = tuple(
            (None if type_ == "*" else type_, None if key == "*" else key)
            for type_, key in self.required_state
            if key != "$LAZY"
        )
        lazy = any(type_ == MEMBER and key == "$LAZY" for type_, key in self.required_state)
        # Where all members are asked for as well, these clients mean all, as Synapse does.
        lazy = lazy and not Required(include).everybody
        return Config(min(self.timeline_limit, MOST_TIMELINE), (Required(include, (), lazy),))


class UnstableFilters(msgspec.Struct):
    is_dm: bool | None = None
    is_encrypted: bool | None = None
    is_invite: bool | None = None
    spaces: tuple[str, ...] | None = None
    room_types: tuple[str | None, ...] | None = None
    not_room_types: tuple[str | None, ...] | None = None
    tags: tuple[str, ...] | None = None
    not_tags: tuple[str, ...] | None = None

    def filters(self) -> Filters:
        return Filters(
            self.is_dm, self.is_encrypted, self.is_invite, self.spaces, self.room_types, self.not_room_types,
            self.tags, self.not_tags,
        )  # fmt: skip


class UnstableList(UnstableConfig):
    ranges: list[tuple[int, int]] | None = None
    filters: UnstableFilters | None = None

    def window(self) -> List:
        return List(
            self.config(),
            None if self.ranges is None else tuple(self.ranges),
            (self.filters or UnstableFilters()).filters(),
        )


class ExtensionConfig(msgspec.Struct):
    enabled: bool = False
    lists: tuple[str, ...] | None = None
    rooms: tuple[str, ...] | None = None
    since: str | None = None
    limit: int | None = None


class UnstableBody(msgspec.Struct):
    conn_id: str | None = None
    lists: dict[str, UnstableList] | None = None
    room_subscriptions: dict[str, UnstableConfig] | None = None
    extensions: Json | None = None


class StateElement(msgspec.Struct):
    type: str | None = None
    state_key: str | None = None


class RequiredState(msgspec.Struct):
    include: list[StateElement] = []
    exclude: list[StateElement] = []
    lazy_members: bool = False


class StableConfig(msgspec.Struct):
    timeline_limit: int
    required_state: RequiredState

    def config(self) -> Config:
        asked = self.required_state
        include = tuple((element.type, element.state_key) for element in asked.include)
        exclude = tuple((element.type, element.state_key) for element in asked.exclude)
        return Config(min(self.timeline_limit, MOST_TIMELINE), (Required(include, exclude, asked.lazy_members),))


class StableFilters(msgspec.Struct):
    is_dm: bool | None = None
    is_encrypted: bool | None = None
    is_invited: bool | None = None
    spaces: tuple[str, ...] | None = None
    room_types: tuple[str | None, ...] | None = None
    not_room_types: tuple[str | None, ...] | None = None
    tags: tuple[str, ...] | None = None
    not_tags: tuple[str, ...] | None = None

    def filters(self) -> Filters:
        return msgspec.convert(self, Filters, from_attributes=True)


class StableList(StableConfig):
    range: tuple[int, int] | None = None
    filters: StableFilters | None = None

    def window(self) -> List:
        return List(
            self.config(), None if self.range is None else (self.range,), (self.filters or StableFilters()).filters()
        )


class StableBody(msgspec.Struct):
    conn_id: str | None = None
    pos: str | None = None
    timeout: int = 0
    set_presence: str = "online"
    lists: dict[str, StableList] | None = None
    room_subscriptions: dict[str, StableConfig] | None = None
    extensions: Json | None = None


_KNOWN = ("to_device", "e2ee", "account_data", "receipts", "typing")


def _extensions(asked: Json | None) -> dict[str, Extension]:
    found = {}
    for name, raw in (asked or {}).items():
        if name not in _KNOWN:
            # Other extensions have shapes of their own; a server passes over what it does not have.
            continue
        try:
            config = msgspec.convert(raw, ExtensionConfig)
        except msgspec.ValidationError:
            raise errors.BadJson(f"The extension {name} has the wrong shape.") from None
        if config.enabled:
            found[name] = Extension(config.lists, config.rooms, config.since, config.limit)
    return found


async def sliding_sync_unstable(call: Call, query: SlidingQuery, body: UnstableBody) -> Json:
    """POST …/org.matrix.simplified_msc3575/sync. Holds no connection while it waits."""
    return await _answer(call, body, query.pos, query.timeout, query.set_presence, stable=False)


async def sliding_sync(call: Call, body: StableBody) -> Json:
    """POST /v4/sync. Holds no connection while it waits."""
    presence = next((each for each in PRESENCES if each == body.set_presence), None)
    if presence is None:
        raise errors.Invalid("set_presence is online, offline or unavailable.")
    return await _answer(call, body, body.pos, body.timeout, presence, stable=True)


async def _answer(
    call: Call, body: UnstableBody | StableBody, pos: str | None, timeout_ms: int, presence: Presence, *, stable: bool
) -> Json:
    request = SlidingAsked(
        conn_id=body.conn_id or "",
        pos=pos,
        timeout=timeout_ms / 1000,
        stable=stable,
        lists={name: each.window() for name, each in (body.lists or {}).items()},
        subscriptions={room_id: each.config() for room_id, each in (body.room_subscriptions or {}).items()},
        extensions=_extensions(body.extensions),
    )
    session = call.session
    await call.ctx.presence.seen(session.user_id, presence)
    answer = await chat_sliding_sync(call.ctx, session.user_id, session.device_id, request)
    if session.appservice is None and await call.ctx.sessions.get(token_of(call.request) or "") is None:
        # Logged out while it waited: what came after is no longer for this device.
        raise errors.UnknownToken("This access token is not known here.", soft_logout=False)
    return answer
