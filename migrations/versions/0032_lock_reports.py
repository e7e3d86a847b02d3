"""lock_reports: pages that refused to send, and why."""

from alembic import op

revision = "0032_lock_reports"
down_revision = "0031_viewing_ledger"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Each thing once for each who reports it. Nothing of what somebody wrote: a word of a list, and of whom.
        CREATE TABLE lock_reports (
            id       bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
            at       timestamptz NOT NULL,
            case_id  text NOT NULL REFERENCES cases (id) ON DELETE CASCADE,
            reporter text NOT NULL,
            kind     text NOT NULL,
            about    text NOT NULL,
            UNIQUE (case_id, reporter, kind, about)
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
