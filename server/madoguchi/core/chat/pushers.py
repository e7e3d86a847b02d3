"""Where users want to be told of new events (client-server API, "pushers"); `work/pushes.py` tells the gateways."""

from typing import TYPE_CHECKING

from madoguchi import errors
from madoguchi.core.chat import pushing
from madoguchi.core.chat.shapes import check_depth, check_names
from madoguchi.ids import DeviceID, UserID
from madoguchi.storage import push as storage
from madoguchi.storage.db import Tx
from madoguchi.storage.push import Pusher

if TYPE_CHECKING:
    from madoguchi.context import Context

KINDS = ("http", "email")


async def list_all(tx: Tx, user_id: UserID) -> list[Pusher]:
    """The user's pushers."""
    return await storage.list_pushers(tx, user_id)


async def put(ctx: "Context", tx: Tx, user_id: UserID, device_id: DeviceID, pusher: Pusher, *, append: bool) -> None:
    """Sets a pusher by its app id and push key. Unless `append`, other users lose theirs with the same app id and key.

    It goes when the device goes. Raises Invalid for an unknown kind, and for ids longer than the specification allows;
    NotAllowed for a gateway that the operator has not named.
    """
    if pusher.kind not in KINDS:
        raise errors.Invalid("There is no such kind of pusher.")
    if pusher.kind == "http" and pushing.origin_of(str(pusher.data.get("url"))) not in ctx.settings.push_gateways:
        raise errors.NotAllowed("This desk tells this push gateway nothing: its operator has not named it.")
    check_names(pusher.app_id, longest=64)
    check_names(pusher.pushkey, longest=512)
    check_depth(pusher.data)
    if not append:
        await storage.delete_pushers_of_others(tx, user_id, pusher.app_id, pusher.pushkey)
    await storage.set_pusher(tx, user_id, device_id, pusher)


async def delete(tx: Tx, user_id: UserID, app_id: str, pushkey: str) -> None:
    """Takes a pusher away; one that is not there is no error."""
    await storage.delete_pusher(tx, user_id, app_id, pushkey)
