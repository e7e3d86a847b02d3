"""Room version 10, the oldest that is made here: whole, for the later ones name only their differences."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from madoguchi.ids import UserID

_LEVELS = frozenset(("ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default"))


class Version10:
    """What the rules ask a version.

    redacts_in_content: a redaction names its target in its content (since 11)
    privileges_creators: the creators stand above all power levels, and the room's id is the create event's hash (since
        12)
    tombstone_level: the power level that replacing the room takes at first
    """

    name: str = "10"
    redacts_in_content: bool = False
    privileges_creators: bool = False
    tombstone_level: int = 100

    kept_keys: ClassVar[frozenset[str]] = frozenset(
        ("event_id", "type", "room_id", "sender", "state_key", "content", "hashes", "signatures", "depth",
         "prev_events", "prev_state", "auth_events", "origin", "origin_server_ts", "membership")
    )  # fmt: skip
    # The keys that stay in the content of each type; True: all of them. Of other types none stays.
    kept_content: ClassVar[Mapping[str, frozenset[str] | bool]] = {
        "m.room.member": frozenset(("membership", "join_authorised_via_users_server")),
        "m.room.create": frozenset(("creator",)),
        "m.room.join_rules": frozenset(("join_rule", "allow")),
        "m.room.power_levels": _LEVELS,
        "m.room.history_visibility": frozenset(("history_visibility",)),
    }

    def redacted(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """What is left of an event after redaction ("Redactions")."""
        left = {key: value for key, value in event.items() if key in self.kept_keys}
        content = event.get("content") or {}
        kept = self.kept_content.get(str(event.get("type")), frozenset())
        left["content"] = {key: value for key, value in content.items() if kept is True or key in kept}  # type: ignore[operator]
        return left

    def create_content(
        self, content: Mapping[str, Any], creator: UserID, trusted: Collection[UserID]
    ) -> dict[str, Any]:
        """The content of the create event that `creator` asks for; `trusted`: who is to be their equal."""
        return {**content, "room_version": self.name, "creator": creator}

    def first_levels(self, creator: UserID, trusted: Collection[UserID]) -> dict[UserID, int]:
        """The power levels that a new room gives to people by name."""
        return dict.fromkeys((creator, *trusted), 100)

    def privileged(self, create: Mapping[str, Any], creator: UserID) -> frozenset[UserID]:
        """Who stands above all power levels, by the create event's content and its sender: nobody."""
        return frozenset()
