"""What has been told to application services, and what waits for them."""

from alembic import op

revision = "0007_application_services"
down_revision = "0006_bridges"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- One row an application service with an address. `pos`: everything up to here has been delivered or stands in
        -- `body`, the one transaction that is under way; it is repeated as it is until it has been taken.
        CREATE TABLE appservice_queues (
            appservice   text PRIMARY KEY,
            began        bigint NOT NULL,
            pos          bigint NOT NULL,
            txn_id       text,
            body         bytea,
            made_at      timestamptz,
            attempts     integer NOT NULL DEFAULT 0,
            error        text,
            failed_at    timestamptz,
            delivered_at timestamptz,
            CHECK ((body IS NULL) = (txn_id IS NULL))
        );
        CREATE INDEX accounts_of_appservice ON accounts (appservice) WHERE appservice IS NOT NULL;

        -- Rooms that an application service publishes as those of a network it bridges.
        CREATE TABLE appservice_directory (
            appservice text NOT NULL,
            network_id text NOT NULL,
            room_id    text NOT NULL,
            PRIMARY KEY (appservice, network_id, room_id)
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
