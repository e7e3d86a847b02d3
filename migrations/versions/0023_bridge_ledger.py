"""bridge_ledger: what came in from the apps, counted at the door, and what became of it, counted for ever."""

from alembic import op

revision = "0023_bridge_ledger"
down_revision = "0022_records"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Counted in the transaction that stores the events: received = all that the app was told 200 for,
        -- repeated = those of them that were known already.
        CREATE TABLE bridge_doors (
            channel_id text PRIMARY KEY,
            received   bigint NOT NULL,
            repeated   bigint NOT NULL
        );
        INSERT INTO bridge_doors SELECT channel_id, count(*), 0 FROM bridge_intake GROUP BY channel_id;

        -- Finished events whose rows are gone.
        CREATE TABLE bridge_forgotten (
            channel_id text   NOT NULL,
            outcome    text   NOT NULL,
            events     bigint NOT NULL,
            PRIMARY KEY (channel_id, outcome)
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
