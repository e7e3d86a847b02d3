"""shift: how dangerous a case stands, colleagues who help in one, breaks."""

from alembic import op

revision = "0014_shift"
down_revision = "0013_guidance_in_english"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Set by a human. Why is said among staff, encrypted; here is only how soon somebody has to look.
        ALTER TABLE cases ADD COLUMN risk text NOT NULL DEFAULT 'none'
            CHECK (risk IN ('none', 'watch', 'high', 'urgent'));
        -- counsellor: looks after the case; helper: was called in, or came to advise.
        ALTER TABLE case_staff ADD COLUMN part text NOT NULL DEFAULT 'counsellor'
            CHECK (part IN ('counsellor', 'helper'));
        ALTER TABLE staff ADD COLUMN away_since timestamptz;
        ALTER TABLE case_steps DROP CONSTRAINT case_steps_step_check, ADD CONSTRAINT case_steps_step_check
            CHECK (step IN ('arrived', 'accepted', 'handed_over', 'returned', 'called_in', 'joined', 'stepped_out',
                            'risk', 'left', 'closed', 'purged'));
        CREATE INDEX case_steps_at ON case_steps (at);
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
