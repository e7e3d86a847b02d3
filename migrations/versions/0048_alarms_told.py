"""alarms_told: of how much of what the daily examinations found the staff room has been told."""

from alembic import op

revision = "0048_alarms_told"
down_revision = "0047_staff_networks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE checks ADD COLUMN told bigint NOT NULL DEFAULT 0")


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
