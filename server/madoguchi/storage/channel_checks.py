"""Checks of channels' connections: asked for by administrators, answered by the bridges, who alone open secrets."""

from datetime import datetime

import msgspec

from madoguchi.storage.db import Tx


class Finding(msgspec.Struct, frozen=True):
    """One step of the set-up. state: `good`, `wrong`, or `look` where only a human can see it; why: a word for what is
    wrong; value: what the app says of it, nothing secret."""

    step: str
    state: str
    why: str = ""
    value: str = ""


class ChannelCheck(msgspec.Struct, frozen=True):
    """checked_at is None while the bridges have not answered; findings are then those of the time before."""

    channel_id: str
    asked_at: datetime
    checked_at: datetime | None
    findings: list[Finding]


async def ask(tx: Tx, channel_id: str, at: datetime) -> None:
    """Wants a channel to be checked. A question that still stands is not asked twice."""
    await tx.execute(
        """
        INSERT INTO channel_checks (channel_id, asked_at) VALUES ($1, $2)
        ON CONFLICT (channel_id) DO UPDATE SET asked_at = excluded.asked_at, checked_at = NULL
         WHERE channel_checks.checked_at IS NOT NULL
        """,
        channel_id,
        at,
    )


async def list_checks(tx: Tx) -> dict[str, ChannelCheck]:
    """The last check of each channel that was ever checked."""
    rows = await tx.fetch("SELECT channel_id, asked_at, checked_at, findings::text AS findings FROM channel_checks")
    return {
        row["channel_id"]: ChannelCheck(
            row["channel_id"],
            row["asked_at"],
            row["checked_at"],
            msgspec.json.decode(row["findings"], type=list[Finding]),
        )
        for row in rows
    }
