"""The bridges' SQL: their own tables, and a look at the desk's `channels` and `kept_cases`. Times: ms since 1970."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import asyncpg
import msgspec

from .network import Finding

Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record] | asyncpg.Pool"
)
"""Anything that runs a statement: a connection inside somebody's transaction, or the pool."""

# What is raised while the database is away or dies; asyncpg's InternalClientError when it dies in the middle of a word.
AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class ChannelRow(msgspec.Struct, frozen=True):
    id: str
    kind: str
    mode: str
    reason: str | None
    sealed_secrets: str | None
    settings: str = "{}"


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """One event that came in. `seq` is given by the database."""

    channel_id: str
    event_key: str
    person: str
    kind: str
    message_key: str | None
    happened_at: int
    received_at: int
    sealed: bytes
    seq: int = 0
    room_id: str | None = None
    attempts: int = 0
    next_at: int = 0
    aside: bool = False  # a file that the app is still preparing; what comes after it does not wait


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody on an app; from the first case on with a ghost (`user_id`)."""

    person: str
    channel_id: str
    sealed_address: bytes
    noticed_at: int = 0
    shown_at: int = 0
    left_at: int | None = None
    user_id: str | None = None
    case_id: str | None = None
    room_id: str | None = None  # without a case: it goes on at another app, and the ghost is still in its room
    since: int = 0  # when the case came to this app; what was said in its room before is not carried here


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """One message on its way to the app."""

    channel_id: str
    person: str
    event_key: str
    room_id: str | None
    created_at: int
    sealed: bytes | None = None
    sealed_reply: bytes | None = None
    requests_done: int = 0
    attempts: int = 0
    next_at: int = 0
    delayed_told: bool = False
    outcome: str | None = None
    seq: int = 0
    about: str = ""  # the event that a reaction is on, out of what is sealed


class FileLink(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a file that was sent to an app. `name`: the hash of what stands in the address."""

    name: str
    channel_id: str
    person: str
    room_id: str
    event_key: str
    sealed: bytes
    expires_at: int


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """Which message of the app is which event of a room, in either direction. `sealed`: a network.Ref."""

    channel_id: str
    message_key: str
    room_id: str
    event_id: str
    sealed: bytes
    at: int
    is_readable: bool = False  # there is something that says that it was read, and nobody has said so yet


INTAKE = (
    "seq, channel_id, event_key, person, kind, message_key, happened_at, received_at, sealed, room_id, attempts, "
    "next_at, aside"
)
PERSON = "person, channel_id, sealed_address, noticed_at, shown_at, left_at, user_id, case_id, room_id, since"
LEAVING = (
    "seq, channel_id, person, event_key, room_id, created_at, sealed, sealed_reply, requests_done, attempts, "
    "next_at, delayed_told, outcome"
)


async def list_channels(db: Connection) -> list[ChannelRow]:
    rows = await db.fetch("SELECT id, kind, mode, reason, sealed_secrets, settings::text AS settings FROM channels")
    return [ChannelRow(**row) for row in rows]


async def list_checks_asked(db: Connection) -> list[str]:
    """The channels whose connection somebody wants to be checked."""
    return [
        row["channel_id"] for row in await db.fetch("SELECT channel_id FROM channel_checks WHERE checked_at IS NULL")
    ]


async def put_findings(db: Connection, channel_id: str, findings: Sequence[Finding]) -> None:
    """What a check has found."""
    await db.execute(
        "UPDATE channel_checks SET checked_at = now(), findings = $2::text::jsonb WHERE channel_id = $1",
        channel_id,
        msgspec.json.encode(findings).decode(),
    )


# Intake


async def insert_intake(db: Connection, items: list[Intake]) -> int:
    """Stores what is new, in the list's order, and counts all of it; gives how many were new. Durable once the
    transaction has committed."""
    new: int = await db.fetchval(
        """
        WITH given AS (
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],
                                 $7::bigint[], $8::bytea[])
              WITH ORDINALITY
                AS given (channel_id, event_key, person, kind, message_key, happened_at, received_at, sealed, place)),
        new AS (
            INSERT INTO bridge_intake
                   (channel_id, event_key, person, kind, message_key, happened_at, received_at, sealed)
            SELECT channel_id, event_key, person, kind, message_key, happened_at, received_at, sealed
              FROM given ORDER BY place
            ON CONFLICT (channel_id, event_key) DO NOTHING
            RETURNING channel_id),
        counted AS (
            INSERT INTO bridge_doors AS door (channel_id, received, repeated)
            SELECT channel_id, count(*), count(*) - (SELECT count(*) FROM new WHERE new.channel_id = given.channel_id)
              FROM given GROUP BY channel_id ORDER BY channel_id
            ON CONFLICT (channel_id) DO UPDATE
               SET received = door.received + excluded.received, repeated = door.repeated + excluded.repeated)
        SELECT count(*) FROM new
        """,
        [item.channel_id for item in items],
        [item.event_key for item in items],
        [item.person for item in items],
        [item.kind for item in items],
        [item.message_key for item in items],
        [item.happened_at for item in items],
        [item.received_at for item in items],
        [item.sealed for item in items],
    )
    return new


async def list_people_waiting(db: Connection, now: int) -> list[str]:
    """Whose earliest waiting event may be looked at now. "" stands for events that concern nobody."""
    rows = await db.fetch(
        """
        SELECT person FROM (
            SELECT DISTINCT ON (person) person, next_at FROM bridge_intake
            WHERE outcome IS NULL AND NOT aside ORDER BY person, happened_at, seq
        ) AS first WHERE next_at <= $1
        """,
        now,
    )
    return [row["person"] for row in rows]


async def get_next_intake(db: Connection, person: str) -> Intake | None:
    """The person's earliest waiting event by the app's clock."""
    row = await db.fetchrow(
        f"""
        SELECT {INTAKE} FROM bridge_intake WHERE person = $1 AND outcome IS NULL AND NOT aside
         ORDER BY happened_at, seq LIMIT 1
        """,
        person,
    )
    return Intake(**row) if row else None


async def list_aside(db: Connection, now: int) -> list[str]:
    """The `seq` of each file that the app may have ready now."""
    rows = await db.fetch(
        "SELECT seq FROM bridge_intake WHERE outcome IS NULL AND aside AND next_at <= $1 ORDER BY next_at", now
    )
    return [str(row["seq"]) for row in rows]


async def get_aside(db: Connection, seq: int) -> Intake | None:
    row = await db.fetchrow(f"SELECT {INTAKE} FROM bridge_intake WHERE seq = $1 AND outcome IS NULL AND aside", seq)
    return Intake(**row) if row else None


async def update_intake_room(db: Connection, seq: int, room_id: str) -> None:
    """Notes the room before anything is sent there, so that a repetition after a crash goes to the same one."""
    await db.execute("UPDATE bridge_intake SET room_id = $2 WHERE seq = $1", seq, room_id)


async def finish_intake(db: Connection, seq: int, outcome: str, now: int, shown_as: str | None = None) -> None:
    """Records what became of an event and destroys its sealed content."""
    await db.execute(
        """
        UPDATE bridge_intake SET outcome = $2, done_at = $3, shown_as = $4, sealed = NULL
        WHERE seq = $1 AND outcome IS NULL
        """,
        seq,
        outcome,
        now,
        shown_as,
    )


async def put_off_intake(db: Connection, seq: int, next_at: int, aside: bool = False) -> None:
    """`aside`: what comes after it does not wait for it."""
    await db.execute(
        "UPDATE bridge_intake SET attempts = attempts + 1, next_at = $2, aside = aside OR $3 WHERE seq = $1",
        seq,
        next_at,
        aside,
    )


async def get_shown(db: Connection, channel_id: str, message_key: str) -> tuple[str, str] | None:
    """(room id, Matrix event id) of what a message of the app is shown as."""
    row = await db.fetchrow(
        """
        SELECT room_id, shown_as FROM bridge_intake
        WHERE message_key = $1 AND channel_id = $2 AND kind = 'message' AND shown_as IS NOT NULL
        """,
        message_key,
        channel_id,
    )
    return (row["room_id"], row["shown_as"]) if row else None


async def is_withdrawn(db: Connection, channel_id: str, message_key: str) -> bool:
    """Whether the message's withdrawal has come in, be it worked off or not."""
    found: bool = await db.fetchval(
        """
        SELECT EXISTS (SELECT FROM bridge_intake WHERE message_key = $1 AND channel_id = $2 AND kind = 'withdrawn')
        """,
        message_key,
        channel_id,
    )
    return found


async def delete_old(db: Connection, before: int) -> None:
    """Forgets finished events and messages; until then they keep redeliveries from being shown twice. How many events
    there were and what became of them stays."""
    await db.execute(
        """
        WITH gone AS (DELETE FROM bridge_intake WHERE done_at < $1 RETURNING channel_id, outcome)
        INSERT INTO bridge_forgotten AS known (channel_id, outcome, events)
        SELECT channel_id, outcome, count(*) FROM gone GROUP BY channel_id, outcome
        ON CONFLICT (channel_id, outcome) DO UPDATE SET events = known.events + excluded.events
        """,
        before,
    )
    await db.execute("DELETE FROM bridge_outbox WHERE done_at < $1 AND told_at IS NOT NULL", before)
    await db.execute("DELETE FROM bridge_links WHERE expires_at < $1", before)
    await db.execute("DELETE FROM bridge_references WHERE at < $1", before)


# People and their ghosts


async def get_person(db: Connection, person: str) -> Person | None:
    row = await db.fetchrow(f"SELECT {PERSON} FROM bridge_people WHERE person = $1", person)
    return Person(**row) if row else None


async def get_person_of(db: Connection, user_id: str) -> Person | None:
    """The person whom a ghost stands for."""
    row = await db.fetchrow(f"SELECT {PERSON} FROM bridge_people WHERE user_id = $1", user_id)
    return Person(**row) if row else None


async def is_kept(db: Connection, case_id: str | None) -> bool:
    """Whether two people keep the case on its app, whatever the channel's mode (the desk's `kept_cases`)."""
    found: bool = await db.fetchval(
        "SELECT EXISTS (SELECT FROM kept_cases WHERE case_id = $1 AND signed_at IS NOT NULL AND until > now())", case_id
    )
    return found


async def list_present(db: Connection) -> list[Person]:
    """Everybody whose ghost is in a room: with a running case, or still on the way out of one that has moved."""
    rows = await db.fetch(f"SELECT {PERSON} FROM bridge_people WHERE room_id IS NOT NULL ORDER BY person")
    return [Person(**row) for row in rows]


async def list_people_in(db: Connection, room_id: str) -> list[Person]:
    """Whose ghosts are in a room, held until the end of the transaction; the one whose case it is first."""
    rows = await db.fetch(
        f"SELECT {PERSON} FROM bridge_people WHERE room_id = $1 ORDER BY case_id IS NULL, person FOR UPDATE", room_id
    )
    return [Person(**row) for row in rows]


async def get_carrier(db: Connection, room_id: str) -> Person | None:
    """The person whose running case a room is."""
    row = await db.fetchrow(f"SELECT {PERSON} FROM bridge_people WHERE room_id = $1 AND case_id IS NOT NULL", room_id)
    return Person(**row) if row else None


async def leave_room(db: Connection, person: str, room_id: str) -> None:
    """The ghost is out of a room, or the room's case is over."""
    await db.execute(
        "UPDATE bridge_people SET case_id = NULL, room_id = NULL WHERE person = $1 AND room_id = $2", person, room_id
    )


async def put_account(db: Connection, channel_id: str, start_url: str) -> None:
    """Notes how an account is opened on a phone."""
    await db.execute(
        """
        INSERT INTO bridge_accounts (channel_id, start_url) VALUES ($1, $2)
        ON CONFLICT (channel_id) DO UPDATE SET start_url = excluded.start_url
        """,
        channel_id,
        start_url,
    )


async def insert_person(db: Connection, person: str, channel_id: str, sealed_address: bytes) -> None:
    await db.execute(
        "INSERT INTO bridge_people (person, channel_id, sealed_address) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        person,
        channel_id,
        sealed_address,
    )


async def update_person(db: Connection, person: str, **columns: Any) -> None:
    """Sets columns of bridge_people; the names are written in the code that calls, never taken from outside."""
    if unknown := set(columns) - set(Person.__struct_fields__):
        raise ValueError(f"no such columns: {sorted(unknown)}")
    sets = ", ".join(f"{name} = ${number}" for number, name in enumerate(columns, 2))
    await db.execute(f"UPDATE bridge_people SET {sets} WHERE person = $1", person, *columns.values())


async def raise_shown_at(db: Connection, person: str, happened_at: int) -> None:
    await db.execute(
        "UPDATE bridge_people SET shown_at = greatest(shown_at, $2) WHERE person = $1", person, happened_at
    )


async def may_notice(db: Connection, person: str, now: int, since: int) -> bool:
    """Takes the right to send the person a neutral notice: True once, then not until `since` has passed it."""
    status: str = await db.execute(
        "UPDATE bridge_people SET noticed_at = $2 WHERE person = $1 AND noticed_at <= $3", person, now, since
    )
    return status.endswith(" 1")


async def end_case(db: Connection, person: str, case_id: str) -> None:
    """The case is over; the ghost rests until the next one."""
    await db.execute(
        "UPDATE bridge_people SET case_id = NULL, room_id = NULL WHERE person = $1 AND case_id = $2", person, case_id
    )


# Outbox


async def insert_leaving(db: Connection, item: Leaving) -> bool:
    """Queues a message for the app, once per `event_key`; gives whether it was new."""
    status: str = await db.execute(
        """
        INSERT INTO bridge_outbox (channel_id, person, event_key, room_id, sealed, created_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (event_key) DO NOTHING
        """,
        item.channel_id,
        item.person,
        item.event_key,
        item.room_id,
        item.sealed,
        item.created_at,
    )
    return status.endswith(" 1")


async def list_people_leaving(db: Connection, now: int) -> list[str]:
    """Whose first waiting message may be tried now. A message that is put off holds the person's later ones back."""
    rows = await db.fetch(
        """
        SELECT person FROM (
            SELECT DISTINCT ON (person) person, next_at FROM bridge_outbox WHERE outcome IS NULL ORDER BY person, seq
        ) AS first WHERE next_at <= $1
        """,
        now,
    )
    return [row["person"] for row in rows]


async def get_next_leaving(db: Connection, person: str) -> Leaving | None:
    row = await db.fetchrow(
        f"SELECT {LEAVING} FROM bridge_outbox WHERE person = $1 AND outcome IS NULL ORDER BY seq LIMIT 1", person
    )
    return Leaving(**row) if row else None


async def list_people_untold(db: Connection) -> list[str]:
    """In whose rooms the outcome of a message has not been told yet."""
    rows = await db.fetch(
        "SELECT DISTINCT person FROM bridge_outbox WHERE outcome IS NOT NULL AND told_at IS NULL ORDER BY person"
    )
    return [row["person"] for row in rows]


async def list_untold(db: Connection, person: str) -> list[Leaving]:
    """The person's messages whose outcome the room has not heard yet, oldest first."""
    rows = await db.fetch(
        f"""
        SELECT {LEAVING} FROM bridge_outbox WHERE person = $1 AND outcome IS NOT NULL AND told_at IS NULL ORDER BY seq
        """,
        person,
    )
    return [Leaving(**row) for row in rows]


async def update_leaving(db: Connection, seq: int, **columns: Any) -> None:
    """Sets columns of bridge_outbox; as `update_person`."""
    known = {"sealed", "sealed_reply", "requests_done", "attempts", "next_at", "delayed_told", "told_at"}
    if unknown := set(columns) - known:
        raise ValueError(f"no such columns: {sorted(unknown)}")
    sets = ", ".join(f"{name} = ${number}" for number, name in enumerate(columns, 2))
    await db.execute(f"UPDATE bridge_outbox SET {sets} WHERE seq = $1", seq, *columns.values())


async def withdraw_leaving(db: Connection, event_key: str, now: int) -> bool:
    """Stops a message that has not begun to leave; gives whether there was one to stop."""
    status: str = await db.execute(
        """
        UPDATE bridge_outbox SET outcome = 'withdrawn', done_at = $2::bigint, told_at = $2::bigint, sealed = NULL
        WHERE event_key = $1 AND outcome IS NULL AND attempts = 0 AND requests_done = 0 AND sealed_reply IS NULL
        """,
        event_key,
        now,
    )
    return status.endswith(" 1")


async def is_leaving(db: Connection, event_key: str) -> bool:
    """Whether the message is in the outbox, or has been."""
    found: bool = await db.fetchval("SELECT EXISTS (SELECT FROM bridge_outbox WHERE event_key = $1)", event_key)
    return found


async def has_left(db: Connection, event_key: str) -> bool:
    """Whether the app has been given the message, or is just being given it."""
    found: bool = await db.fetchval(
        """
        SELECT EXISTS (SELECT FROM bridge_outbox
                        WHERE event_key = $1 AND coalesce(outcome, 'accepted') IN ('accepted', 'replaces'))
        """,
        event_key,
    )
    return found


async def finish_leaving(db: Connection, seq: int, outcome: str, now: int, sealed: bytes | None = None) -> None:
    """Records what became of a message and destroys its sealed content; `sealed`: what the telling still needs. Notices
    need telling to nobody, but offers of a move do, and news of what a counsellor said."""
    await db.execute(
        """
        UPDATE bridge_outbox SET outcome = $2, done_at = $3::bigint, sealed = $4, sealed_reply = NULL,
               told_at = CASE WHEN room_id IS NULL AND event_key NOT LIKE 'notice:move:%'
                               AND event_key NOT LIKE 'notice:news:$%' THEN $3::bigint END
        WHERE seq = $1 AND outcome IS NULL
        """,
        seq,
        outcome,
        now,
        sealed,
    )


# Addresses of files


async def insert_link(db: Connection, link: FileLink) -> None:
    """Notes an address, once; a repetition does not make it last longer."""
    await db.execute(
        """
        INSERT INTO bridge_links (name, channel_id, person, room_id, event_key, sealed, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO NOTHING
        """,
        link.name,
        link.channel_id,
        link.person,
        link.room_id,
        link.event_key,
        link.sealed,
        link.expires_at,
    )


async def get_link(db: Connection, name: str, now: int) -> FileLink | None:
    """An address that is good at the moment."""
    row = await db.fetchrow(
        """
        SELECT name, channel_id, person, room_id, event_key, sealed, expires_at
        FROM bridge_links WHERE name = $1 AND expires_at > $2 AND sealed IS NOT NULL
        """,
        name,
        now,
    )
    return FileLink(**row) if row else None


async def revoke_links(db: Connection, event_key: str) -> bool:
    """Takes the addresses of a message's files back, for good; gives whether there were any."""
    status: str = await db.execute(
        "UPDATE bridge_links SET sealed = NULL WHERE event_key = $1 AND sealed IS NOT NULL", event_key
    )
    return not status.endswith(" 0")


# Which message is which event

REFERENCE = "channel_id, message_key, room_id, event_id, sealed, at, is_readable"


async def put_reference(db: Connection, reference: Reference) -> None:
    """Notes which event a message is; where it is shown anew, the newer one counts."""
    await db.execute(
        f"""
        INSERT INTO bridge_references ({REFERENCE}) VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (channel_id, message_key) DO UPDATE SET room_id = excluded.room_id, event_id = excluded.event_id
        """,
        reference.channel_id,
        reference.message_key,
        reference.room_id,
        reference.event_id,
        reference.sealed,
        reference.at,
        reference.is_readable,
    )


async def get_reference(db: Connection, channel_id: str, message_key: str) -> Reference | None:
    """What a message of the app is in a room."""
    row = await db.fetchrow(
        f"SELECT {REFERENCE} FROM bridge_references WHERE channel_id = $1 AND message_key = $2", channel_id, message_key
    )
    return Reference(**row) if row else None


async def list_references(db: Connection, channel_id: str, event_id: str) -> list[Reference]:
    """As what an event is at the app of a channel: long words are several messages."""
    rows = await db.fetch(
        f"SELECT {REFERENCE} FROM bridge_references WHERE event_id = $2 AND channel_id = $1 ORDER BY seq",
        channel_id,
        event_id,
    )
    return [Reference(**row) for row in rows]


async def delete_references(db: Connection, channel_id: str, event_id: str) -> None:
    await db.execute("DELETE FROM bridge_references WHERE event_id = $2 AND channel_id = $1", channel_id, event_id)


async def take_read(db: Connection, channel_id: str, room_id: str, event_id: str, at: int) -> Reference | None:
    """The newest message that somebody has read now, who has read `event_id` at a moment, and whom nobody told yet."""
    row = await db.fetchrow(
        f"""
        WITH seen AS (
            SELECT seq FROM bridge_references
             WHERE room_id = $1 AND is_readable AND (event_id = $2 OR at <= $3) AND channel_id = $4
             ORDER BY event_id = $2 DESC, seq DESC LIMIT 1),
        done AS (
            UPDATE bridge_references r SET is_readable = false FROM seen
             WHERE r.room_id = $1 AND r.is_readable AND r.seq <= seen.seq AND r.channel_id = $4)
        SELECT {REFERENCE} FROM bridge_references JOIN seen USING (seq)
        """,
        room_id,
        event_id,
        at,
        channel_id,
    )
    return Reference(**row) if row else None


# Quota


async def put_quota(db: Connection, channel_id: str, most: int | None, used: int, now: int) -> None:
    """Notes what the app says of the month's quota."""
    await db.execute(
        """
        INSERT INTO bridge_quota (channel_id, most, used, read_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (channel_id) DO UPDATE SET most = excluded.most, used = excluded.used, read_at = excluded.read_at
        """,
        channel_id,
        most,
        used,
        now,
    )


async def is_urgent(db: Connection, case_id: str | None) -> bool:
    """Whether somebody may be in danger, as the counsellors see it."""
    found: bool = await db.fetchval(
        "SELECT EXISTS (SELECT FROM cases WHERE id = $1 AND risk IN ('high', 'urgent'))", case_id
    )
    return found
