"""Saved replies: what the desk says often, in each language, with blanks that the counsellor's page fills.

Nothing here is sent by itself: a reply goes into what a counsellor is writing. Those of a counsellor's own never come
here; they lie in the account's data, sealed.
"""

import re
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi import errors
from madoguchi.storage import audit
from madoguchi.storage import replies as stored
from madoguchi.storage.db import Tx
from madoguchi.storage.replies import Language, Reply

# Filled on the counsellor's page: their name, the desk's name and hours, the lines that can be called now.
BLANKS = ("name", "desk", "hours", "lines")
MOST = 500


class Wording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an administrator says of one reply. text: several lines, with blanks as `{name}`."""

    language: Language
    title: Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]*$")]
    text: Annotated[str, Meta(min_length=1, max_length=4000, pattern=r"^[^\x00-\x09\x0b-\x1f]*$")]


async def put(tx: Tx, reply_id: str, wording: Wording, by: str, at: datetime) -> None:
    """Sets a reply, or makes one. Raises Invalid for a blank that nobody fills, and for one reply too many."""
    unknown = [blank for blank in re.findall(r"\{(\w+)\}", wording.text) if blank not in BLANKS]
    if unknown:
        raise errors.Invalid(f"There is nothing to fill this blank with: {{{unknown[0]}}}")
    ids = await stored.lock_all(tx)
    if reply_id not in ids and len(ids) >= MOST:
        raise errors.Invalid(f"There are {MOST} replies at most.")
    await stored.upsert(tx, Reply(reply_id, wording.language, wording.title, wording.text))
    await audit.append(tx, at, by, "reply.written", reply_id, language=wording.language, title=wording.title)


async def remove(tx: Tx, reply_id: str, by: str, at: datetime) -> None:
    """Takes a reply away. Raises NotFound."""
    if reply_id not in await stored.lock_all(tx):
        raise errors.NotFound("There is no such reply.")
    await stored.delete(tx, reply_id)
    await audit.append(tx, at, by, "reply.removed", reply_id)


async def reorder(tx: Tx, ids: list[str], by: str, at: datetime) -> None:
    """Puts the replies into an order. Raises Conflict if these are not the replies that there are."""
    if sorted(ids) != sorted(await stored.lock_all(tx)):
        raise errors.Conflict("The list has changed meanwhile. Please look again.")
    await stored.update_order(tx, ids)
    await audit.append(tx, at, by, "replies.ordered", order=ids)
