"""The identifiers of the Matrix specification (appendices, "Common Identifier Format") and of the desk, by name."""

import secrets
import string
from typing import TypeAlias

UserID: TypeAlias = str
RoomID: TypeAlias = str
EventID: TypeAlias = str
DeviceID: TypeAlias = str
CaseID: TypeAlias = str

_LETTERS = string.ascii_letters
_LOWER = string.ascii_lowercase + string.digits


def new_room_id(server_name: str) -> RoomID:
    """An unguessable room id, `!opaque:server`."""
    return f"!{letters(18)}:{server_name}"


def letters(length: int) -> str:
    """`length` random ASCII letters (5.7 bits each) from the system's randomness."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def lowercase(length: int) -> str:
    """`length` random lower-case letters and digits (5.2 bits each): fit for the local part of a user id."""
    return "".join(secrets.choice(_LOWER) for _ in range(length))


def server_name_of(matrix_id: str) -> str:
    """The part after the first colon; empty if there is none."""
    return matrix_id.partition(":")[2]


def localpart_of(user_id: UserID) -> str:
    """The part of a user id between `@` and the first colon."""
    return user_id[1:].partition(":")[0]


def is_user_id(value: object) -> bool:
    """Whether a value has the shape `@localpart:server` in at most 255 bytes (historical local parts included)."""
    if not isinstance(value, str) or not value.startswith("@"):
        return False
    localpart, colon, server = value[1:].partition(":")
    return bool(colon and server and localpart is not None) and len(value.encode("utf-8", "surrogatepass")) <= 255
