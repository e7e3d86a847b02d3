"""Events with what their ids were made of."""

import msgspec

from madoguchi.ids import EventID, RoomID
from madoguchi.storage.db import Tx


class Hashed(msgspec.Struct, frozen=True):
    """One event. nonce: where it stands as it was sent; content_hash: where it is redacted; neither: from before these
    were kept."""

    pos: int
    room_id: RoomID
    version: str
    event_id: EventID
    type: str
    sender: str
    state_key: str | None
    body: str
    nonce: str | None
    content_hash: bytes | None


async def first_hashed(tx: Tx) -> int | None:
    """The position of the first event whose id can be computed anew; None as long as there is none."""
    pos: int | None = await tx.fetchval(
        "SELECT min(pos) FROM events WHERE nonce IS NOT NULL OR content_hash IS NOT NULL"
    )
    return pos


async def list_hashed(tx: Tx, after: int, limit: int) -> list[Hashed]:
    """The next events after a position, at most `limit`."""
    rows = await tx.fetch(
        """
        SELECT e.pos, e.room_id, r.version, e.event_id, e.type, e.sender, e.state_key, e.body, e.nonce, e.content_hash
          FROM events e JOIN rooms r USING (room_id) WHERE e.pos > $1 ORDER BY e.pos LIMIT $2
        """,
        after,
        limit,
    )
    return [Hashed(**row) for row in rows]
