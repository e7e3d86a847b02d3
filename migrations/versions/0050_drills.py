"""drills: what the drills found whose reports the operator kept."""

from alembic import op

revision = "0050_drills"
down_revision = "0049_wrapping_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Of people that do not exist.
        CREATE TABLE drills (
            id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at       timestamptz NOT NULL,
            by_whom  text NOT NULL,
            people   integer NOT NULL,
            moved    integer NOT NULL,
            -- minutes until 95 % had moved; null: they never had
            moved_95 double precision,
            report   text NOT NULL
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
