"""Server-side key backup: room keys, sealed by the user's devices for the user's devices (client-server API,
"Server-side key backups"). The server sees how well a key is known, never the key."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec

from madoguchi import errors
from madoguchi.core.chat.shapes import check_depth, check_names
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import backups as storage
from madoguchi.storage import wrapping
from madoguchi.storage.backups import BackedUpKey, Backup
from madoguchi.storage.db import Tx

Json: TypeAlias = dict[str, Any]
_MOST_KEYS = 20_000
_LARGEST = 2**63 - 1


class KeyBackupData(msgspec.Struct):
    """One sealed key, as clients send and get it."""

    first_message_index: int
    forwarded_count: int
    is_verified: bool
    session_data: dict[str, Any]


def is_better(new: BackedUpKey, old: BackedUpKey) -> bool:
    """Whether a key replaces one that is stored for the same session: verified before not, then the lower first
    message index, then the lower forwarded count. An equal one does not."""
    return (not new.is_verified, new.first_message_index, new.forwarded_count) < (
        not old.is_verified,
        old.first_message_index,
        old.forwarded_count,
    )


async def begin(tx: Tx, user_id: UserID, algorithm: str, auth_data: Json) -> str:
    """A new version, from now on the current one."""
    check_names(algorithm)
    check_depth(auth_data)
    return str(await storage.insert_backup(tx, user_id, algorithm, msgspec.json.encode(auth_data)))


def _number(version: str) -> int:
    # Our versions are numbers without leading zeros; anything else names nothing.
    if not version.isascii() or not version.isdigit() or len(version) > 18 or str(int(version)) != version:
        raise errors.NotFound("There is no such backup version.")
    return int(version)


async def current(tx: Tx, user_id: UserID) -> Backup:
    """The newest version. Raises NotFound if the user has none."""
    backup = await storage.get_current_backup(tx, user_id)
    if backup is None:
        raise errors.NotFound("There is no key backup.")
    return backup


async def get(tx: Tx, user_id: UserID, version: str, *, lock: bool = False) -> Backup:
    """One version. Raises NotFound."""
    backup = await storage.get_backup(tx, user_id, _number(version), lock=lock)
    if backup is None:
        raise errors.NotFound("There is no such backup version.")
    return backup


async def change(tx: Tx, user_id: UserID, version: str, algorithm: str, auth_data: Json, named: str | None) -> None:
    """Replaces a version's auth_data, and nothing else: raises Invalid if the algorithm or the version in the body
    (`named`) differ."""
    backup = await get(tx, user_id, version, lock=True)
    if backup.algorithm != algorithm:
        raise errors.Invalid("The algorithm of a backup can't be changed.")
    if named is not None and named != version:
        raise errors.Invalid("The version in the body is not the one in the path.")
    check_depth(auth_data)
    await storage.update_auth_data(tx, user_id, backup.version, msgspec.json.encode(auth_data))


async def end(tx: Tx, user_id: UserID, version: str) -> None:
    """Deletes a version and its keys; again is no error. Raises NotFound for one that never was."""
    number = _number(version)
    if await storage.get_backup(tx, user_id, number, lock=True) is not None:
        await storage.delete_backup(tx, user_id, number)
    elif not await storage.was_deleted(tx, user_id, number):
        raise errors.NotFound("There is no such backup version.")


async def store(
    tx: Tx, user_id: UserID, version: str, keys: Iterable[tuple[RoomID, str, KeyBackupData]]
) -> tuple[str, int]:
    """Puts keys of (room, session) into the current version where they are better than what is there. Of a case that is
    purged none is taken.

    Gives the new etag and count. Raises NotFound without any backup, WrongVersion if `version` is not the current one.
    """
    now = await current(tx, user_id)
    if str(now.version) != version:
        raise errors.WrongVersion("This is not the current backup version.", current_version=str(now.version))
    offered = {(room_id, session_id): _checked(room_id, session_id, data) for room_id, session_id, data in keys}
    if len(offered) > _MOST_KEYS:
        raise errors.TooLarge(f"No more than {_MOST_KEYS} keys at once.")
    around = await wrapping.keys_of(tx, {room_id for room_id, _ in offered})
    offered = {name: key for name, key in offered.items() if key.room_id in around}
    backup = await get(tx, user_id, version, lock=True)
    known = await storage.list_keys_named(tx, user_id, backup.version, list(offered))
    better = [key for name, key in offered.items() if name not in known or is_better(key, known[name])]
    if not better:
        return str(backup.etag), backup.keys
    await storage.set_keys(tx, user_id, backup.version, better, around)
    fresh = sum((key.room_id, key.session_id) not in known for key in better)
    etag, count = await storage.change_count(tx, user_id, backup.version, fresh)
    return str(etag), count


def _checked(room_id: RoomID, session_id: str, data: KeyBackupData) -> BackedUpKey:
    check_names(room_id, session_id)
    if not (0 <= data.first_message_index <= _LARGEST and 0 <= data.forwarded_count <= _LARGEST):
        raise errors.Invalid("An index or count is out of range.")
    check_depth(data.session_data)
    return BackedUpKey(
        room_id=room_id,
        session_id=session_id,
        first_message_index=data.first_message_index,
        forwarded_count=data.forwarded_count,
        is_verified=data.is_verified,
        session_data=msgspec.json.encode(data.session_data),
    )


async def load(
    tx: Tx, user_id: UserID, version: str, room_id: RoomID | None = None, session_id: str | None = None
) -> dict[RoomID, dict[str, Json]]:
    """The keys of a version by room and session: all, of a room, or of one session. Raises NotFound without the
    version."""
    backup = await get(tx, user_id, version)
    rooms: dict[RoomID, dict[str, Json]] = {}
    for key in await storage.list_keys(tx, user_id, backup.version, room_id, session_id):
        rooms.setdefault(key.room_id, {})[key.session_id] = {
            "first_message_index": key.first_message_index,
            "forwarded_count": key.forwarded_count,
            "is_verified": key.is_verified,
            "session_data": msgspec.Raw(key.session_data),
        }
    return rooms


async def take_out(
    tx: Tx, user_id: UserID, version: str, room_id: RoomID | None = None, session_id: str | None = None
) -> tuple[str, int]:
    """Deletes keys: all, of a room, or of one session. Gives the new etag and count. Raises NotFound."""
    backup = await get(tx, user_id, version, lock=True)
    gone = await storage.delete_keys(tx, user_id, backup.version, room_id, session_id)
    if not gone:
        return str(backup.etag), backup.keys
    etag, count = await storage.change_count(tx, user_id, backup.version, -gone)
    return str(etag), count
