"""wrapping_keys: what a case's keys are wrapped in, so that a purge reaches the copies of them that lie elsewhere."""

from typing import Any

from alembic import op
from nacl.secret import SecretBox
from nacl.utils import random
from sqlalchemy.util import await_only

revision = "0049_wrapping_keys"
down_revision = "0048_alarms_told"
branch_labels = None
depends_on = None

_PAGE = 1000
# What is wrapped: table, its primary key, the column.
_WRAPPED = (
    ("vault_keys", ("room_id", "session_id", "key_id"), "sealed"),
    ("key_backup_sessions", ("room_id", "session_id", "user_id", "version"), "session_data"),
)


def upgrade() -> None:
    op.execute(
        """
        -- A NaCl secretbox key of a room, random. Without one: destroyed, of a room that an older copy brought back.
        -- Vacuumed at once, so that what was deleted is written over soon.
        CREATE TABLE wrapping_keys (
            id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            room_id      text NOT NULL,
            key          bytea CHECK (length(key) = 32),
            made_at      timestamptz NOT NULL DEFAULT now(),
            destroyed_at timestamptz,
            CHECK ((key IS NULL) = (destroyed_at IS NOT NULL))
        ) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);
        CREATE INDEX wrapping_keys_of ON wrapping_keys (room_id);
        -- pg_dump asks for rows without row security and is refused so, unless it leaves the table's data out or comes
        -- as a superuser. The backup's role sees none in any case.
        ALTER TABLE wrapping_keys ENABLE ROW LEVEL SECURITY;
        ALTER TABLE wrapping_keys FORCE ROW LEVEL SECURITY;
        CREATE POLICY not_in_a_dump ON wrapping_keys USING (current_user <> current_database() || '_backup');

        -- No foreign keys: a copy has the rows and not what they are wrapped in.
        ALTER TABLE vault_keys ADD COLUMN wrapping uuid;
        ALTER TABLE key_backup_sessions ADD COLUMN wrapping uuid;
        CREATE INDEX audit_log_saved ON audit_log (seq) WHERE act = 'wrapping.saved';
        """
    )
    driver: Any = op.get_bind().connection.driver_connection
    await_only(_wrap(driver))
    op.execute(
        """
        ALTER TABLE vault_keys ALTER COLUMN wrapping SET NOT NULL;
        ALTER TABLE key_backup_sessions ALTER COLUMN wrapping SET NOT NULL;
        """
    )


async def _wrap(driver: Any) -> None:
    rooms = [row[0] for row in await driver.fetch(
        "SELECT room_id FROM vault_keys UNION SELECT room_id FROM key_backup_sessions"
    )]  # fmt: skip
    made = await driver.fetch(
        "INSERT INTO wrapping_keys (room_id, key) SELECT * FROM unnest($1::text[], $2::bytea[])"
        " RETURNING room_id, id, key",
        rooms, [random(SecretBox.KEY_SIZE) for _ in rooms],
    )  # fmt: skip
    wrappings = {row["room_id"]: (row["id"], SecretBox(row["key"])) for row in made}
    for table, names, column in _WRAPPED:
        where = " AND ".join(f"{name} = ${number}" for number, name in enumerate(names, 3))
        update = f"UPDATE {table} SET wrapping = $1, {column} = $2 WHERE {where}"
        page = []
        async for row in driver.cursor(f"SELECT {', '.join(names)}, {column} FROM {table}", prefetch=_PAGE):
            wrapping, box = wrappings[row["room_id"]]
            page.append((wrapping, bytes(box.encrypt(row[column])), *(row[name] for name in names)))
            if len(page) == _PAGE:
                await driver.executemany(update, page)
                page = []
        await driver.executemany(update, page)


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
