"""What is destroyed with a case's room. Nothing of it can be brought back."""

from datetime import datetime

import msgspec

from madoguchi.ids import CaseID, RoomID, UserID
from madoguchi.storage.db import Tx
from madoguchi.storage.destructions import Kind

# Of which cases `c` a kind may still have to go.
_OPEN: dict[Kind, str] = {
    "media": "c.state = 'closed'",
    "keys": "c.state = 'closed'",
    "content": "c.state = 'closed'",
    "record": "c.state IN ('closed', 'purged')",
    "metadata": "c.state = 'purged' AND c.forgotten_at IS NOT NULL",
}
_HELD = """
    EXISTS (SELECT 1 FROM case_holds h
             WHERE h.case_id = c.id AND released_at IS NULL AND (ends_at IS NULL OR ends_at > $2))
"""


def _due(kind: Kind) -> str:
    return f"""
        {_OPEN[kind]} AND c.closed_at < $1 AND NOT EXISTS (
            SELECT 1 FROM case_destructions d WHERE d.case_id = c.id AND d.kind = '{kind}')
    """


async def list_due_of(tx: Tx, kind: Kind, before: datetime, now: datetime, most: int) -> list[CaseID]:
    """Cases that were closed before a moment, of which a kind has not gone yet and nothing holds now, oldest first."""
    rows = await tx.fetch(
        f"SELECT c.id FROM cases c WHERE {_due(kind)} AND NOT {_HELD} ORDER BY c.closed_at, c.id LIMIT $3",
        before,
        now,
        most,
    )
    return [row["id"] for row in rows]


async def count_due(tx: Tx, kind: Kind, before: datetime, now: datetime) -> tuple[int, int]:
    """How many cases were closed before a moment of which a kind has not gone yet, and how many of them are held."""
    row = await tx.fetchrow(
        f"SELECT count(*) AS due, count(*) FILTER (WHERE {_HELD}) AS held FROM cases c"
        f" WHERE {_due(kind).replace(' AND c.forgotten_at IS NOT NULL', '')}",
        before,
        now,
    )
    assert row is not None
    return row["due"], row["held"]


async def list_rooms_of(tx: Tx, case_id: CaseID) -> list[RoomID]:
    """The rooms of a case: its own, and the staff's if there is one."""
    row = await tx.fetchrow("SELECT room_id, side_room_id FROM cases WHERE id = $1", case_id)
    return [room_id for room_id in row if room_id is not None] if row else []


async def list_due(tx: Tx, before: datetime, now: datetime, most: int) -> list[CaseID]:
    """Cases that were closed before a moment and that nothing holds now, the oldest first."""
    rows = await tx.fetch(
        """
        SELECT id FROM cases c WHERE state = 'closed' AND closed_at < $1 AND NOT EXISTS (
            SELECT 1 FROM case_holds h
             WHERE h.case_id = c.id AND released_at IS NULL AND (ends_at IS NULL OR ends_at > $2))
        ORDER BY closed_at, id LIMIT $3
        """,
        before,
        now,
        most,
    )
    return [row["id"] for row in rows]


class Due(msgspec.Struct, frozen=True):
    """What a purge of a case would destroy, and whether something holds it."""

    case_id: CaseID
    closed_at: datetime
    held: bool
    events: int
    keys: int
    files: int


async def list_figures(tx: Tx, before: datetime, at: datetime) -> list[Due]:
    """What would be destroyed of each case that was closed before a moment, as things are; held: at a moment.

    A file of two cases goes with the last, and counts with neither.
    """
    rows = await tx.fetch(
        """
        SELECT c.id AS case_id, c.closed_at,
            EXISTS (SELECT 1 FROM case_holds h WHERE h.case_id = c.id AND released_at IS NULL
                    AND (ends_at IS NULL OR ends_at > $2)) AS held,
            -- Whoever is in a room leaves it: of them the departure stays.
            (SELECT count(*) FROM events e WHERE e.room_id IN (c.room_id, c.side_room_id)
                AND e.type <> 'm.room.create' AND NOT EXISTS (
                    SELECT 1 FROM memberships m WHERE m.room_id = e.room_id AND m.event_id = e.event_id
                    AND m.membership NOT IN ('join', 'invite', 'knock'))) AS events,
            (SELECT count(*) FROM vault_keys k WHERE k.room_id IN (c.room_id, c.side_room_id)) AS keys,
            (SELECT count(DISTINCT r.media_id) FROM media_rooms r WHERE r.room_id IN (c.room_id, c.side_room_id)
                AND NOT EXISTS (SELECT 1 FROM media_rooms o WHERE o.media_id = r.media_id
                    AND o.room_id <> c.room_id AND o.room_id IS DISTINCT FROM c.side_room_id)) AS files
          FROM cases c WHERE c.state = 'closed' AND c.closed_at < $1 ORDER BY c.closed_at, c.id
        """,
        before,
        at,
    )
    return [Due(**row) for row in rows]


async def list_to_forget(tx: Tx, before: datetime, most: int) -> list[CaseID]:
    """Cases that were purged before a moment and whose rooms still have their last traces."""
    rows = await tx.fetch(
        """
        SELECT id FROM cases WHERE state = 'purged' AND forgotten_at IS NULL AND purged_at < $1
        ORDER BY purged_at, id LIMIT $2
        """,
        before,
        most,
    )
    return [row["id"] for row in rows]


async def update_purged(tx: Tx, case_id: CaseID, at: datetime, *, by_wish: bool) -> None:
    """Notes that a case's content is destroyed, and whether the person wished it."""
    await tx.execute(
        "UPDATE cases SET state = 'purged', purged_at = $2, by_wish = $3, previous_shown = NULL WHERE id = $1",
        case_id,
        at,
        by_wish,
    )


async def update_forgotten(tx: Tx, case_id: CaseID, at: datetime) -> None:
    """Notes that nothing of a case's room is left."""
    await tx.execute("UPDATE cases SET forgotten_at = $2 WHERE id = $1", case_id, at)


async def delete_content(tx: Tx, room_id: RoomID) -> list[str]:
    """Everything in a room but its creation and the last membership of each member, and those without what stood there
    before. Gives the ids of the events."""
    gone = await tx.fetch(
        """
        DELETE FROM events e WHERE room_id = $1 AND type <> 'm.room.create' AND NOT EXISTS (
            SELECT 1 FROM current_state s
            WHERE s.room_id = $1 AND s.type = 'm.room.member' AND s.event_id = e.event_id)
        RETURNING event_id
        """,
        room_id,
    )
    await tx.execute("UPDATE events SET unsigned = '', replaces = NULL WHERE room_id = $1", room_id)
    await tx.execute(
        "DELETE FROM current_state WHERE room_id = $1 AND type NOT IN ('m.room.create', 'm.room.member')", room_id
    )
    for statement in (
        "DELETE FROM aliases WHERE room_id = $1",
        "DELETE FROM reports WHERE room_id = $1",
        "DELETE FROM receipts WHERE room_id = $1",
        "DELETE FROM account_data WHERE room_id = $1",
        "DELETE FROM moves WHERE case_id IN (SELECT id FROM cases WHERE room_id = $1)",
        "DELETE FROM app_tickets WHERE case_id IN (SELECT id FROM cases WHERE room_id = $1)",
        "DELETE FROM app_tries WHERE case_id IN (SELECT id FROM cases WHERE room_id = $1)",
        "DELETE FROM past_persons WHERE case_id IN (SELECT id FROM cases WHERE room_id = $1)",
        "DELETE FROM kept_cases WHERE case_id IN (SELECT id FROM cases WHERE room_id = $1)",
        "DELETE FROM disclosure_sightings WHERE disclosure_id IN (SELECT d.id FROM disclosures d "
        "JOIN cases c ON c.id = d.case_id WHERE c.room_id = $1)",
        "DELETE FROM case_answers WHERE case_id IN (SELECT id FROM cases WHERE room_id = $1)",
        "DELETE FROM blocks WHERE case_id IN (SELECT id FROM cases WHERE room_id = $1)",
        "DELETE FROM lock_reports WHERE case_id IN (SELECT id FROM cases WHERE room_id = $1)",
        "DELETE FROM pushes WHERE room_id = $1",
        # What stays tells nothing, but keeps a late repetition from being shown again, and the ledger whole.
        "UPDATE bridge_intake SET sealed = NULL, shown_as = NULL, message_key = NULL, room_id = NULL, person = '', "
        "happened_at = 0, outcome = coalesce(outcome, 'destroyed'), done_at = coalesce(done_at, received_at) "
        "WHERE room_id = $1",
        "DELETE FROM bridge_outbox WHERE room_id = $1",
        "DELETE FROM bridge_links WHERE room_id = $1",
        "DELETE FROM bridge_references WHERE room_id = $1",
        # The state has moved on: a worker that judges by what it remembers has to look again, and finds nothing.
        "UPDATE rooms SET public = false, state_pos = (SELECT max(pos) FROM events WHERE room_id = $1) "
        "WHERE room_id = $1",
    ):
        await tx.execute(statement, room_id)
    return [row["event_id"] for row in gone]


async def delete_keys(tx: Tx, room_id: RoomID) -> list[str]:
    """The keys of a room: those in the vault, and those in everybody's backup. Gives the sessions of
    those that the vault had."""
    gone = await tx.fetch("DELETE FROM vault_keys WHERE room_id = $1 RETURNING session_id", room_id)
    await tx.execute(
        """
        WITH gone AS (DELETE FROM key_backup_sessions WHERE room_id = $1 RETURNING user_id, version),
        counted AS (SELECT user_id, version, count(*) AS keys FROM gone GROUP BY user_id, version)
        UPDATE key_backups b SET etag = b.etag + 1, keys = b.keys - counted.keys
          FROM counted WHERE b.user_id = counted.user_id AND b.version = counted.version
        """,
        room_id,
    )
    return [row["session_id"] for row in gone]


async def delete_media(tx: Tx, room_id: RoomID) -> list[str]:
    """Files that belong to this room and to no other that still stands; what lies in the store is put on the list of
    what has to go. Gives the ids of the files."""
    rows = await tx.fetch(
        """
        WITH unlinked AS (DELETE FROM media_rooms WHERE room_id = $1 RETURNING media_id)
        SELECT media_id FROM unlinked
         WHERE NOT EXISTS (SELECT 1 FROM media_rooms r WHERE r.media_id = unlinked.media_id AND r.room_id <> $1)
        """,
        room_id,
    )
    media_ids = [row["media_id"] for row in rows]
    await tx.execute(
        """
        INSERT INTO media_removals (stored_as)
        SELECT stored_as FROM media WHERE media_id = ANY($1::text[]) AND stored_as IS NOT NULL
        UNION SELECT stored_as FROM thumbnails WHERE media_id = ANY($1::text[])
        ON CONFLICT DO NOTHING
        """,
        media_ids,
    )
    await tx.execute("DELETE FROM media WHERE media_id = ANY($1::text[])", media_ids)
    return media_ids


async def list_removals(tx: Tx, most: int) -> list[str]:
    """Names of files in the store that have to go, held until the end of the transaction."""
    rows = await tx.fetch("SELECT stored_as FROM media_removals LIMIT $1 FOR UPDATE SKIP LOCKED", most)
    return [row["stored_as"] for row in rows]


async def delete_removals(tx: Tx, stored_as: list[str]) -> None:
    """Takes files off the list of what has to go."""
    await tx.execute("DELETE FROM media_removals WHERE stored_as = ANY($1::text[])", stored_as)


async def delete_steps(tx: Tx, case_id: CaseID) -> list[str]:
    """What happened to a case: who, when, why. Gives the steps' numbers."""
    rows = await tx.fetch("DELETE FROM case_steps WHERE case_id = $1 RETURNING id", case_id)
    return [str(row["id"]) for row in rows]


async def update_anonymous(tx: Tx, case_id: CaseID, instead: str) -> bool:
    """Forgets whose a case was, where the person wished it; False where they did not."""
    await tx.execute(
        """
        UPDATE disclosures d SET asked_by = $2 FROM cases c
         WHERE c.id = d.case_id AND c.id = $1 AND c.by_wish AND d.asked_by = c.user_id
        """,
        case_id,
        instead,
    )
    done: str = await tx.execute(
        """
        UPDATE cases SET user_id = $2, language = NULL, closed_by = CASE WHEN closed_by <> user_id THEN closed_by END
         WHERE id = $1 AND by_wish
        """,
        case_id,
        instead,
    )
    return done == "UPDATE 1"


async def delete_staff(tx: Tx, case_id: CaseID) -> list[str]:
    """Who looked after a case. Gives who."""
    rows = await tx.fetch("DELETE FROM case_staff WHERE case_id = $1 RETURNING user_id", case_id)
    return [row["user_id"] for row in rows]


async def update_person_forgotten(tx: Tx, case_id: CaseID, instead: str) -> list[str]:
    """Forgets whose a case was. Gives the case's id, unless that was forgotten already."""
    await tx.execute("DELETE FROM disclosures WHERE case_id = $1", case_id)
    rows = await tx.fetch(
        """
        UPDATE cases SET user_id = $2, language = NULL, closed_by = NULL WHERE id = $1 AND user_id NOT LIKE 'gone:%'
        RETURNING id
        """,
        case_id,
        instead,
    )
    return [row["id"] for row in rows]


async def delete_room(tx: Tx, room_id: RoomID) -> None:
    """The last traces of a room."""
    for table in ("events", "current_state", "memberships", "rooms"):
        await tx.execute(f"DELETE FROM {table} WHERE room_id = $1", room_id)


async def has_other_case(tx: Tx, user_id: UserID) -> bool:
    """Whether somebody has a case that is not forgotten."""
    found: bool = await tx.fetchval(
        "SELECT EXISTS (SELECT 1 FROM cases WHERE user_id = $1 AND forgotten_at IS NULL)", user_id
    )
    return found


async def delete_belongings(tx: Tx, user_id: UserID) -> None:
    """What an account that is closed for good has left behind: its keys, its backup, its settings."""
    for table in (
        "key_backup_sessions",
        "key_backups",
        "cross_signing_keys",
        "account_data",
        "filters",
        "push_rules",
        "return_keys",
    ):
        await tx.execute(f"DELETE FROM {table} WHERE user_id = $1", user_id)
    await tx.execute("DELETE FROM key_signatures WHERE signer = $1 OR target = $1", user_id)
