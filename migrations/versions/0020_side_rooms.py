"""side rooms: the staff's own encrypted room of a case, and who is to be in it."""

from alembic import op

revision = "0020_side_rooms"
down_revision = "0019_event_hashes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Made when somebody first needs it.
        ALTER TABLE cases ADD COLUMN side_room_id text UNIQUE;

        -- Who is to be in a side room. A row goes once its time is over and the person is out: the table stays small.
        CREATE TABLE side_seats (
            case_id text NOT NULL REFERENCES cases ON DELETE CASCADE,
            user_id text NOT NULL REFERENCES staff,
            since   timestamptz NOT NULL,
            until   timestamptz,
            PRIMARY KEY (case_id, user_id)
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
