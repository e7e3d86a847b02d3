"""Disclosures 開示: who asks to see what is kept of a case, who decided, and what became of it. Never what was said."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from madoguchi.ids import CaseID, UserID
from madoguchi.storage.db import Tx
from madoguchi.storage.devices import Sighting

Kind = Literal["own", "court", "life_at_risk"]
State = Literal["asked", "approved", "opened", "done", "refused", "expired"]
Handover = Literal["in_person", "in_conversation"]
Refusal = Literal["not_the_person", "rights_of_others", "no_grounds", "not_kept", "withdrawn"]


class Disclosure(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it stands.

    state: `expired` is never stored, it follows from ends_at; reason: why, never what was said (empty for one's own);
    reference: the number of a court's file; side_room: whether the staff's own room belongs to it; decided_by: who
    approved or refused it, another person than asked_by; opened_at: when it was looked at first.
    """

    id: str
    case_id: CaseID
    kind: Kind
    state: State
    reason: str
    reference: str
    side_room: bool
    asked_by: str
    asked_at: datetime
    ends_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    handover: Handover | None = None
    refusal: Refusal | None = None
    opened_at: datetime | None = None
    done_by: str | None = None
    done_at: datetime | None = None

    def at(self, moment: datetime) -> "Disclosure":
        """How it stands at a moment: what nobody has opened in time is over, and so is every look at a person."""
        waits = self.state in ("asked", "approved") or (self.state == "opened" and self.kind == "life_at_risk")
        return msgspec.structs.replace(self, state="expired") if waits and moment >= self.ends_at else self

    @property
    def two(self) -> tuple[str, str | None]:
        """The two people without whom nothing is shown."""
        return self.asked_by, self.decided_by


class Address(msgspec.Struct, frozen=True):
    """A network address from which the person's device has called; milliseconds since 1970."""

    address: str
    first_at: int
    last_at: int


class Traces(msgspec.Struct, frozen=True):
    """What is known of who somebody is, besides codes and addresses. seen_at, said_at: milliseconds, None for never.

    names: what they call themselves, where their account has a name of its own; apps: the kinds of the apps on which
    bridges know them
    """

    since_ms: int
    seen_at: int | None
    said_at: int | None
    names: list[str]
    apps: list[str]


_COLUMNS = ", ".join(Disclosure.__struct_fields__)
# Open at $1: somebody still has to do something, or may still look.
_OPEN = "(state IN ('asked', 'approved') OR state = 'opened' AND kind = 'life_at_risk') AND ends_at > $1"


async def insert(tx: Tx, new: Disclosure) -> None:
    """Writes down that somebody asks."""
    await tx.execute(
        """
        INSERT INTO disclosures (id, case_id, kind, reason, reference, side_room, asked_by, asked_at, ends_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        new.id, new.case_id, new.kind, new.reason, new.reference, new.side_room, new.asked_by, new.asked_at,
        new.ends_at,
    )  # fmt: skip


async def lock(tx: Tx, disclosure_id: str) -> Disclosure | None:
    """A request, held until the end of the transaction."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM disclosures WHERE id = $1 FOR UPDATE", disclosure_id)
    return Disclosure(**row) if row else None


async def update_decided(tx: Tx, new: Disclosure) -> None:
    """Notes the decision."""
    await tx.execute(
        """
        UPDATE disclosures SET state = $2, decided_by = $3, decided_at = $4, handover = $5, refusal = $6, ends_at = $7
         WHERE id = $1
        """,
        new.id, new.state, new.decided_by, new.decided_at, new.handover, new.refusal, new.ends_at,
    )  # fmt: skip


async def update_opened(tx: Tx, disclosure_id: str, at: datetime) -> None:
    """Notes that it was looked at; the first time stays."""
    await tx.execute(
        "UPDATE disclosures SET state = 'opened', opened_at = coalesce(opened_at, $2) WHERE id = $1", disclosure_id, at
    )


async def update_done(tx: Tx, disclosure_id: str, by: str, at: datetime) -> None:
    """Notes that it is handed over, or needed no longer. Addresses are gone with it."""
    await tx.execute(
        "UPDATE disclosures SET state = 'done', done_by = $2, done_at = $3 WHERE id = $1", disclosure_id, by, at
    )
    await tx.execute("DELETE FROM disclosure_sightings WHERE disclosure_id = $1", disclosure_id)


async def list_newest(tx: Tx, since: datetime, most: int) -> list[Disclosure]:
    """What was asked since a moment, the newest first."""
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM disclosures WHERE asked_at >= $1 ORDER BY asked_at DESC, id LIMIT $2", since, most
    )
    return [Disclosure(**row) for row in rows]


async def list_of_case(tx: Tx, case_id: CaseID, kind: Kind) -> list[Disclosure]:
    """What was asked of a case, the newest first."""
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM disclosures WHERE case_id = $1 AND kind = $2 ORDER BY asked_at DESC, id", case_id, kind
    )
    return [Disclosure(**row) for row in rows]


async def get_own(tx: Tx, user_id: UserID) -> Disclosure | None:
    """What a person asked for last of their own."""
    row = await tx.fetchrow(
        f"SELECT {_COLUMNS} FROM disclosures WHERE asked_by = $1 AND kind = 'own' ORDER BY asked_at DESC LIMIT 1",
        user_id,
    )
    return Disclosure(**row) if row else None


async def list_open(tx: Tx, at: datetime) -> list[Disclosure]:
    """Those that wait for somebody, or that somebody may still look at."""
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM disclosures WHERE {_OPEN} ORDER BY asked_at, id", at)
    return [Disclosure(**row) for row in rows]


async def get_traces(tx: Tx, case_id: CaseID) -> Traces:
    """What is known of the person of a case, under every account by which they came to it."""
    row = await tx.fetchrow(
        """
        WITH people AS (
            SELECT user_id, room_id FROM cases WHERE id = $1
            UNION SELECT p.user_id, c.room_id FROM past_persons p JOIN cases c ON c.id = p.case_id WHERE c.id = $1)
        SELECT (SELECT min(created_at) FROM accounts JOIN people USING (user_id)) AS since_ms,
               (SELECT max(last_seen_at) FROM devices JOIN people USING (user_id)) AS seen_at,
               (SELECT max(at) FROM events e JOIN people p ON p.room_id = e.room_id AND p.user_id = e.sender
                 WHERE e.type = 'm.room.encrypted') AS said_at,
               (SELECT coalesce(array_agg(displayname ORDER BY user_id), '{}')
                  FROM profiles JOIN people USING (user_id) JOIN accounts a USING (user_id)
                 WHERE a.kind = 'user' AND displayname IS NOT NULL) AS names,
               (SELECT coalesce(array_agg(DISTINCT h.kind), '{}')
                  FROM bridge_people b JOIN people USING (user_id) JOIN channels h ON h.id = b.channel_id) AS apps
        """,
        case_id,
    )
    assert row is not None
    return Traces(**row)


async def list_app_addresses(tx: Tx, case_id: CaseID) -> list[tuple[str, bytes]]:
    """(kind of app, by what it knows the person, sealed to the bridges' key) of a case, of each app they came by."""
    rows = await tx.fetch(
        """
        SELECT h.kind, b.sealed_address FROM bridge_people b JOIN channels h ON h.id = b.channel_id
         WHERE b.user_id IN (SELECT user_id FROM cases WHERE id = $1
                             UNION SELECT user_id FROM past_persons WHERE case_id = $1)
         ORDER BY h.kind, b.person
        """,
        case_id,
    )
    return [(row["kind"], row["sealed_address"]) for row in rows]


async def insert_sightings(tx: Tx, sightings: Sequence[Sighting], at: datetime) -> None:
    """Keeps from where devices call, of those for whose life two people have opened the glass, and of nobody else."""
    await tx.execute(
        f"""
        INSERT INTO disclosure_sightings AS s (disclosure_id, address, first_at, last_at)
        SELECT d.id, seen.address, min(seen.at), max(seen.at)
          FROM unnest($2::text[], $3::text[], $4::bigint[]) AS seen(user_id, address, at)
          JOIN cases c ON c.user_id = seen.user_id
          JOIN (SELECT id, case_id FROM disclosures
                 WHERE kind = 'life_at_risk' AND state IN ('approved', 'opened') AND {_OPEN}) d ON d.case_id = c.id
         GROUP BY d.id, seen.address ORDER BY d.id, seen.address
        ON CONFLICT (disclosure_id, address) DO UPDATE SET last_at = greatest(s.last_at, excluded.last_at)
        """,
        at,
        [seen.user_id for seen in sightings],
        [seen.address for seen in sightings],
        [seen.at for seen in sightings],
    )


async def list_addresses(tx: Tx, disclosure_id: str) -> list[Address]:
    """From where the person's devices have called, the latest first."""
    rows = await tx.fetch(
        "SELECT address, first_at, last_at FROM disclosure_sightings WHERE disclosure_id = $1 ORDER BY last_at DESC",
        disclosure_id,
    )
    return [Address(**row) for row in rows]


async def delete_sightings(tx: Tx, at: datetime) -> int:
    """Forgets the addresses of requests that have ended. Gives how many."""
    done: str = await tx.execute(
        f"DELETE FROM disclosure_sightings WHERE disclosure_id NOT IN (SELECT id FROM disclosures WHERE {_OPEN})", at
    )
    return int(done.rpartition(" ")[2])
