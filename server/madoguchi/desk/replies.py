"""The desk's saved replies: for counsellors, written by administrators."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi import errors
from madoguchi.core.desk import replies
from madoguchi.storage import replies as stored
from madoguchi.storage.replies import Reply
from madoguchi.web.endpoint import Call


class Replies(msgspec.Struct, frozen=True):
    """All of them, in their order."""

    replies: list[Reply]


class ReplyOrder(msgspec.Struct):
    """The ids of all replies, as they should stand."""

    order: Annotated[list[str], Meta(max_length=replies.MOST)]


async def list_replies(call: Call) -> Replies:
    """What the desk says often; a counsellor puts one into what they write."""
    return Replies(await stored.list_replies(call.tx))


async def order_replies(call: Call, body: ReplyOrder) -> Replies:
    """Puts the replies into another order."""
    await replies.reorder(call.tx, body.order, call.session.user_id, call.ctx.clock.now())
    return await list_replies(call)


async def put_reply(call: Call, reply_id: str, body: replies.Wording) -> Replies:
    """Sets a reply, or makes one. Gives the whole list."""
    if not re.fullmatch(r"[a-z0-9_]{1,40}", reply_id):
        raise errors.Invalid("The id of a reply has 1 to 40 small letters, digits and underscores.")
    await replies.put(call.tx, reply_id, body, call.session.user_id, call.ctx.clock.now())
    return await list_replies(call)


async def delete_reply(call: Call, reply_id: str) -> Replies:
    """Takes a reply away."""
    await replies.remove(call.tx, reply_id, call.session.user_id, call.ctx.clock.now())
    return await list_replies(call)
