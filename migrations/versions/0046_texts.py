"""texts: the operator's own wording of what young people read."""

from alembic import op

revision = "0046_texts"
down_revision = "0045_periods"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- What differs from the page's own words. Public, never anything of a case.
        CREATE TABLE texts (
            key        text NOT NULL,
            language   text NOT NULL CHECK (language IN ('ja', 'ja-x-easy', 'en')),
            text       text NOT NULL,
            changed_by text NOT NULL,
            changed_at timestamptz NOT NULL,
            PRIMARY KEY (key, language)
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
