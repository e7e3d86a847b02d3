"""Tags on rooms (client-server API, "Room Tagging")."""

from typing import Any

from madoguchi.core.chat import account_data
from madoguchi.matrix.account_data import own, room
from madoguchi.web.endpoint import Call

Json = dict[str, Any]


async def get_room_tags(call: Call, user_id: str, room_id: str) -> Json:
    return {"tags": await account_data.get_tags(call.tx, own(call, user_id), room(room_id))}


async def set_room_tag(call: Call, user_id: str, room_id: str, tag: str, body: Json) -> Json:
    await account_data.set_tag(call.tx, own(call, user_id), room(room_id), tag, body)
    return {}


async def delete_room_tag(call: Call, user_id: str, room_id: str, tag: str) -> Json:
    await account_data.delete_tag(call.tx, own(call, user_id), room(room_id), tag)
    return {}
