"""Whether events are what was sent: each one's id is computed anew from what is stored of it."""

from collections.abc import AsyncIterator

import msgspec

from madoguchi.core.chat import room_versions
from madoguchi.core.chat.events import hashed_form
from madoguchi.core.chat.room_versions import hashes
from madoguchi.storage import integrity as stored
from madoguchi.storage.db import Tx
from madoguchi.storage.integrity import Hashed

_CHUNK = 2_000


async def altered(tx: Tx) -> AsyncIterator[Hashed]:
    """All events that are not what their ids say: the body or what stands beside it has been changed since.

    Events from before there was anything to compute by are left out, later ones without it are not.
    """
    first = await stored.first_hashed(tx)
    after = -1
    while chunk := await stored.list_hashed(tx, after, _CHUNK):
        after = chunk[-1].pos
        for event in chunk:
            unknown = event.nonce is None and event.content_hash is None
            if (first is not None and event.pos > first) if unknown else not _is_itself(event):
                yield event


def _is_itself(event: Hashed) -> bool:
    try:
        said = msgspec.json.decode(event.body)
        beside = (said.get("type"), said.get("sender"), said.get("state_key"), said.get("event_id"))
        if beside != (event.type, event.sender, event.state_key, event.event_id):
            return False
        version = room_versions.of(event.version)
        form = hashed_form(version, event.room_id, said, event.nonce)
        return hashes.event_id(version, form, event.content_hash) == event.event_id
    except (msgspec.DecodeError, msgspec.EncodeError, UnicodeError, AttributeError, TypeError):
        return False
