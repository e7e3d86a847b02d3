"""rosters: who is of the staff, signed by the operator."""

from alembic import op

revision = "0037_rosters"
down_revision = "0036_proofs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- All of them stay: who stood on which roster, and until when, is a question that will be asked.
        CREATE TABLE rosters (
            number    bigint PRIMARY KEY,
            document  text NOT NULL,
            stored_at timestamptz NOT NULL,
            stored_by text NOT NULL
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
