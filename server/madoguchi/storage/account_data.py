"""What clients keep for their user here: for the whole account, or for one room."""

import msgspec

from madoguchi.storage import push
from madoguchi.storage.db import Tx

PUSH_RULES = "m.push_rules"


class AccountData(msgspec.Struct, frozen=True):
    """room_id: None for the whole account. content: JSON object. pos: of the last change."""

    room_id: str | None
    type: str
    content: bytes
    pos: int


async def get_account_data(tx: Tx, user_id: str, room_id: str | None, kind: str) -> bytes | None:
    content: bytes | None = await tx.fetchval(
        "SELECT content FROM account_data WHERE user_id = $1 AND room_id = $2 AND type = $3",
        user_id,
        room_id or "",
        kind,
    )
    return content


async def lock_account_data(tx: Tx, user_id: str, room_id: str | None, kind: str) -> None:
    """Lets nobody else read this for changing it until the transaction ends."""
    name = f"account data {user_id} {room_id or ''} {kind}"
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name)


async def set_account_data(tx: Tx, user_id: str, room_id: str | None, kind: str, content: bytes, pos: int) -> None:
    await tx.execute(
        """INSERT INTO account_data (user_id, room_id, type, content, pos) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (user_id, room_id, type) DO UPDATE SET content = excluded.content, pos = excluded.pos""",
        user_id,
        room_id or "",
        kind,
        content,
        pos,
    )


async def list_of_rooms(tx: Tx, user_id: str, kind: str) -> list[tuple[str, bytes]]:
    """(room id, content) of one kind of data, for each room that the user has such of."""
    rows = await tx.fetch(
        "SELECT room_id, content FROM account_data WHERE user_id = $1 AND room_id <> '' AND type = $2", user_id, kind
    )
    return [(row["room_id"], row["content"]) for row in rows]


async def list_account_data(tx: Tx, user_id: str, after: int, upto: int) -> list[AccountData]:
    """What changed in (after, upto], push rules among it; with after=0 all there is, default push rules included."""
    rows = await tx.fetch(
        """SELECT room_id, type, content, pos FROM account_data WHERE user_id = $1 AND pos > $2 AND pos <= $3
           UNION ALL
           SELECT '', $4, changes, pos FROM push_rules WHERE user_id = $1 AND pos > $2 AND pos <= $3
            ORDER BY pos""",
        user_id,
        after,
        upto,
        PUSH_RULES,
    )
    found: list[AccountData] = []
    rules_seen = False
    for row in rows:
        content = row["content"]
        if row["type"] == PUSH_RULES and not row["room_id"]:
            rules_seen = True
            content = push.push_rules_content(user_id, content)
        found.append(AccountData(row["room_id"] or None, row["type"], content, row["pos"]))
    if after == 0 and not rules_seen:
        found.append(AccountData(None, PUSH_RULES, push.push_rules_content(user_id, None), 0))
    return found
