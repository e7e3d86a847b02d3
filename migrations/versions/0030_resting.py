"""resting: since when a case rests, and since when it waits again after that."""

from alembic import op

revision = "0030_resting"
down_revision = "0029_web_push"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- woke_at: set where somebody who came back has to wait: their place is the old one, their wait is not.
        ALTER TABLE cases ADD COLUMN resting_since timestamptz, ADD COLUMN woke_at timestamptz;
        ALTER TABLE case_steps DROP CONSTRAINT case_steps_step_check, ADD CONSTRAINT case_steps_step_check
            CHECK (step IN ('arrived', 'accepted', 'handed_over', 'returned', 'called_in', 'joined', 'stepped_out',
                            'risk', 'left', 'closed', 'purged', 'move_offered', 'move_declined', 'moved', 'kept',
                            'rested', 'woke'));
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
