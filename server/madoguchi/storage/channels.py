"""Channels 経路: how people reach the desk, and every change of their mode with who, when and why."""

from datetime import datetime
from typing import Literal

import msgspec

from madoguchi.storage.db import Tx

Mode = Literal["open", "contact_point", "relay", "draining", "notice_only", "closed", "emergency"]


class Channel(msgspec.Struct, frozen=True):
    """kind: `web`, `matrix`, or the name of a messaging app; settings: JSON text, nothing secret in it."""

    id: str
    kind: str
    name: str
    mode: Mode
    reason: str | None
    settings: str
    has_secrets: bool
    added_at: datetime
    added_by: str | None


class ChannelChange(msgspec.Struct, frozen=True):
    """mode_before is None for the change that added the channel."""

    channel_id: str
    at: datetime
    by_whom: str
    mode_before: Mode | None
    mode_after: Mode
    reason: str | None


_COLUMNS = (
    "id, kind, name, mode, reason, settings::text AS settings, sealed_secrets IS NOT NULL AS has_secrets, "
    "added_at, added_by"
)


async def list_channels(tx: Tx) -> list[Channel]:
    """All channels, the house's own first."""
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM channels ORDER BY kind NOT IN ('web', 'matrix'), added_at, id")
    return [Channel(**row) for row in rows]


async def count_running(tx: Tx) -> dict[str, int]:
    """How many running cases came by each channel; those without any are left out."""
    rows = await tx.fetch(
        """
        SELECT channel_id, count(*) AS running FROM cases
        WHERE state IN ('arriving', 'waiting', 'talking', 'resting') GROUP BY channel_id
        """
    )
    return {row["channel_id"]: row["running"] for row in rows}


async def list_carried_by_others(tx: Tx, ours: str) -> set[str]:
    """The channels of running cases whose person an application service stands for that is not `ours`."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT c.channel_id FROM cases c JOIN accounts a ON a.user_id = c.user_id
        WHERE c.state IN ('arriving', 'waiting', 'talking', 'resting') AND a.appservice <> $1
        """,
        ours,
    )
    return {row["channel_id"] for row in rows}


async def list_channels_of_kind(tx: Tx, kind: str) -> list[Channel]:
    """The channels of one app, or of the web or Matrix."""
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM channels WHERE kind = $1 ORDER BY added_at, id", kind)
    return [Channel(**row) for row in rows]


async def get_channel(tx: Tx, channel_id: str) -> Channel | None:
    """One channel. For the length of the transaction nobody changes its mode."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM channels WHERE id = $1 FOR SHARE", channel_id)
    return Channel(**row) if row else None


async def get_channel_to_change(tx: Tx, channel_id: str) -> Channel | None:
    """One channel, held until the end of the transaction."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM channels WHERE id = $1 FOR NO KEY UPDATE", channel_id)
    return Channel(**row) if row else None


async def insert_channel(
    tx: Tx,
    channel_id: str,
    kind: str,
    name: str,
    mode: Mode,
    reason: str | None,
    settings: str,
    sealed_secrets: str | None,
    at: datetime,
    by: str,
) -> bool:
    """Adds a channel; False if the id is taken. `settings` is JSON text, `sealed_secrets` base64 of a SealedBox."""
    done = await tx.execute(
        """
        INSERT INTO channels (id, kind, name, mode, reason, settings, sealed_secrets, added_at, added_by)
        VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7, $8, $9) ON CONFLICT (id) DO NOTHING
        """,
        channel_id,
        kind,
        name,
        mode,
        reason,
        settings,
        sealed_secrets,
        at,
        by,
    )
    return bool(done == "INSERT 0 1")


async def update_mode(tx: Tx, channel_id: str, mode: Mode, reason: str | None) -> None:
    """Switches a channel's mode."""
    await tx.execute("UPDATE channels SET mode = $2, reason = $3 WHERE id = $1", channel_id, mode, reason)


async def update_setting(tx: Tx, channel_id: str, name: str, value: int | str) -> None:
    """Sets one of a channel's settings; nothing secret belongs there."""
    await tx.execute(
        "UPDATE channels SET settings = settings || jsonb_build_object($2::text, $3::text::jsonb) WHERE id = $1",
        channel_id,
        name,
        msgspec.json.encode(value).decode(),
    )


async def update_secrets(tx: Tx, channel_id: str, sealed_secrets: str) -> None:
    """Replaces the sealed secrets of a channel."""
    await tx.execute("UPDATE channels SET sealed_secrets = $2 WHERE id = $1", channel_id, sealed_secrets)


async def insert_change(tx: Tx, change: ChannelChange) -> None:
    """Writes down who changed the mode, when and why."""
    await tx.execute(
        """
        INSERT INTO channel_changes (channel_id, at, by_whom, mode_before, mode_after, reason)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        change.channel_id,
        change.at,
        change.by_whom,
        change.mode_before,
        change.mode_after,
        change.reason,
    )


async def list_changes(tx: Tx, channel_id: str) -> list[ChannelChange]:
    """The changes of one channel, oldest first."""
    rows = await tx.fetch(
        """
        SELECT channel_id, at, by_whom, mode_before, mode_after, reason
        FROM channel_changes WHERE channel_id = $1 ORDER BY id
        """,
        channel_id,
    )
    return [ChannelChange(**row) for row in rows]
