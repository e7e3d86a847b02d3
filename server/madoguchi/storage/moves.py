"""Moves 引っ越し: where the person of a case stands on the way from an app to the sealed room, and by which links."""

from datetime import datetime
from typing import Literal

import msgspec

from madoguchi.storage.cases import STANDING, Risk
from madoguchi.storage.db import Tx

Standing = Literal["asked", "notified", "opened", "moved", "declined", "unreachable"]
_RUNNING = "('arriving', 'waiting', 'talking', 'resting')"


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """ghost: who stands for the person on the app; asked_by: a user id, or the person themselves by their ghost.

    to_channel: the app that is offered (storage/app_moves.py), None for the page; queued_at: when the bridge took the
    offer; notified_at, unreachable_at: what the app said of it; news_wanted: whether the app may say afterwards that
    there is news
    """

    case_id: str
    channel_id: str
    ghost: str
    asked_at: datetime
    asked_by: str
    passphrase_hash: str | None = None
    wrong_passphrases: int = 0
    queued_at: datetime | None = None
    notified_at: datetime | None = None
    unreachable_at: datetime | None = None
    opened_at: datetime | None = None
    declined_at: datetime | None = None
    moved_at: datetime | None = None
    news_wanted: bool = True
    to_channel: str | None = None


class Link(msgspec.Struct, frozen=True):
    """A link, found by its token or its code. own: made on the person's own page, asks for no passphrase."""

    token_hash: bytes
    case_id: str
    expires_at: datetime
    used_at: datetime | None
    own: bool


class Errand(msgspec.Struct, frozen=True):
    """Something that the bridge of a ghost is to bring to the app: the `offer` of a move to the page, that of
    one to another app, or that there is `news`."""

    kind: Literal["offer", "app_offer", "news"]
    case_id: str
    user_id: str


_COLUMNS = ", ".join(Move.__struct_fields__)


async def lock_move(tx: Tx, case_id: str) -> Move | None:
    """The move of a case, held until the end of the transaction."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM moves WHERE case_id = $1 FOR NO KEY UPDATE", case_id)
    return Move(**row) if row else None


async def put_move(
    tx: Tx,
    case_id: str,
    channel_id: str,
    ghost: str,
    at: datetime,
    by: str,
    passphrase_hash: str | None,
    to_channel: str | None = None,
) -> None:
    """Offers a move (again): what the person did with an earlier offer is forgotten, and so are its wrong tries."""
    await tx.execute(
        """
        INSERT INTO moves (case_id, channel_id, ghost, asked_at, asked_by, passphrase_hash, to_channel)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (case_id) DO UPDATE SET channel_id = excluded.channel_id, ghost = excluded.ghost,
            asked_at = excluded.asked_at, asked_by = excluded.asked_by, to_channel = excluded.to_channel,
            -- What an app is offered by asks for none; links to the page that are about go on asking for theirs.
            passphrase_hash = CASE WHEN excluded.to_channel IS NULL THEN excluded.passphrase_hash
                                   ELSE moves.passphrase_hash END,
            wrong_passphrases = CASE WHEN excluded.to_channel IS NULL THEN 0 ELSE moves.wrong_passphrases END,
            queued_at = NULL, notified_at = NULL, unreachable_at = NULL, opened_at = NULL, declined_at = NULL,
            moved_at = NULL
        """,
        case_id, channel_id, ghost, at, by, passphrase_hash, to_channel,
    )  # fmt: skip


async def put_moves_of_channel(tx: Tx, channel_id: str, at: datetime, by: str, again: bool) -> list[str]:
    """Offers a move to the page to everybody whose case runs on a channel and who has not been offered that there;
    `again`: to whoever has been as well, but for those whose case is kept there. Gives the cases."""
    rows = await tx.fetch(
        f"""
        INSERT INTO moves (case_id, channel_id, ghost, asked_at, asked_by)
        SELECT id, channel_id, user_id, $2, $3 FROM cases WHERE channel_id = $1 AND state IN {_RUNNING} ORDER BY id
        ON CONFLICT (case_id) DO UPDATE SET channel_id = excluded.channel_id, ghost = excluded.ghost,
            asked_at = excluded.asked_at, asked_by = excluded.asked_by, to_channel = NULL, wrong_passphrases = 0,
            queued_at = NULL, notified_at = NULL, unreachable_at = NULL, opened_at = NULL, declined_at = NULL,
            moved_at = NULL
         WHERE moves.moved_at IS NOT NULL OR moves.to_channel IS NOT NULL OR ($4 AND NOT EXISTS (
               SELECT 1 FROM kept_cases k WHERE k.case_id = moves.case_id AND k.signed_at IS NOT NULL AND k.until > $2))
        RETURNING case_id
        """,
        channel_id, at, by, again,
    )  # fmt: skip
    return [row["case_id"] for row in rows]


async def delete_unsent(tx: Tx, channel_id: str) -> None:
    """Takes back the offers of a channel that the bridge has not taken yet; links that are about stay good."""
    unsent = "channel_id = $1 AND queued_at IS NULL AND moved_at IS NULL AND asked_by <> ghost"
    links = "EXISTS (SELECT 1 FROM move_links l WHERE l.case_id = moves.case_id)"
    await tx.execute(f"DELETE FROM moves WHERE {unsent} AND NOT {links}", channel_id)
    await tx.execute(f"UPDATE moves SET asked_by = ghost WHERE {unsent}", channel_id)


async def update_queued(tx: Tx, case_id: str, at: datetime) -> None:
    """Notes that the bridge has the offer."""
    await tx.execute("UPDATE moves SET queued_at = $2 WHERE case_id = $1", case_id, at)


async def update_notified(tx: Tx, case_id: str, at: datetime) -> None:
    """Notes that the app has taken the offer."""
    await tx.execute("UPDATE moves SET notified_at = $2, unreachable_at = NULL WHERE case_id = $1", case_id, at)


async def update_unreachable(tx: Tx, case_id: str, at: datetime) -> None:
    """Notes that the app does not reach the person."""
    await tx.execute("UPDATE moves SET unreachable_at = $2 WHERE case_id = $1", case_id, at)


async def update_opened(tx: Tx, case_id: str, at: datetime) -> None:
    """Notes that the person has looked at the page of the offer."""
    await tx.execute("UPDATE moves SET opened_at = coalesce(opened_at, $2) WHERE case_id = $1", case_id, at)


async def update_declined(tx: Tx, case_id: str, at: datetime) -> None:
    """Notes that the person would rather stay."""
    await tx.execute("UPDATE moves SET declined_at = $2 WHERE case_id = $1", case_id, at)


async def update_moved(tx: Tx, case_id: str, at: datetime) -> None:
    """Notes that the person has come, and spends all that leads to the case."""
    await tx.execute("UPDATE moves SET moved_at = $2, declined_at = NULL WHERE case_id = $1", case_id, at)
    await tx.execute("UPDATE move_links SET used_at = $2 WHERE case_id = $1 AND used_at IS NULL", case_id, at)
    await tx.execute("UPDATE app_tickets SET used_at = $2 WHERE case_id = $1 AND used_at IS NULL", case_id, at)


async def update_wrong_passphrase(tx: Tx, case_id: str) -> int:
    """Counts a wrong passphrase. Gives how many there have been since the offer."""
    return int(
        await tx.fetchval(
            "UPDATE moves SET wrong_passphrases = wrong_passphrases + 1 WHERE case_id = $1 RETURNING wrong_passphrases",
            case_id,
        )
    )


async def update_news_wanted(tx: Tx, case_id: str, wanted: bool) -> bool:
    """Whether the app may say that there is news. False for a case that came by no app."""
    done: str = await tx.execute("UPDATE moves SET news_wanted = $2 WHERE case_id = $1", case_id, wanted)
    return done.endswith(" 1")


async def update_news(tx: Tx, case_id: str, at: datetime) -> None:
    """Notes that the app has been given the news."""
    await tx.execute("UPDATE moves SET news_at = $2 WHERE case_id = $1", case_id, at)


# Links


async def insert_link(
    tx: Tx, token_hash: bytes, code_hash: bytes, case_id: str, at: datetime, expires_at: datetime, own: bool
) -> bool:
    """One more link to a case's move; False if the code is another's."""
    done: str = await tx.execute(
        """
        INSERT INTO move_links (token_hash, code_hash, case_id, made_at, expires_at, own)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT DO NOTHING
        """,
        token_hash, code_hash, case_id, at, expires_at, own,
    )  # fmt: skip
    return done.endswith(" 1")


async def get_link(tx: Tx, *, token_hash: bytes | None = None, code_hash: bytes | None = None) -> Link | None:
    """The link with a token, or the one with a code."""
    row = await tx.fetchrow(
        """
        SELECT token_hash, case_id, expires_at, used_at, own FROM move_links
        WHERE token_hash = $1 OR code_hash = $2
        """,
        token_hash, code_hash,
    )  # fmt: skip
    return Link(**row) if row else None


async def delete_old_links(tx: Tx, before: datetime) -> int:
    """Forgets links that ran out before a moment. Gives how many."""
    done: str = await tx.execute("DELETE FROM move_links WHERE expires_at < $1", before)
    return int(done.rpartition(" ")[2])


# The case itself


async def update_person(tx: Tx, case_id: str, user_id: str, channel_id: str, at: datetime) -> None:
    """From now on the case's person is `user_id`, who came by another channel; the one before leaves in time.

    What they allowed on the page ends: on an app nobody could take it back.
    """
    await tx.execute(
        """
        INSERT INTO past_persons (case_id, user_id, channel_id, until, number)
        SELECT id, user_id, channel_id, $2, (SELECT count(*) + 1 FROM past_persons WHERE case_id = $1)
          FROM cases WHERE id = $1
        ON CONFLICT (case_id, user_id) DO UPDATE SET until = excluded.until, channel_id = excluded.channel_id
        """,
        case_id, at,
    )  # fmt: skip
    await tx.execute(
        "UPDATE cases SET user_id = $2, channel_id = $3, previous_shown = NULL WHERE id = $1",
        case_id, user_id, channel_id,
    )  # fmt: skip


async def list_past_persons(tx: Tx, case_id: str) -> list[str]:
    """As whom the person of a case came before, the latest last."""
    rows = await tx.fetch(
        """
        SELECT p.user_id FROM past_persons p JOIN cases c ON c.id = p.case_id
        WHERE p.case_id = $1 AND p.user_id <> c.user_id ORDER BY p.until
        """,
        case_id,
    )
    return [row["user_id"] for row in rows]


async def get_moved_case(tx: Tx, user_id: str) -> str | None:
    """The running case that whoever was this user has moved, and goes on with as another."""
    case_id: str | None = await tx.fetchval(
        f"""
        SELECT c.id FROM past_persons p JOIN cases c ON c.id = p.case_id
        WHERE p.user_id = $1 AND c.user_id <> $1 AND c.state IN {_RUNNING} ORDER BY p.until DESC LIMIT 1
        """,
        user_id,
    )
    return case_id


# What the bridges have to bring


async def list_errands(tx: Tx, appservice: str, seen_before: int, told_before: datetime) -> list[Errand]:
    """What the ghosts of an application service have to be brought, those in danger first.

    News are told where something was said before `seen_before` (ms) that nobody has looked at since, and nothing was
    told since `told_before`.
    """
    rows = await tx.fetch(
        f"""
        SELECT CASE WHEN m.to_channel IS NULL THEN 'offer' ELSE 'app_offer' END AS kind, m.case_id, m.ghost AS user_id
          FROM moves m JOIN cases c ON c.id = m.case_id JOIN accounts a ON a.user_id = m.ghost
         WHERE a.appservice = $1 AND m.queued_at IS NULL AND m.asked_by <> m.ghost AND c.user_id = m.ghost
           AND c.state IN {_RUNNING}
         ORDER BY array_position(ARRAY['urgent', 'high', 'watch', 'none'], c.risk), m.asked_at, m.case_id
        """,
        appservice,
    )
    news = await tx.fetch(
        f"""
        SELECT 'news' AS kind, m.case_id, m.ghost AS user_id
          FROM moves m JOIN cases c ON c.id = m.case_id JOIN accounts a ON a.user_id = m.ghost
         WHERE a.appservice = $1 AND m.moved_at IS NOT NULL AND m.news_wanted AND c.user_id <> m.ghost
           AND c.state IN {_RUNNING} AND coalesce(m.news_at, '-infinity') < $3
           AND EXISTS (
               SELECT 1 FROM events e JOIN staff s ON s.user_id = e.sender
                WHERE e.room_id = c.room_id AND e.type = 'm.room.encrypted' AND e.at < $2
                  AND e.at > coalesce(1000 * extract(epoch FROM m.news_at), 0)
                  AND e.at > coalesce((SELECT max(d.last_seen_at) FROM devices d WHERE d.user_id = c.user_id), 0))
         ORDER BY m.case_id
        """,
        appservice, seen_before, told_before,
    )  # fmt: skip
    return [Errand(**row) for row in [*rows, *news]]


# A channel's people


class Person(msgspec.Struct, frozen=True):
    """Somebody whose case runs on a channel, or has been moved off it and still runs.

    standing: None where nothing was offered yet; kept_until: where the case is kept on the app, signed by two
    """

    case_id: str
    risk: Risk
    state: str
    standing: Standing | None
    moved: bool
    kept_until: datetime | None
    kept_signed: bool
    counsellor: str | None


async def list_people(tx: Tx, channel_id: str, at: datetime) -> list[Person]:
    """Everybody of a channel, those in danger first."""
    rows = await tx.fetch(
        f"""
        SELECT c.id AS case_id, c.risk, c.state, c.channel_id <> $1 AS moved,
               CASE WHEN c.channel_id <> $1 THEN 'moved' WHEN m.moved_at IS NULL THEN {STANDING} END AS standing,
               k.until AS kept_until, k.signed_at IS NOT NULL AS kept_signed,
               (SELECT s.name FROM case_staff cs JOIN staff s USING (user_id)
                 WHERE cs.case_id = c.id AND cs.until IS NULL ORDER BY cs.part, cs.since DESC LIMIT 1) AS counsellor
          FROM cases c LEFT JOIN moves m ON m.case_id = c.id
          LEFT JOIN kept_cases k ON k.case_id = c.id AND k.until > $2
         WHERE c.state IN {_RUNNING} AND (c.channel_id = $1 OR EXISTS (
               SELECT 1 FROM past_persons p WHERE p.case_id = c.id AND p.channel_id = $1))
         ORDER BY array_position(ARRAY['urgent', 'high', 'watch', 'none'], c.risk), c.arrived_at, c.id
        """,
        channel_id, at,
    )  # fmt: skip
    return [Person(**row) for row in rows]


async def count_nowhere(tx: Tx, channel_id: str, at: datetime) -> int:
    """How many would be left with nowhere to go 行き先なし: their case runs on the channel and is not kept there."""
    return int(
        await tx.fetchval(
            f"""
            SELECT count(*) FROM cases c WHERE c.channel_id = $1 AND c.state IN {_RUNNING} AND NOT EXISTS (
                SELECT 1 FROM kept_cases k WHERE k.case_id = c.id AND k.signed_at IS NOT NULL AND k.until > $2)
            """,
            channel_id,
            at,
        )
    )
