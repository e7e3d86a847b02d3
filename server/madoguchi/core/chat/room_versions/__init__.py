"""Room versions 10, 11 and 12 (specification, "Room Versions"): a module each, which says what that version changes.

Each builds on the one before, as in the specification. What they share is outside: the authorisation rules in
`auth_rules.py`, which ask the version where versions differ, and hashes with canonical JSON in `hashes.py`.
"""

from madoguchi import errors
from madoguchi.core.chat.room_versions.v10 import Version10
from madoguchi.core.chat.room_versions.v11 import Version11
from madoguchi.core.chat.room_versions.v12 import Version12

RoomVersion = Version10
"""What every version can answer."""

VERSIONS: dict[str, RoomVersion] = {version.name: version for version in (Version10(), Version11(), Version12())}
DEFAULT = "11"


def of(name: str) -> RoomVersion:
    """The room version of a name. Raises UnsupportedRoomVersion."""
    version = VERSIONS.get(name)
    if version is None:
        raise errors.UnsupportedRoomVersion(f"Room version {name[:20]!r} is not made here.")
    return version
