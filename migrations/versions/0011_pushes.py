"""pushes: what waits to be told to push gateways."""

from alembic import op

revision = "0011_pushes"
down_revision = "0010_thumbnails"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Up to which position events and receipts have been held against the rules of those who have pushers.
        CREATE TABLE push_position (pos bigint NOT NULL);
        INSERT INTO push_position SELECT pos FROM stream;

        -- At most one for a pusher and room: who was not told of an event is told of the newest instead.
        -- room_id '' and no event: only how much is unread. tweaks: JSON (sound, highlight), never content.
        CREATE TABLE pushes (
            user_id  text        NOT NULL,
            app_id   text        NOT NULL,
            pushkey  text        NOT NULL,
            room_id  text        NOT NULL,
            event_id text,
            pos      bigint      NOT NULL,
            tweaks   text        NOT NULL,
            attempts integer     NOT NULL DEFAULT 0,
            since    timestamptz NOT NULL,
            due_at   timestamptz NOT NULL,
            PRIMARY KEY (user_id, app_id, pushkey, room_id),
            FOREIGN KEY (user_id, app_id, pushkey) REFERENCES pushers ON DELETE CASCADE
        );
        CREATE INDEX pushes_due ON pushes (due_at);
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
