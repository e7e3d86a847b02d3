"""Which events a user is to be told of: push rules held against events (client-server API v1.19, "Push Rules").

Sync counts unread messages with this, so it is made for being asked often: rules are compiled once (for all who have
changed none, together), sorted by event type on first use, and a rule that needs a part of the content that is not
there costs one dictionary look-up.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import msgspec

from madoguchi.core.chat.events import QUIET as CALLS_NOBODY
from madoguchi.core.chat.push_conditions import (
    Condition,
    Event,
    RoomFacts,
    body_match,
    compile_condition,
    split_path,
    whole_match,
)
from madoguchi.core.chat.room_cache import Room, content_of
from madoguchi.core.chat.room_versions import VERSIONS
from madoguchi.ids import UserID
from madoguchi.storage import push as storage
from madoguchi.storage.db import Tx
from madoguchi.storage.default_push_rules import OWNER, Rule, RuleSet

__all__ = ["Action", "RoomFacts", "Rules", "Verdict", "actions_of", "evaluate", "facts_of", "rules_of"]

Action: TypeAlias = str | dict[str, Any]


class Verdict(NamedTuple):
    """notify: the event counts as unread and would be pushed. highlight: it asks for particular attention."""

    notify: bool
    highlight: bool


QUIET = Verdict(False, False)
_VERDICTS = {(n, h): Verdict(n, h) for n in (False, True) for h in (False, True)}
# Deprecated since v1.7: they hold only for events that do not say themselves whom they mention.
_ONLY_WITHOUT_MENTIONS = frozenset({".m.rule.contains_display_name", ".m.rule.contains_user_name", ".m.rule.roomnotif"})
_MOST_USERS = 10_000
_MOST_TYPES = 200


class _Compiled:
    __slots__ = ("actions", "conditions", "legacy", "needs", "type_conditions", "verdict")

    def __init__(self, rule: Rule) -> None:
        self.actions = rule.actions
        self.verdict = verdict_of(rule.actions)
        self.legacy = rule.rule_id in _ONLY_WITHOUT_MENTIONS
        self.conditions: list[Condition] | None = []
        self.type_conditions: list[str] = []
        self.needs: str | None = None
        for condition in rule.conditions or ():
            self._add(condition)

    def _add(self, condition: Event) -> None:
        check = compile_condition(condition)
        if check is None or self.conditions is None:
            self.conditions = None
            return
        if condition.get("kind") == "event_match" and condition.get("key") == "type":
            self.type_conditions.append(condition["pattern"])
            return
        key = condition.get("key")
        if condition.get("kind") == "contains_display_name":
            self.needs = "body"
        elif isinstance(key, str) and condition["kind"].startswith("event_"):
            path = split_path(key)
            if len(path) > 1 and path[0] == "content":
                self.needs = path[1]
        self.conditions.append(check)

    def fits_type(self, event_type: str) -> bool:
        return all(whole_match(pattern)(event_type) for pattern in self.type_conditions)


@lru_cache(maxsize=256)
def _compiled_from(rule: bytes) -> _Compiled:
    return _Compiled(msgspec.json.decode(rule, type=Rule))


def _compiled(rule: Rule) -> _Compiled:
    """A rule ready to be asked. Who has changed one rule still shares the others with everybody."""
    return _compiled_from(msgspec.json.encode(rule))


class Rules:
    """A rule set, ready to be asked."""

    def __init__(self, rules: RuleSet) -> None:
        self._override = self._conditional(rules.override)
        self._underride = self._conditional(rules.underride)
        self._content = [
            (body_match(rule.pattern), _compiled(rule)) for rule in rules.content if rule.enabled and rule.pattern
        ]
        self._room = {rule.rule_id: _compiled(rule) for rule in rules.room if rule.enabled}
        self._sender = {rule.rule_id: _compiled(rule) for rule in rules.sender if rule.enabled}
        self._by_type: dict[str, tuple[list[_Compiled], list[_Compiled]]] = {}

    @staticmethod
    def _conditional(rules: Sequence[Rule]) -> list[_Compiled]:
        compiled = [_compiled(rule) for rule in rules if rule.enabled]
        return [rule for rule in compiled if rule.conditions is not None]

    def _for_type(self, event_type: str) -> tuple[list[_Compiled], list[_Compiled]]:
        if len(self._by_type) >= _MOST_TYPES:
            self._by_type.clear()
        sorted_rules = (
            [rule for rule in self._override if rule.fits_type(event_type)],
            [rule for rule in self._underride if rule.fits_type(event_type)],
        )
        self._by_type[event_type] = sorted_rules
        return sorted_rules

    def find(self, event: Event, room: RoomFacts) -> _Compiled | None:
        """The most important rule that holds for the event."""
        event_type = event.get("type")
        if not isinstance(event_type, str):
            return None
        override, underride = self._by_type.get(event_type) or self._for_type(event_type)
        content = event.get("content")
        if not isinstance(content, dict):
            content = {}
        if content.get(CALLS_NOBODY) is True:
            return None
        found = _first(override, event, content, room)
        if found is not None:
            return found
        body = content.get("body")
        if isinstance(body, str):
            for matches, rule in self._content:
                if not (rule.legacy and "m.mentions" in content) and matches(body, room):
                    return rule
        if self._room and (room_rule := self._room.get(event.get("room_id", ""))) is not None:
            return room_rule
        if self._sender and (sender_rule := self._sender.get(event.get("sender", ""))) is not None:
            return sender_rule
        return _first(underride, event, content, room)


def _first(rules: list[_Compiled], event: Event, content: Event, room: RoomFacts) -> _Compiled | None:
    for rule in rules:
        if rule.needs is not None and rule.needs not in content:
            continue
        if rule.legacy and "m.mentions" in content:
            continue
        for condition in rule.conditions or ():
            if not condition(event, room):
                break
        else:
            return rule
    return None


def verdict_of(actions: Sequence[Action]) -> Verdict:
    """What a list of actions comes to. Historical and unknown actions count for nothing."""
    notify = "notify" in actions
    highlight = False
    for action in actions:
        if isinstance(action, dict) and action.get("set_tweak") == "highlight":
            highlight = action.get("value", True) is True
    return _VERDICTS[notify, notify and highlight]


def evaluate(rules: Rules, event: Event, room: RoomFacts, user_id: str) -> Verdict:
    """Whether the user is to be told of the event, and how loudly. Nobody is told of their own events."""
    if event.get("sender") == user_id:
        return QUIET
    rule = rules.find(event, room)
    return QUIET if rule is None else rule.verdict


def actions_of(rules: Rules, event: Event, room: RoomFacts, user_id: str) -> list[Action]:
    """The actions of the rule that holds for the event; none for the user's own events."""
    if event.get("sender") == user_id:
        return []
    rule = rules.find(event, room)
    return [] if rule is None else list(rule.actions)


def facts_of(room: Room, user_id: UserID) -> RoomFacts:
    """What push rules may ask of a room."""
    create = room.state.get(("m.room.create", ""))
    version = VERSIONS.get(room.version)
    above_all = version is not None and version.privileges_creators
    creators = frozenset((create.sender,)) if create is not None else frozenset()
    if version is not None and create is not None and above_all:
        creators = version.privileged(content_of(create), create.sender)
    name = room.member_content(user_id).get("displayname")
    return RoomFacts(
        member_count=len(room.joined()),
        power_levels=room.content("m.room.power_levels"),
        display_name=name if isinstance(name, str) else None,
        creators=creators,
        creators_rule=above_all,
        owner=user_id,
    )


_DEFAULT = Rules(storage.rule_set(OWNER, storage.RuleChanges()))
_known: OrderedDict[str, tuple[int, Rules]] = OrderedDict()


async def rules_of(tx: Tx, user_id: str) -> Rules:
    """The user's rules, compiled; ask them with `facts_of` the same user. Asks the database each time, but only
    whether they have changed."""
    known_pos, known = _known.get(user_id, (0, _DEFAULT))
    pos, changes = await storage.get_changes_since(tx, user_id, known_pos)
    if pos == 0:
        _known.pop(user_id, None)
        return _DEFAULT
    if changes is None:
        _known.move_to_end(user_id)
        return known
    rules = Rules(storage.rule_set(OWNER, changes))
    _known[user_id] = (pos, rules)
    if len(_known) > _MOST_USERS:
        _known.popitem(last=False)
    return rules
