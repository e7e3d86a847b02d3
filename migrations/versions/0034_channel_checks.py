"""channel_checks: what the bridges found when an administrator had a channel's connection checked."""

from alembic import op

revision = "0034_channel_checks"
down_revision = "0033_staff_room"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Only the bridges hold what opens an account: they are asked here, and answer here. Nothing in it is secret.
        -- checked_at is null while the question stands.
        CREATE TABLE channel_checks (
            channel_id text PRIMARY KEY REFERENCES channels (id) ON DELETE CASCADE,
            asked_at timestamptz NOT NULL,
            checked_at timestamptz,
            findings jsonb NOT NULL DEFAULT '[]'
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
