"""What the administrator has set for the desk: names and JSON values; `core/desk/settings.py` knows what they mean."""

from madoguchi.storage.db import Tx


async def get_settings(tx: Tx) -> dict[str, str]:
    """Every setting that differs from its default: name to JSON text."""
    rows = await tx.fetch("SELECT name, value::text AS value FROM desk_settings")
    return {row["name"]: row["value"] for row in rows}


async def update_setting(tx: Tx, name: str, value: str, by: str | None) -> None:
    """Sets one setting to a JSON text, and keeps who did it."""
    await tx.execute(
        """
        INSERT INTO desk_settings (name, value, changed_by) VALUES ($1, $2::text::jsonb, $3)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = now(), changed_by = excluded.changed_by
        """,
        name,
        value,
        by,
    )
