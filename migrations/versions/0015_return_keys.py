"""return keys: how a young person comes back to their case from another phone, by the words of their return phrase."""

from alembic import op

revision = "0015_return_keys"
down_revision = "0014_shift"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Both are made of the phrase on the person's own device, by a slow function; the phrase never comes here.
        CREATE TABLE return_keys (
            id          text PRIMARY KEY,
            user_id     text NOT NULL UNIQUE,
            secret_hash bytea NOT NULL,
            made_at     timestamptz NOT NULL,
            used_at     timestamptz
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
