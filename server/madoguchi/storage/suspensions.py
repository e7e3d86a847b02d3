"""Suspending a channel: cases that are kept on it, closings that wait for a second signature, switches to come."""

from datetime import datetime

import msgspec

from madoguchi.storage.channels import Mode
from madoguchi.storage.db import Tx


class Kept(msgspec.Struct, frozen=True):
    """A case that stays on its app because a life is at stake: in force once a second person has signed."""

    case_id: str
    reason: str
    until: datetime
    asked_by: str
    asked_at: datetime
    signed_by: str | None
    signed_at: datetime | None


class Closing(msgspec.Struct, frozen=True):
    """nowhere: how many would have been left with nowhere to go when it was asked for."""

    channel_id: str
    reason: str
    nowhere: int
    asked_by: str
    asked_at: datetime


class PlannedSwitch(msgspec.Struct, frozen=True):
    """refused: why it could not be done when its time came."""

    channel_id: str
    mode: Mode
    reason: str
    at: datetime
    planned_by: str
    planned_at: datetime
    refused: str | None


async def lock_kept(tx: Tx, case_id: str) -> Kept | None:
    """The keeping of a case, held until the end of the transaction."""
    row = await tx.fetchrow("SELECT * FROM kept_cases WHERE case_id = $1 FOR UPDATE", case_id)
    return Kept(**row) if row else None


async def put_kept(tx: Tx, case_id: str, reason: str, until: datetime, by: str, at: datetime) -> None:
    """Asks for a case to be kept, in the place of what was asked for before."""
    await tx.execute(
        """
        INSERT INTO kept_cases (case_id, reason, until, asked_by, asked_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (case_id) DO UPDATE SET reason = excluded.reason, until = excluded.until,
            asked_by = excluded.asked_by, asked_at = excluded.asked_at, signed_by = NULL, signed_at = NULL
        """,
        case_id, reason, until, by, at,
    )  # fmt: skip


async def update_kept_signed(tx: Tx, case_id: str, by: str, at: datetime) -> None:
    """Puts a keeping in force."""
    await tx.execute("UPDATE kept_cases SET signed_by = $2, signed_at = $3 WHERE case_id = $1", case_id, by, at)


async def list_channels_with_kept(tx: Tx, at: datetime) -> set[str]:
    """The channels on which a running case is kept at a moment: its content crosses the app."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT c.channel_id FROM kept_cases k JOIN cases c ON c.id = k.case_id
        WHERE k.signed_at IS NOT NULL AND k.until > $1 AND c.state IN ('arriving', 'waiting', 'talking', 'resting')
        """,
        at,
    )
    return {row["channel_id"] for row in rows}


async def delete_kept(tx: Tx, case_id: str) -> bool:
    """Ends a keeping. False if there was none."""
    done: str = await tx.execute("DELETE FROM kept_cases WHERE case_id = $1", case_id)
    return done.endswith(" 1")


async def get_closing(tx: Tx, channel_id: str) -> Closing | None:
    """The closing of a channel that waits for a second signature."""
    row = await tx.fetchrow("SELECT * FROM closings WHERE channel_id = $1", channel_id)
    return Closing(**row) if row else None


async def put_closing(tx: Tx, closing: Closing) -> None:
    """The first signature under a closing."""
    await tx.execute(
        """
        INSERT INTO closings (channel_id, reason, nowhere, asked_by, asked_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (channel_id) DO UPDATE SET reason = excluded.reason, nowhere = excluded.nowhere,
            asked_by = excluded.asked_by, asked_at = excluded.asked_at
        """,
        closing.channel_id, closing.reason, closing.nowhere, closing.asked_by, closing.asked_at,
    )  # fmt: skip


async def delete_closing(tx: Tx, channel_id: str) -> None:
    """The closing is done, or no longer wanted."""
    await tx.execute("DELETE FROM closings WHERE channel_id = $1", channel_id)


async def get_planned(tx: Tx, channel_id: str) -> PlannedSwitch | None:
    """The switch that is to come for a channel."""
    row = await tx.fetchrow("SELECT * FROM planned_switches WHERE channel_id = $1", channel_id)
    return PlannedSwitch(**row) if row else None


async def list_due(tx: Tx, at: datetime) -> list[PlannedSwitch]:
    """The switches whose time has come, held until the end of the transaction."""
    rows = await tx.fetch(
        "SELECT * FROM planned_switches WHERE at <= $1 AND refused IS NULL ORDER BY at, channel_id FOR UPDATE", at
    )
    return [PlannedSwitch(**row) for row in rows]


async def put_planned(tx: Tx, channel_id: str, mode: Mode, reason: str, due: datetime, by: str, at: datetime) -> None:
    """Plans a switch, in the place of one planned before."""
    await tx.execute(
        """
        INSERT INTO planned_switches (channel_id, mode, reason, at, planned_by, planned_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (channel_id) DO UPDATE SET mode = excluded.mode, reason = excluded.reason, at = excluded.at,
            planned_by = excluded.planned_by, planned_at = excluded.planned_at, refused = NULL
        """,
        channel_id, mode, reason, due, by, at,
    )  # fmt: skip


async def count_refused(tx: Tx) -> int:
    """How many planned switches could not be done, and are neither planned anew nor given up."""
    return int(await tx.fetchval("SELECT count(*) FROM planned_switches WHERE refused IS NOT NULL"))


async def update_planned_refused(tx: Tx, channel_id: str, why: str) -> None:
    """Notes why a planned switch could not be done."""
    await tx.execute("UPDATE planned_switches SET refused = $2 WHERE channel_id = $1", channel_id, why)


async def delete_planned(tx: Tx, channel_id: str) -> bool:
    """The switch is done, or no longer wanted. False if there was none."""
    done: str = await tx.execute("DELETE FROM planned_switches WHERE channel_id = $1", channel_id)
    return done.endswith(" 1")
