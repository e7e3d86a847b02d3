"""A user's push rules (kept as what differs from the default set) and pushers."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from madoguchi.ids import localpart_of
from madoguchi.storage import default_push_rules as defaults
from madoguchi.storage.db import Tx
from madoguchi.storage.default_push_rules import Json, Rule, RuleSet


class OwnRule(msgspec.Struct, omit_defaults=True):
    """A rule that the user made."""

    rule_id: str
    actions: list[str | Json]
    enabled: bool = True
    conditions: list[Json] | None = None
    pattern: str | None = None


class DefaultChange(msgspec.Struct, omit_defaults=True):
    """What the user has changed of a default rule."""

    enabled: bool | None = None
    actions: list[str | Json] | None = None


class RuleChanges(msgspec.Struct, omit_defaults=True):
    """own: the user's rules by kind, the most important first. defaults: by rule id."""

    own: dict[str, list[OwnRule]] = {}
    defaults: dict[str, DefaultChange] = {}


class Pusher(msgspec.Struct, omit_defaults=True):
    """Where the user wants to be told of new events (client-server API, "pushers")."""

    app_id: str
    pushkey: str
    kind: str
    app_display_name: str
    device_display_name: str
    lang: str
    data: dict[str, Any]
    profile_tag: str | None = None


_changes = msgspec.json.Decoder(RuleChanges)
_pusher = msgspec.json.Decoder(Pusher)


def rule_set(user_id: str, changes: RuleChanges) -> RuleSet:
    """The user's whole rule set, in order: the master rule, then per kind the user's rules above the default ones."""

    def default(rule: Rule) -> Rule:
        change = changes.defaults.get(rule.rule_id)
        if change is None:
            return rule
        enabled = rule.enabled if change.enabled is None else change.enabled
        actions = rule.actions if change.actions is None else change.actions
        return msgspec.structs.replace(rule, enabled=enabled, actions=actions)

    def kind(name: str, below: list[Rule]) -> list[Rule]:
        own = [
            Rule(
                rule_id=rule.rule_id,
                actions=rule.actions,
                default=False,
                enabled=rule.enabled,
                conditions=rule.conditions,
                pattern=rule.pattern,
            )
            for rule in changes.own.get(name, ())
        ]
        return own + [default(rule) for rule in below]

    return RuleSet(
        override=[default(defaults.MASTER), *kind("override", defaults.override(user_id))],
        content=kind("content", defaults.content(user_id)),
        room=kind("room", []),
        sender=kind("sender", []),
        underride=kind("underride", defaults.underride()),
    )


def push_rules_content(user_id: str, changes: bytes | None) -> bytes:
    """The content of the account data event `m.push_rules`."""
    if changes is None:
        return _default_content(user_id)
    return msgspec.json.encode({"global": rule_set(user_id, _changes.decode(changes))})


@cache
def _template() -> tuple[bytes, ...]:
    """The default content, cut where the owner's user id or localpart belongs: odd pieces say which."""
    whole = msgspec.json.encode({"global": rule_set(defaults.OWNER, RuleChanges())})
    return tuple(re.split(rb"(@\\u0000:\\u0000|\\u0000)", whole))


def _default_content(user_id: str) -> bytes:
    name, local = msgspec.json.encode(user_id)[1:-1], msgspec.json.encode(localpart_of(user_id))[1:-1]
    pieces = list(_template())
    pieces[1::2] = (name if piece.startswith(b"@") else local for piece in pieces[1::2])
    return b"".join(pieces)


async def lock_rules(tx: Tx, user_id: str) -> None:
    """Lets nobody else change this user's rules until the transaction ends."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"push rules {user_id}")


async def get_changes(tx: Tx, user_id: str) -> RuleChanges:
    changes: bytes | None = await tx.fetchval("SELECT changes FROM push_rules WHERE user_id = $1", user_id)
    return _changes.decode(changes) if changes is not None else RuleChanges()


async def get_changes_since(tx: Tx, user_id: str, known_pos: int) -> tuple[int, RuleChanges | None]:
    """The position of the user's last change (0: there is none), and the changes if that is not `known_pos`."""
    row = await tx.fetchrow(
        "SELECT pos, CASE WHEN pos <> $2 THEN changes END AS changes FROM push_rules WHERE user_id = $1",
        user_id,
        known_pos,
    )
    if row is None:
        return 0, None
    return row["pos"], None if row["changes"] is None else _changes.decode(row["changes"])


async def set_changes(tx: Tx, user_id: str, changes: RuleChanges, pos: int) -> None:
    await tx.execute(
        """INSERT INTO push_rules (user_id, changes, pos) VALUES ($1, $2, $3)
           ON CONFLICT (user_id) DO UPDATE SET changes = excluded.changes, pos = excluded.pos""",
        user_id,
        msgspec.json.encode(changes),
        pos,
    )


async def list_pushers(tx: Tx, user_id: str) -> list[Pusher]:
    rows = await tx.fetch("SELECT pusher FROM pushers WHERE user_id = $1 ORDER BY app_id, pushkey", user_id)
    return [_pusher.decode(row["pusher"]) for row in rows]


async def set_pusher(tx: Tx, user_id: str, device_id: str, pusher: Pusher) -> None:
    await tx.execute(
        """INSERT INTO pushers (user_id, app_id, pushkey, device_id, pusher) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (user_id, app_id, pushkey) DO UPDATE
              SET device_id = excluded.device_id, pusher = excluded.pusher""",
        user_id,
        pusher.app_id,
        pusher.pushkey,
        device_id,
        msgspec.json.encode(pusher),
    )


async def delete_pusher(tx: Tx, user_id: str, app_id: str, pushkey: str) -> None:
    await tx.execute(
        "DELETE FROM pushers WHERE user_id = $1 AND app_id = $2 AND pushkey = $3", user_id, app_id, pushkey
    )


async def delete_pushers_of_device(tx: Tx, user_id: str, device_id: str, app_id: str) -> None:
    """Forgets what one device has set for one app."""
    await tx.execute(
        "DELETE FROM pushers WHERE user_id = $1 AND device_id = $2 AND app_id = $3", user_id, device_id, app_id
    )


async def delete_pushers_of_app(tx: Tx, user_id: str, app_id: str) -> None:
    """Forgets what all devices of a user have set for one app."""
    await tx.execute("DELETE FROM pushers WHERE user_id = $1 AND app_id = $2", user_id, app_id)


async def delete_pushers_of_others(tx: Tx, user_id: str, app_id: str, pushkey: str) -> None:
    """One device tells one user: whoever else had this push key loses it."""
    await tx.execute(
        "DELETE FROM pushers WHERE app_id = $2 AND pushkey = $3 AND user_id <> $1", user_id, app_id, pushkey
    )


async def delete_pushers_of_other_devices(tx: Tx, user_id: str, keep: Sequence[str]) -> None:
    """Forgets the user's pushers but those that these devices have set (after a change of password)."""
    await tx.execute("DELETE FROM pushers WHERE user_id = $1 AND device_id <> ALL($2::text[])", user_id, keep)
