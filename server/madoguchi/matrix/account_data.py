"""Account data (client-server API, "Client Config"): what clients keep for their user."""

from typing import Any

from madoguchi import errors
from madoguchi.core.chat import account_data
from madoguchi.web.endpoint import Call

Json = dict[str, Any]


def own(call: Call, user_id: str) -> str:
    """The user id, which must be the caller's. Raises NotAllowed."""
    if user_id != call.session.user_id:
        raise errors.NotAllowed("You can only see and change what is your own.")
    return user_id


def room(room_id: str) -> str:
    """The room id. Raises Invalid for something else."""
    if not room_id.startswith("!"):
        raise errors.Invalid("This is not a room id.")
    return room_id


async def set_account_data(call: Call, user_id: str, type: str, body: Json) -> Json:  # noqa: A002
    await account_data.set(call.tx, own(call, user_id), None, type, body)
    return {}


async def get_account_data(call: Call, user_id: str, type: str) -> bytes:  # noqa: A002
    return await account_data.get(call.tx, own(call, user_id), None, type)


async def set_account_data_per_room(call: Call, user_id: str, room_id: str, type: str, body: Json) -> Json:  # noqa: A002
    await account_data.set(call.tx, own(call, user_id), room(room_id), type, body)
    return {}


async def get_account_data_per_room(call: Call, user_id: str, room_id: str, type: str) -> bytes:  # noqa: A002
    return await account_data.get(call.tx, own(call, user_id), room(room_id), type)
