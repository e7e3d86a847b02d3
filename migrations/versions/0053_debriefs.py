"""Since when a member of staff would like to talk about a hard case."""

from alembic import op

revision = "0053_debriefs"
down_revision = "0052_blocks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Gone once they have talked: nobody counts who asks how often.
        ALTER TABLE staff ADD COLUMN debrief_asked_at timestamptz;
        -- How many hard cases somebody has had of late.
        CREATE INDEX case_staff_since ON case_staff (since);
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
