"""Moves to an app: by which tokens and codes a case goes on there, what was tried, and how an account is opened."""

from datetime import datetime

import msgspec

from madoguchi.storage.db import Tx


class App(msgspec.Struct, frozen=True):
    """A channel to an app that takes people in. start_url: what opens the account, with `{token}` or `{code}` where
    that belongs."""

    channel_id: str
    kind: str
    name: str
    mode: str
    start_url: str


class AppTicket(msgspec.Struct, frozen=True):
    """What lets one case go on at one channel, found by its token or its code."""

    token_hash: bytes
    case_id: str
    channel_id: str
    expires_at: datetime
    used_at: datetime | None


class Try(msgspec.Struct, frozen=True):
    """case_id: the case that an event of an app moved there; None where its token or code was unknown."""

    at: datetime
    case_id: str | None


async def list_apps(tx: Tx) -> list[App]:
    """The channels that take people in and whose bridge has said how the account is opened, oldest first."""
    rows = await tx.fetch(
        """
        SELECT id AS channel_id, kind, name, mode, start_url
          FROM channels JOIN bridge_accounts a ON a.channel_id = id
         WHERE mode IN ('relay', 'contact_point') ORDER BY added_at, id
        """
    )
    return [App(**row) for row in rows]


async def came_by_an_app(tx: Tx, case_id: str) -> bool:
    """Whether the person of a case was on an app before."""
    found: bool = await tx.fetchval(
        """
        SELECT EXISTS (SELECT 1 FROM past_persons p JOIN channels h ON h.id = p.channel_id
                        WHERE p.case_id = $1 AND h.kind NOT IN ('web', 'matrix'))
        """,
        case_id,
    )
    return found


async def insert_ticket(tx: Tx, ticket: AppTicket, code_hash: bytes, at: datetime) -> bool:
    """One more ticket; False if the code is another's."""
    done: str = await tx.execute(
        """
        INSERT INTO app_tickets (token_hash, code_hash, case_id, channel_id, made_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
        """,
        ticket.token_hash, code_hash, ticket.case_id, ticket.channel_id, at, ticket.expires_at,
    )  # fmt: skip
    return done.endswith(" 1")


async def get_ticket(tx: Tx, *, token_hash: bytes | None = None, code_hash: bytes | None = None) -> AppTicket | None:
    """The ticket with a token, or the one with a code."""
    row = await tx.fetchrow(
        """
        SELECT token_hash, case_id, channel_id, expires_at, used_at FROM app_tickets
        WHERE token_hash = $1 OR code_hash = $2
        """,
        token_hash, code_hash,
    )  # fmt: skip
    return AppTicket(**row) if row else None


async def put_arrived(tx: Tx, case_id: str, channel_id: str, ghost: str, at: datetime) -> None:
    """Notes that the person of a case has come to an app by themselves, and spends all that led away from before."""
    await tx.execute(
        """
        INSERT INTO moves (case_id, channel_id, ghost, asked_at, asked_by, moved_at) VALUES ($1, $2, $3, $4, $3, $4)
        ON CONFLICT (case_id) DO UPDATE SET channel_id = excluded.channel_id, ghost = excluded.ghost,
            asked_by = excluded.asked_by, moved_at = excluded.moved_at, to_channel = NULL, passphrase_hash = NULL,
            wrong_passphrases = 0, declined_at = NULL, news_at = NULL
        """,
        case_id, channel_id, ghost, at,
    )  # fmt: skip
    await tx.execute("UPDATE move_links SET used_at = $2 WHERE case_id = $1 AND used_at IS NULL", case_id, at)
    await tx.execute("UPDATE app_tickets SET used_at = $2 WHERE case_id = $1 AND used_at IS NULL", case_id, at)


async def delete_old_tickets(tx: Tx, before: datetime) -> int:
    """Forgets tickets that ran out before a moment, and what was tried before it. Gives how many tickets."""
    await tx.execute("DELETE FROM app_tries WHERE at < $1", before)
    done: str = await tx.execute("DELETE FROM app_tickets WHERE expires_at < $1", before)
    return int(done.rpartition(" ")[2])


# What was tried


async def get_try(tx: Tx, event: str, ghost: str) -> Try | None:
    """What an event of an app has led to."""
    row = await tx.fetchrow("SELECT at, case_id FROM app_tries WHERE event = $1 AND user_id = $2", event, ghost)
    return Try(**row) if row else None


async def insert_try(tx: Tx, event: str, ghost: str, at: datetime, case_id: str | None) -> None:
    """Remembers what an event led to."""
    await tx.execute(
        "INSERT INTO app_tries (event, user_id, at, case_id) VALUES ($1, $2, $3, $4)", event, ghost, at, case_id
    )


async def count_wrong(tx: Tx, ghost: str, since: datetime) -> int:
    """How many unknown tokens and codes somebody has tried since a moment."""
    count: int = await tx.fetchval(
        "SELECT count(*) FROM app_tries WHERE user_id = $1 AND at > $2 AND case_id IS NULL", ghost, since
    )
    return count
