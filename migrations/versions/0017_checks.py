"""checks: what the daily examinations found last."""

from alembic import op

revision = "0017_checks"
down_revision = "0016_audit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE checks (name text PRIMARY KEY, at timestamptz NOT NULL, found bigint NOT NULL)")


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
