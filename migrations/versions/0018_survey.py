"""survey: how it was for those whose case has ended, as counts by month."""

from alembic import op

revision = "0018_survey"
down_revision = "0017_checks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Counts only: an answer can't be led back to a case. A case remembers that it was asked, not what was said.
        CREATE TABLE survey (
            month    date NOT NULL,
            question text NOT NULL CHECK (question IN ('heard', 'mood', 'again')),
            answer   smallint NOT NULL CHECK (answer BETWEEN 1 AND 3),
            given    bigint NOT NULL,
            PRIMARY KEY (month, question, answer)
        );
        ALTER TABLE cases ADD COLUMN surveyed boolean NOT NULL DEFAULT false;
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
