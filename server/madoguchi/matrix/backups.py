"""Server-side key backup (client-server API, "Server-side key backups")."""

from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import backups
from madoguchi.core.chat.backups import KeyBackupData
from madoguchi.storage.backups import Backup
from madoguchi.web.endpoint import Call

Json = dict[str, Any]


class NewVersion(msgspec.Struct):
    algorithm: str
    auth_data: Json


class ChangedVersion(msgspec.Struct):
    algorithm: str
    auth_data: Json
    version: str | None = None


class InVersion(msgspec.Struct):
    version: str


class RoomKeys(msgspec.Struct):
    sessions: dict[str, KeyBackupData]


class AllKeys(msgspec.Struct):
    rooms: dict[str, RoomKeys]


# -- versions ---------------------------------------------------------------------------------------------------------
async def post_room_keys_version(call: Call, body: NewVersion) -> Json:
    return {"version": await backups.begin(call.tx, call.session.user_id, body.algorithm, body.auth_data)}


async def get_room_keys_version_current(call: Call) -> Json:
    return _shown(await backups.current(call.tx, call.session.user_id))


async def get_room_keys_version(call: Call, version: str) -> Json:
    return _shown(await backups.get(call.tx, call.session.user_id, version))


async def put_room_keys_version(call: Call, version: str, body: ChangedVersion) -> Json:
    await backups.change(call.tx, call.session.user_id, version, body.algorithm, body.auth_data, body.version)
    return {}


async def delete_room_keys_version(call: Call, version: str) -> Json:
    await backups.end(call.tx, call.session.user_id, version)
    return {}


def _shown(backup: Backup) -> Json:
    return {
        "algorithm": backup.algorithm,
        "auth_data": msgspec.Raw(backup.auth_data),
        "count": backup.keys,
        "etag": str(backup.etag),
        "version": str(backup.version),
    }


# -- keys -------------------------------------------------------------------------------------------------------------
async def put_room_keys(call: Call, body: AllKeys, query: InVersion) -> Json:
    keys = (
        (room_id, session_id, key) for room_id, room in body.rooms.items() for session_id, key in room.sessions.items()
    )
    return _changed(await backups.store(call.tx, call.session.user_id, query.version, keys))


async def put_room_keys_by_room_id(call: Call, room_id: str, body: RoomKeys, query: InVersion) -> Json:
    keys = ((room_id, session_id, key) for session_id, key in body.sessions.items())
    return _changed(await backups.store(call.tx, call.session.user_id, query.version, keys))


async def put_room_key_by_session_id(
    call: Call, room_id: str, session_id: str, body: KeyBackupData, query: InVersion
) -> Json:
    return _changed(await backups.store(call.tx, call.session.user_id, query.version, [(room_id, session_id, body)]))


async def get_room_keys(call: Call, query: InVersion) -> Json:
    rooms = await backups.load(call.tx, call.session.user_id, query.version)
    return {"rooms": {room_id: {"sessions": sessions} for room_id, sessions in rooms.items()}}


async def get_room_keys_by_room_id(call: Call, room_id: str, query: InVersion) -> Json:
    rooms = await backups.load(call.tx, call.session.user_id, query.version, room_id)
    return {"sessions": rooms.get(room_id, {})}


async def get_room_key_by_session_id(call: Call, room_id: str, session_id: str, query: InVersion) -> Json:
    rooms = await backups.load(call.tx, call.session.user_id, query.version, room_id, session_id)
    if not rooms:
        raise errors.NotFound("There is no such key in the backup.")
    return rooms[room_id][session_id]


async def delete_room_keys(call: Call, query: InVersion) -> Json:
    return _changed(await backups.take_out(call.tx, call.session.user_id, query.version))


async def delete_room_keys_by_room_id(call: Call, room_id: str, query: InVersion) -> Json:
    return _changed(await backups.take_out(call.tx, call.session.user_id, query.version, room_id))


async def delete_room_key_by_session_id(call: Call, room_id: str, session_id: str, query: InVersion) -> Json:
    return _changed(await backups.take_out(call.tx, call.session.user_id, query.version, room_id, session_id))


def _changed(state: tuple[str, int]) -> Json:
    etag, count = state
    return {"etag": etag, "count": count}
