"""Room version 11: redactions keep more, and name their target in their content."""

from collections.abc import Mapping
from typing import Any, ClassVar

from madoguchi.core.chat.room_versions.v10 import Version10


class Version11(Version10):
    """Changes since 10: the redaction algorithm, and where a redaction says what it takes back.

    The create event needs no `creator` any more; it stands there all the same, because some clients drop one without.
    """

    name = "11"
    redacts_in_content = True

    kept_keys: ClassVar[frozenset[str]] = Version10.kept_keys - {"origin", "prev_state", "membership"}
    kept_content: ClassVar[Mapping[str, frozenset[str] | bool]] = {
        **Version10.kept_content,
        "m.room.member": frozenset(("membership", "join_authorised_via_users_server", "third_party_invite")),
        "m.room.create": True,
        "m.room.power_levels": frozenset(
            ("ban", "events", "events_default", "invite", "kick", "redact", "state_default", "users", "users_default")
        ),
        "m.room.redaction": frozenset(("redacts",)),
    }

    def redacted(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """As before; and of a third-party invite, only what was signed stays."""
        left = super().redacted(event)
        invite = left["content"].get("third_party_invite")
        if isinstance(invite, dict):
            left["content"]["third_party_invite"] = {key: value for key, value in invite.items() if key == "signed"}
        return left
