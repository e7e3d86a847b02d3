"""Who may not begin a new case for a while, and who has reviewed that."""

from alembic import op

revision = "0052_blocks"
down_revision = "0051_reports"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- The person is the case's: whose case is forgotten is blocked no more.
        CREATE TABLE blocks (
            case_id     text PRIMARY KEY REFERENCES cases ON DELETE CASCADE,
            reason      text NOT NULL CHECK (reason IN ('abuse', 'threats', 'sexual', 'flooding')),
            blocked_by  text NOT NULL,
            blocked_at  timestamptz NOT NULL,
            ends_at     timestamptz NOT NULL,
            reviewed_by text,
            reviewed_at timestamptz,
            CHECK ((reviewed_by IS NULL) = (reviewed_at IS NULL)),
            -- Nobody reviews what they have done.
            CHECK (reviewed_by <> blocked_by)
        );
        CREATE INDEX blocks_by_end ON blocks (ends_at);
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
