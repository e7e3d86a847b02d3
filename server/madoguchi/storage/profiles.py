"""Profiles: display name, picture, and any other field that its owner sets."""

from collections.abc import Sequence

import msgspec

from madoguchi.ids import UserID
from madoguchi.storage.db import Tx


class Profile(msgspec.Struct, frozen=True):
    """A user's profile. `fields` is a JSON object with all fields but the two named ones."""

    user_id: UserID
    displayname: str | None = None
    avatar_url: str | None = None
    fields: str = "{}"


async def get_profile(tx: Tx, user_id: UserID) -> Profile:
    """The profile; an empty one for somebody who has set nothing (or does not exist)."""
    row = await tx.fetchrow("SELECT user_id, displayname, avatar_url, fields FROM profiles WHERE user_id = $1", user_id)
    return Profile(**row) if row else Profile(user_id)


async def get_profile_for_update(tx: Tx, user_id: UserID) -> Profile:
    """The profile, made if missing, and kept from change by others until this transaction ends."""
    await tx.execute("INSERT INTO profiles (user_id) VALUES ($1) ON CONFLICT DO NOTHING", user_id)
    row = await tx.fetchrow(
        "SELECT user_id, displayname, avatar_url, fields FROM profiles WHERE user_id = $1 FOR UPDATE", user_id
    )
    assert row is not None
    return Profile(**row)


async def list_profiles(tx: Tx, user_ids: Sequence[UserID]) -> dict[UserID, Profile]:
    """The profiles of several users; those without one are absent."""
    rows = await tx.fetch(
        "SELECT user_id, displayname, avatar_url, fields FROM profiles WHERE user_id = ANY($1::text[])",
        list(user_ids),
    )
    return {row["user_id"]: Profile(**row) for row in rows}


async def update_profile(tx: Tx, profile: Profile) -> None:
    """Sets the whole profile."""
    await tx.execute(
        """
        INSERT INTO profiles (user_id, displayname, avatar_url, fields) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id) DO UPDATE SET displayname = $2, avatar_url = $3, fields = $4
        """,
        profile.user_id, profile.displayname, profile.avatar_url, profile.fields,
    )  # fmt: skip


async def delete_profile(tx: Tx, user_id: UserID) -> None:
    """Forgets everything the user said about themselves."""
    await tx.execute("DELETE FROM profiles WHERE user_id = $1", user_id)


async def search_profiles(tx: Tx, among: Sequence[UserID], term: str, limit: int) -> list[Profile]:
    """Of the users `among`, those whose user id or display name contains `term`, whatever its case. At most `limit`."""
    pattern = "%" + term.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    rows = await tx.fetch(
        """
        SELECT a.user_id, p.displayname, p.avatar_url, coalesce(p.fields, '{}') AS fields
        FROM accounts a LEFT JOIN profiles p USING (user_id)
        WHERE a.user_id = ANY($1::text[]) AND a.deactivated_at IS NULL
          AND (a.user_id ILIKE $2 OR p.displayname ILIKE $2)
        ORDER BY p.displayname NULLS LAST, a.user_id
        LIMIT $3
        """,
        list(among), pattern, limit,
    )  # fmt: skip
    return [Profile(**row) for row in rows]
