"""bridge_references: which message of an app is which event of a room; what may still be sent in the month."""

from alembic import op

revision = "0027_bridge_references"
down_revision = "0026_teams"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE bridge_references (
            seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            channel_id  text    NOT NULL,
            message_key text    NOT NULL,   -- hash of the app's id of the message
            room_id     text    NOT NULL,
            event_id    text    NOT NULL,
            sealed      bytea   NOT NULL,   -- by what the app knows the message again
            at          bigint  NOT NULL,
            is_readable boolean NOT NULL DEFAULT false,
            UNIQUE (channel_id, message_key)
        );
        CREATE INDEX bridge_references_of_event ON bridge_references (event_id);
        CREATE INDEX bridge_references_of_room ON bridge_references (room_id, seq);
        CREATE INDEX bridge_references_by_time ON bridge_references (at);

        CREATE TABLE bridge_quota (
            channel_id text PRIMARY KEY,
            most       bigint,             -- NULL: as much as one wants
            used       bigint NOT NULL,
            read_at    bigint NOT NULL
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
