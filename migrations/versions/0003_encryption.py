"""encryption."""

from alembic import op

revision = "0003_encryption"
down_revision = "0002_accounts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        SELECT 1
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
