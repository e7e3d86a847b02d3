"""web push: what a browser's push service has been told last, so that it is told no more than it takes."""

from alembic import op

revision = "0029_web_push"
down_revision = "0028_replies"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Kept of pushers of the kind `webpush` only.
        ALTER TABLE pushers ADD COLUMN told_pos bigint NOT NULL DEFAULT 0, ADD COLUMN told_at timestamptz;
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
