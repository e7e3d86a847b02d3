"""vault."""

from alembic import op

revision = "0005_vault"
down_revision = "0004_desk"
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
