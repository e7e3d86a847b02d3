"""What clients keep for their user, and tags, which are a kind of it (client-server API, "Client Config", "Room
Tagging")."""

from typing import Any, TypeAlias

import msgspec

from madoguchi import errors
from madoguchi.core.chat import push_rules
from madoguchi.core.chat.shapes import check_depth, check_names
from madoguchi.ids import RoomID, UserID
from madoguchi.storage import account_data as storage
from madoguchi.storage import stream
from madoguchi.storage.account_data import PUSH_RULES
from madoguchi.storage.db import Tx
from madoguchi.storage.stream import Note

Json: TypeAlias = dict[str, Any]
FULLY_READ = "m.fully_read"
TAGS = "m.tag"
# These have operations of their own.
KEPT_BY_THE_SERVER = frozenset({FULLY_READ, PUSH_RULES})
_LARGEST = 1024 * 1024


async def get(tx: Tx, user_id: UserID, room_id: RoomID | None, kind: str) -> bytes:
    """The content as JSON. Raises NotFound."""
    if room_id is None and kind == PUSH_RULES:
        return msgspec.json.encode({"global": await push_rules.get_all(tx, user_id)})
    content = await storage.get_account_data(tx, user_id, room_id, kind)
    if content is None:
        raise errors.NotFound("There is no account data of this type.")
    return content


async def set(tx: Tx, user_id: UserID, room_id: RoomID | None, kind: str, content: Json) -> None:  # noqa: A001
    """Replaces the content, and tells the user's devices. Raises ServerControlled for what the server keeps itself."""
    if kind in KEPT_BY_THE_SERVER:
        raise errors.ServerControlled("This type of account data has an operation of its own.")
    await keep(tx, user_id, room_id, kind, content)


async def keep(tx: Tx, user_id: UserID, room_id: RoomID | None, kind: str, content: Json) -> None:
    """The same for the server's own types. Call it late in the transaction."""
    check_names(kind, *([] if room_id is None else [room_id]))
    check_depth(content)
    encoded = msgspec.json.encode(content)
    if len(encoded) > _LARGEST:
        raise errors.TooLarge("Account data can have 1 MiB at most.")
    pos = await stream.publish(tx, Note("account_data", user_id))
    await storage.set_account_data(tx, user_id, room_id, kind, encoded, pos)


# -- tags -------------------------------------------------------------------------------------------------------------
async def get_tags(tx: Tx, user_id: UserID, room_id: RoomID) -> dict[str, Json]:
    """The user's tags on a room, by name."""
    content = await storage.get_account_data(tx, user_id, room_id, TAGS)
    tags = msgspec.json.decode(content).get("tags") if content is not None else None
    return tags if isinstance(tags, dict) else {}


async def set_tag(tx: Tx, user_id: UserID, room_id: RoomID, tag: str, about: Json) -> None:
    """Puts a tag on a room. Raises Invalid for an `order` that is not a number."""
    check_names(tag)
    order = about.get("order")
    if order is not None and (not isinstance(order, (int, float)) or isinstance(order, bool)):
        raise errors.Invalid("The order of a tag must be a number.")
    await storage.lock_account_data(tx, user_id, room_id, TAGS)
    tags = await get_tags(tx, user_id, room_id)
    if tags.get(tag) != about:
        await keep(tx, user_id, room_id, TAGS, {"tags": {**tags, tag: about}})


async def delete_tag(tx: Tx, user_id: UserID, room_id: RoomID, tag: str) -> None:
    """Takes a tag off a room; one that is not there is no error."""
    await storage.lock_account_data(tx, user_id, room_id, TAGS)
    tags = await get_tags(tx, user_id, room_id)
    if tag in tags:
        del tags[tag]
        await keep(tx, user_id, room_id, TAGS, {"tags": tags})
