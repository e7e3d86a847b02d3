"""A user's push rules and how they are changed (client-server API v1.19, "Push Rules: API"). push.py applies them."""

from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat.push_conditions import is_plain
from madoguchi.core.chat.shapes import check_depth, check_names
from madoguchi.ids import UserID
from madoguchi.storage import push as storage
from madoguchi.storage import stream
from madoguchi.storage.db import Tx
from madoguchi.storage.default_push_rules import KINDS, Rule, RuleSet
from madoguchi.storage.push import DefaultChange, OwnRule, RuleChanges
from madoguchi.storage.stream import Note

_MOST_RULES = 1_000
_LARGEST = 256 * 1024
_HISTORICAL = frozenset({"dont_notify", "coalesce"})

Action = str | dict[str, Any]


async def get_all(tx: Tx, user_id: UserID) -> RuleSet:
    """All rules, the default ones included, in their order."""
    return storage.rule_set(user_id, await storage.get_changes(tx, user_id))


async def get(tx: Tx, user_id: UserID, kind: str, rule_id: str) -> Rule:
    """One rule. Raises NotFound; Invalid for a kind that there is not."""
    _check_kind(kind)
    rules: list[Rule] = getattr(await get_all(tx, user_id), kind)
    for rule in rules:
        if rule.rule_id == rule_id:
            return rule
    raise errors.NotFound("There is no such push rule.")


async def put(
    tx: Tx,
    user_id: UserID,
    kind: str,
    rule_id: str,
    *,
    actions: list[Action],
    conditions: list[dict[str, Any]] | None = None,
    pattern: str | None = None,
    before: str | None = None,
    after: str | None = None,
) -> None:
    """Makes or changes a rule of the user's.

    With `before` it becomes the next more important than that rule, with `after` the next less important; with neither
    a new rule is the most important of its kind and an old one stays where it is. Raises Invalid for ids that are the
    server's, Unknown where `before` or `after` names no rule of the user's, BadJson for actions or conditions without
    sense.
    """
    _check_kind(kind)
    check_names(rule_id)
    if rule_id.startswith(".") or "/" in rule_id or "\\" in rule_id:
        raise errors.Invalid("A rule's id can't begin with a dot or have a slash or backslash.")
    fresh = OwnRule(rule_id, _checked_actions(actions))
    if kind in ("override", "underride"):
        fresh.conditions = _checked_conditions(conditions or [])
    if kind == "content":
        if pattern is None:
            raise errors.MissingParam("A content rule needs a pattern.")
        fresh.pattern = pattern
    async with _changing(tx, user_id) as changes:
        rules = changes.own.setdefault(kind, [])
        place = next((n for n, rule in enumerate(rules) if rule.rule_id == rule_id), None)
        if place is not None:
            fresh.enabled = rules.pop(place).enabled
        elif len(rules) >= _MOST_RULES:
            raise errors.TooLarge(f"There can be {_MOST_RULES} rules of a kind.")
        if before is not None:
            place = _place_of(rules, before)
        elif after is not None:
            place = _place_of(rules, after) + 1
        rules.insert(place or 0, fresh)


async def delete(tx: Tx, user_id: UserID, kind: str, rule_id: str) -> None:
    """Takes a rule of the user's away. Raises NotFound, also for default rules."""
    _check_kind(kind)
    async with _changing(tx, user_id) as changes:
        rules = changes.own.get(kind, [])
        remaining = [rule for rule in rules if rule.rule_id != rule_id]
        if len(remaining) == len(rules):
            raise errors.NotFound("There is no such push rule.")
        changes.own[kind] = remaining


async def set_enabled(tx: Tx, user_id: UserID, kind: str, rule_id: str, enabled: bool) -> None:
    """Switches a rule on or off, default rules too. Raises NotFound."""
    rule = await get(tx, user_id, kind, rule_id)
    async with _changing(tx, user_id) as changes:
        if rule.default:
            changes.defaults.setdefault(rule_id, DefaultChange()).enabled = enabled
        else:
            _own(changes, kind, rule_id).enabled = enabled


async def set_actions(tx: Tx, user_id: UserID, kind: str, rule_id: str, actions: list[Action]) -> None:
    """Replaces what a rule does, default rules too. Raises NotFound."""
    rule = await get(tx, user_id, kind, rule_id)
    checked = _checked_actions(actions)
    async with _changing(tx, user_id) as changes:
        if rule.default:
            changes.defaults.setdefault(rule_id, DefaultChange()).actions = checked
        else:
            _own(changes, kind, rule_id).actions = checked


class _changing:
    """The user's changes, alone; written back and announced at the end."""

    def __init__(self, tx: Tx, user_id: UserID) -> None:
        self._tx = tx
        self._user_id = user_id
        self._changes = RuleChanges()

    async def __aenter__(self) -> RuleChanges:
        await storage.lock_rules(self._tx, self._user_id)
        self._changes = await storage.get_changes(self._tx, self._user_id)
        return self._changes

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            if len(msgspec.json.encode(self._changes)) > _LARGEST:
                raise errors.TooLarge("These are too many push rules.")
            pos = await stream.publish(self._tx, Note("push_rules", self._user_id), Note("account_data", self._user_id))
            await storage.set_changes(self._tx, self._user_id, self._changes, pos)


def _own(changes: RuleChanges, kind: str, rule_id: str) -> OwnRule:
    for rule in changes.own.get(kind, ()):
        if rule.rule_id == rule_id:
            return rule
    raise errors.NotFound("There is no such push rule.")


def _place_of(rules: list[OwnRule], rule_id: str) -> int:
    for place, rule in enumerate(rules):
        if rule.rule_id == rule_id:
            return place
    raise errors.Unknown("The rule to stand before or after is none of yours.")


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise errors.Invalid("There is no such kind of push rule.")


def _checked_actions(actions: list[Action]) -> list[Action]:
    for action in actions:
        if isinstance(action, dict) and not isinstance(action.get("set_tweak"), str):
            raise errors.BadJson("An action is a string or sets a tweak.")
    check_depth(actions)
    return [action for action in actions if not (isinstance(action, str) and action in _HISTORICAL)]


_NEEDED: dict[str, dict[str, type]] = {
    "event_match": {"key": str, "pattern": str},
    "event_property_is": {"key": str},
    "event_property_contains": {"key": str},
    "room_member_count": {"is": str},
    "sender_notification_permission": {"key": str},
}


def _checked_conditions(conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for condition in conditions:
        kind = condition.get("kind")
        if not isinstance(kind, str):
            raise errors.BadJson("A condition needs a kind.")
        for name, wanted in _NEEDED.get(kind, {}).items():
            if not isinstance(condition.get(name), wanted):
                raise errors.BadJson(f"A condition of this kind needs {name!r}.")
        if kind.startswith("event_property_") and not ("value" in condition and is_plain(condition["value"])):
            raise errors.BadJson("A condition of this kind needs a plain value.")
    check_depth(conditions)
    return conditions
