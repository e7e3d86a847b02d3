"""How far application services have been brought the messages for their ghosts' devices: by device, not by position.

One request may leave messages for many devices at one position; a transaction must not grow with their number.
"""

from alembic import op

revision = "0009_appservice_messages"
down_revision = "0008_sliding_sync"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE appservice_queues
            ADD COLUMN message_pos    bigint NOT NULL DEFAULT 0,
            ADD COLUMN message_user   text NOT NULL DEFAULT '',
            ADD COLUMN message_device text NOT NULL DEFAULT '';
        -- What stands after the position so far, of whatever user.
        UPDATE appservice_queues SET message_pos = pos + 1;
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
