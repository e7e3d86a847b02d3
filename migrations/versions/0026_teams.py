"""teams: which one a case waits for that was handed to one."""

from alembic import op

revision = "0026_teams"
down_revision = "0025_bridge_files"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- The id of a team of the desk's settings. Nobody in it need be there: see core/desk/teams.py.
        ALTER TABLE cases ADD COLUMN team text;
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
