"""What is known of each file in the media store. The files themselves: `core/chat/media.py`. Times in milliseconds."""

import msgspec

from madoguchi.ids import RoomID, UserID
from madoguchi.storage.db import Tx


class Media(msgspec.Struct, frozen=True):
    """One file. `size` (bytes) and `stored_as` (its name in the store) are None until its content has come."""

    media_id: str
    stored_as: str | None
    owner: UserID
    content_type: str | None
    file_name: str | None
    size: int | None
    created_at: int
    unused_expires_at: int | None


class Thumbnail(msgspec.Struct, frozen=True):
    """A small picture of a file. name: WIDTHxHEIGHT-METHOD; stored_as: its name in the store; size: bytes."""

    media_id: str
    name: str
    stored_as: str
    content_type: str
    size: int


_COLUMNS = "media_id, stored_as, owner, content_type, file_name, size, created_at, unused_expires_at"


async def insert_media(
    tx: Tx,
    media_id: str,
    owner: UserID,
    content_type: str,
    file_name: str | None,
    size: int,
    sha256: bytes,
    now: int,
) -> None:
    """Records a file that is in the store under its media id."""
    await tx.execute(
        """
        INSERT INTO media (media_id, stored_as, owner, content_type, file_name, size, sha256, created_at, uploaded_at)
        VALUES ($1, $1, $2, $3, $4, $5, $6, $7, $7)
        """,
        media_id, owner, content_type, file_name, size, sha256, now,
    )  # fmt: skip


async def insert_pending(tx: Tx, media_id: str, owner: UserID, now: int, unused_expires_at: int) -> None:
    """Reserves an id for content that comes later."""
    await tx.execute(
        "INSERT INTO media (media_id, owner, created_at, unused_expires_at) VALUES ($1, $2, $3, $4)",
        media_id, owner, now, unused_expires_at,
    )  # fmt: skip


async def count_pending(tx: Tx, owner: UserID, now: int) -> int:
    """How many ids the user has reserved and neither used nor let expire. Forgets the expired ones."""
    await tx.execute("DELETE FROM media WHERE owner = $1 AND size IS NULL AND unused_expires_at <= $2", owner, now)
    count: int = await tx.fetchval("SELECT count(*) FROM media WHERE owner = $1 AND size IS NULL", owner)
    return count


async def sum_uploaded(tx: Tx, owner: UserID, since: int) -> int:
    """How many bytes the user has uploaded since a moment."""
    total: int = await tx.fetchval(
        "SELECT coalesce(sum(size), 0)::bigint FROM media WHERE owner = $1 AND created_at >= $2", owner, since
    )
    return total


async def get_media(tx: Tx, media_id: str) -> Media | None:
    """What is known of a file."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM media WHERE media_id = $1", media_id)
    return Media(**row) if row else None


async def update_uploaded(
    tx: Tx,
    media_id: str,
    stored_as: str,
    content_type: str,
    file_name: str | None,
    size: int,
    sha256: bytes,
    now: int,
) -> bool:
    """Records that the content of a reserved id has come; gives False if it had come already."""
    done = await tx.fetchval(
        """
        UPDATE media SET stored_as = $2, content_type = $3, file_name = $4, size = $5, sha256 = $6, uploaded_at = $7
        WHERE media_id = $1 AND size IS NULL RETURNING true
        """,
        media_id, stored_as, content_type, file_name, size, sha256, now,
    )  # fmt: skip
    return bool(done)


async def insert_rooms(tx: Tx, media_id: str, owner: UserID, room_id: RoomID | None) -> None:
    """Notes which rooms of cases a file may belong to: all that its owner is in, or of these the one that is named."""
    await tx.execute(
        """
        INSERT INTO media_rooms (media_id, room_id)
        SELECT $1, r.room_id FROM memberships m JOIN rooms r USING (room_id)
         WHERE m.user_id = $2 AND m.membership = 'join' AND r.kind IN ('case', 'side')
           AND ($3::text IS NULL OR r.room_id = $3)
        """,
        media_id, owner, room_id,
    )  # fmt: skip


_THUMBNAIL = "media_id, name, stored_as, content_type, size"


async def get_thumbnail(tx: Tx, media_id: str, name: str) -> Thumbnail | None:
    """A thumbnail that has been made."""
    row = await tx.fetchrow(f"SELECT {_THUMBNAIL} FROM thumbnails WHERE media_id = $1 AND name = $2", media_id, name)
    return Thumbnail(**row) if row else None


async def insert_thumbnail(tx: Tx, thumbnail: Thumbnail) -> Thumbnail:
    """Records a thumbnail that is in the store; gives the one that stands, should there be one already."""
    row = await tx.fetchrow(
        f"""
        INSERT INTO thumbnails ({_THUMBNAIL}) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (media_id, name) DO UPDATE SET size = thumbnails.size RETURNING {_THUMBNAIL}
        """,
        thumbnail.media_id, thumbnail.name, thumbnail.stored_as, thumbnail.content_type, thumbnail.size,
    )  # fmt: skip
    assert row is not None
    return Thumbnail(**row)
