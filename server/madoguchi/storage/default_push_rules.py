"""The push rules that everybody starts with (client-server API v1.19, "Predefined Rules"), as data, in their order."""

from typing import Any, TypeAlias

import msgspec

from madoguchi.ids import localpart_of

Json: TypeAlias = dict[str, Any]


class Rule(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A push rule as clients see it. conditions: override and underride rules only; pattern: content rules only."""

    rule_id: str
    actions: list[str | Json]
    default: bool = msgspec.field(name="default")
    enabled: bool
    conditions: list[Json] | None = None
    pattern: str | None = None


class RuleSet(msgspec.Struct, frozen=True, kw_only=True):
    """All rules of a user by kind, the most important first."""

    override: list[Rule]
    content: list[Rule]
    room: list[Rule]
    sender: list[Rule]
    underride: list[Rule]


KINDS = ("override", "content", "room", "sender", "underride")

# Stands for whoever the rules belong to, where one compiled set is to serve everybody. No user id has a NUL.
OWNER = "@\0:\0"

_LOUD: list[str | Json] = ["notify", {"set_tweak": "sound", "value": "default"}, {"set_tweak": "highlight"}]
_SOUND: Json = {"set_tweak": "sound", "value": "default"}
_RING: Json = {"set_tweak": "sound", "value": "ring"}
_MARKED: list[str | Json] = ["notify", {"set_tweak": "highlight"}]


def _match(key: str, pattern: str) -> Json:
    return {"kind": "event_match", "key": key, "pattern": pattern}


def _is(key: str, value: object) -> Json:
    return {"kind": "event_property_is", "key": key, "value": value}


def _rule(rule_id: str, conditions: list[Json], actions: list[str | Json], enabled: bool = True) -> Rule:
    return Rule(rule_id=rule_id, conditions=conditions, actions=actions, default=True, enabled=enabled)


MASTER = _rule(".m.rule.master", [], [], enabled=False)
_MAY_CALL_ROOM: Json = {"kind": "sender_notification_permission", "key": "room"}
_TWO_MEMBERS: Json = {"kind": "room_member_count", "is": "2"}


def override(user_id: str) -> list[Rule]:
    """The override rules below the user's own; the master rule stands above those."""
    mentioned = {"kind": "event_property_contains", "key": r"content.m\.mentions.user_ids", "value": user_id}
    invited = [
        _match("type", "m.room.member"),
        _match("content.membership", "invite"),
        _match("state_key", user_id),
    ]
    return [
        _rule(".m.rule.suppress_notices", [_match("content.msgtype", "m.notice")], []),
        _rule(".m.rule.invite_for_me", invited, ["notify", _SOUND]),
        _rule(".m.rule.member_event", [_match("type", "m.room.member")], []),
        _rule(".m.rule.is_user_mention", [mentioned], _LOUD),
        _rule(".m.rule.contains_display_name", [{"kind": "contains_display_name"}], _LOUD),
        _rule(".m.rule.is_room_mention", [_is(r"content.m\.mentions.room", True), _MAY_CALL_ROOM], _MARKED),
        _rule(".m.rule.roomnotif", [_match("content.body", "@room"), _MAY_CALL_ROOM], _MARKED),
        _rule(".m.rule.tombstone", [_match("type", "m.room.tombstone"), _match("state_key", "")], _MARKED),
        _rule(".m.rule.reaction", [_match("type", "m.reaction")], []),
        _rule(".m.rule.room.server_acl", [_match("type", "m.room.server_acl"), _match("state_key", "")], []),
        _rule(".m.rule.suppress_edits", [_is(r"content.m\.relates_to.rel_type", "m.replace")], []),
    ]


def content(user_id: str) -> list[Rule]:
    return [
        Rule(
            rule_id=".m.rule.contains_user_name",
            pattern=localpart_of(user_id),
            actions=_LOUD,
            default=True,
            enabled=True,
        )
    ]


def underride() -> list[Rule]:
    one_to_one = [_TWO_MEMBERS, _match("type", "m.room.message")]
    encrypted_one_to_one = [_TWO_MEMBERS, _match("type", "m.room.encrypted")]
    return [
        _rule(".m.rule.call", [_match("type", "m.call.invite")], ["notify", _RING]),
        _rule(".m.rule.encrypted_room_one_to_one", encrypted_one_to_one, ["notify", _SOUND]),
        _rule(".m.rule.room_one_to_one", one_to_one, ["notify", _SOUND]),
        _rule(".m.rule.message", [_match("type", "m.room.message")], ["notify"]),
        _rule(".m.rule.encrypted", [_match("type", "m.room.encrypted")], ["notify"]),
    ]
