"""Links by which members of staff come in and choose their password."""

from alembic import op

revision = "0054_staff_links"
down_revision = "0053_debriefs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Good once; a new one of the same person takes the place of the one before.
        CREATE TABLE staff_links (
            user_id    text PRIMARY KEY REFERENCES staff ON DELETE CASCADE,
            token_hash bytea NOT NULL UNIQUE,
            made_by    text NOT NULL,
            expires_at timestamptz NOT NULL
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
