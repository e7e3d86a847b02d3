"""purge: what is destroyed with a case, and which files go with which rooms."""

from alembic import op

revision = "0012_purge"
down_revision = "0011_pushes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- The rooms that an encrypted file may belong to; it goes with the last of them.
        CREATE TABLE media_rooms (
            media_id text NOT NULL REFERENCES media ON DELETE CASCADE,
            room_id  text NOT NULL,
            PRIMARY KEY (media_id, room_id)
        );
        CREATE INDEX media_rooms_of ON media_rooms (room_id);

        -- Files that nobody can ask for any more and that lie in the store still.
        CREATE TABLE media_removals (stored_as text PRIMARY KEY);

        INSERT INTO media_rooms (media_id, room_id)
        SELECT m.media_id, c.room_id FROM media m JOIN cases c ON c.user_id = m.owner
         WHERE m.content_type = 'application/octet-stream'
        UNION
        SELECT m.media_id, c.room_id
          FROM media m JOIN case_staff cs ON cs.user_id = m.owner JOIN cases c ON c.id = cs.case_id
         WHERE m.content_type = 'application/octet-stream'
           AND m.created_at >= extract(epoch FROM cs.since) * 1000
           AND m.created_at <= extract(epoch FROM coalesce(cs.until, c.closed_at, now())) * 1000;

        -- purged_at: content and keys are destroyed; forgotten_at: the traces that told clients so are gone, too.
        ALTER TABLE cases ADD COLUMN purged_at timestamptz, ADD COLUMN forgotten_at timestamptz;
        CREATE INDEX cases_closed ON cases (closed_at, id) WHERE state = 'closed';
        CREATE INDEX cases_purged ON cases (purged_at, id) WHERE state = 'purged' AND forgotten_at IS NULL;
        ALTER TABLE case_steps DROP CONSTRAINT case_steps_step_check, ADD CONSTRAINT case_steps_step_check
            CHECK (step IN ('arrived', 'accepted', 'handed_over', 'returned', 'left', 'closed', 'purged'));
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
