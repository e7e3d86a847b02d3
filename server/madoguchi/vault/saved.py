"""The file of wrapping keys: what no dump of the database has, saved apart (`madoguchi wrapping save`)."""

from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from madoguchi.storage.wrapping import WrappingKey

FORMAT = "madoguchi-wrapping-keys-1"


class NotSaved(Exception):
    """This is no file of wrapping keys, or another desk's. The text says which."""


class Saved(msgspec.Struct, frozen=True):
    """desk: the server's name; destroyed: room id → when its key was, with the case."""

    desk: str
    made_at: datetime
    keys: list[WrappingKey]
    destroyed: dict[str, datetime]
    format: str = FORMAT

    def by_id(self) -> dict[UUID, bytes]:
        """Id → key, without those that were destroyed while the file was made."""
        return {key.id: key.key for key in self.keys if key.room_id not in self.destroyed}

    def lost_with(self, newer: "Saved") -> int:
        """How many of its keys a newer file would lack, though they were not destroyed."""
        there = {key.id for key in newer.keys}
        return sum(key.id not in there and key.room_id not in newer.destroyed for key in self.keys)


def encode(saved: Saved) -> bytes:
    """As the file has it."""
    return msgspec.json.encode(saved) + b"\n"


def read(file: Path, desk: str) -> Saved:
    """What a file has. Raises NotSaved, OSError."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Saved)
    except msgspec.DecodeError:
        raise NotSaved(f"{file} is no file of wrapping keys.") from None
    if found.format != FORMAT:
        raise NotSaved(f"{file} is of another version than this one knows.")
    if found.desk != desk:
        raise NotSaved(f"{file} is of the desk {found.desk}, not of {desk}.")
    return found
