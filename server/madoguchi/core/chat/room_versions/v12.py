"""Room version 12: its creators stand above all, and its id follows from its create event."""

from collections.abc import Collection, Mapping
from typing import Any

from madoguchi.core.chat.room_versions.v11 import Version11
from madoguchi.ids import UserID


class Version12(Version11):
    """Changes since 11: `additional_creators`, who like the creator have no power level because they need none; the
    room's id is the create event's id with another sigil."""

    name = "12"
    privileges_creators = True
    tombstone_level = 150

    def create_content(
        self, content: Mapping[str, Any], creator: UserID, trusted: Collection[UserID]
    ) -> dict[str, Any]:
        """Those who are trusted become creators too; nobody is named twice."""
        named = dict.fromkeys((*(content.get("additional_creators") or ()), *trusted))
        more = {"additional_creators": list(named)} if named else {}
        return {**content, "room_version": self.name, **more}

    def first_levels(self, creator: UserID, trusted: Collection[UserID]) -> dict[UserID, int]:
        """None: whoever might have one is a creator."""
        return {}

    def privileged(self, create: Mapping[str, Any], creator: UserID) -> frozenset[UserID]:
        """The sender of the create event, and whom it names besides."""
        more = create.get("additional_creators") or ()
        return frozenset((creator, *(user for user in more if isinstance(user, str))))
