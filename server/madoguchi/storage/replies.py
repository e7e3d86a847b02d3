"""Saved replies: sentences of the desk's own, which counsellors put into what they write."""

from typing import Literal

import msgspec

from madoguchi.storage.db import Tx

Language = Literal["ja", "ja-x-easy", "en"]


class Reply(msgspec.Struct, frozen=True):
    """text: may have blanks, as `{name}`, which the counsellor's page fills."""

    id: str
    language: Language
    title: str
    text: str


async def list_replies(tx: Tx) -> list[Reply]:
    """All of them, in the administrator's order."""
    rows = await tx.fetch("SELECT id, language, title, text FROM replies ORDER BY sort, id")
    return [Reply(**row) for row in rows]


async def lock_all(tx: Tx) -> list[str]:
    """The ids of all replies in their order; nobody else changes the list before the end of the transaction."""
    await tx.execute("LOCK TABLE replies IN SHARE ROW EXCLUSIVE MODE")
    return [row["id"] for row in await tx.fetch("SELECT id FROM replies ORDER BY sort, id")]


async def upsert(tx: Tx, reply: Reply) -> None:
    """Sets a reply, whole; a new one goes to the end of the list."""
    await tx.execute(
        """
        INSERT INTO replies (id, sort, language, title, text)
        VALUES ($1, (SELECT coalesce(max(sort), 0) + 10 FROM replies), $2, $3, $4)
        ON CONFLICT (id) DO UPDATE SET language = $2, title = $3, text = $4
        """,
        reply.id,
        reply.language,
        reply.title,
        reply.text,
    )


async def delete(tx: Tx, reply_id: str) -> None:
    """Takes a reply away."""
    await tx.execute("DELETE FROM replies WHERE id = $1", reply_id)


async def update_order(tx: Tx, ids: list[str]) -> None:
    """Puts the replies into this order."""
    await tx.execute(
        """
        UPDATE replies SET sort = wanted.place * 10
          FROM unnest($1::text[]) WITH ORDINALITY AS wanted (id, place) WHERE replies.id = wanted.id
        """,
        ids,
    )
