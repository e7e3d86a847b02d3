"""own codes: by which a case goes on that somebody makes on their own page."""

from alembic import op

revision = "0044_own_codes"
down_revision = "0043_previous_cases"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- own: made on the person's own page; asks for no passphrase.
        ALTER TABLE move_links ADD COLUMN own boolean NOT NULL DEFAULT false;
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
