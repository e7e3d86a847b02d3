"""What people report from the page, as a word of a list, and who has looked at it."""

from alembic import op

revision = "0051_reports"
down_revision = "0050_drills"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- kind: NULL where a Matrix client reported, which has no such words. seen_at: milliseconds.
        ALTER TABLE reports
            ADD COLUMN kind    text CHECK (kind IN ('hurtful', 'sexual', 'contact', 'doubt', 'other')),
            ADD COLUMN seen_by text,
            ADD COLUMN seen_at bigint,
            ADD CHECK ((seen_by IS NULL) = (seen_at IS NULL));
        CREATE INDEX reports_open ON reports (id) WHERE seen_at IS NULL;
        CREATE INDEX reports_of ON reports (room_id);
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
