"""Whether a young person lets the counsellor see that they came before."""

from alembic import op

revision = "0043_previous_cases"
down_revision = "0042_wishes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Days and codes of earlier cases of the same person. NULL: they have not been asked, which shows nothing.
        ALTER TABLE cases ADD COLUMN previous_shown boolean;
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
