"""bridge_files: files that the apps still prepare, and the addresses of files that were sent to them."""

from alembic import op

revision = "0025_bridge_files"
down_revision = "0024_risk_words"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- A file that the app is still preparing: what comes after it does not wait.
        ALTER TABLE bridge_intake ADD COLUMN aside boolean NOT NULL DEFAULT false;
        CREATE INDEX bridge_intake_aside ON bridge_intake (next_at) WHERE outcome IS NULL AND aside;

        CREATE TABLE bridge_links (
            name       text PRIMARY KEY,   -- hash of what stands in the address
            channel_id text   NOT NULL,
            person     text   NOT NULL,
            room_id    text   NOT NULL,
            event_key  text   NOT NULL,    -- Matrix event id
            sealed     bytea,              -- where the file is and how to open it; emptied when it is taken back
            expires_at bigint NOT NULL
        );
        CREATE INDEX bridge_links_of_event ON bridge_links (event_key);
        CREATE INDEX bridge_links_of_room ON bridge_links (room_id);
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
