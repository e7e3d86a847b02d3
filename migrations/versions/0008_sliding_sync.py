"""sliding sync: what each connection has been sent."""

from alembic import op

revision = "0008_sliding_sync"
down_revision = "0007_application_services"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- state: JSON, room ids and positions. made_at: ms since 1970.
        CREATE TABLE sliding_states (
            user_id   text   NOT NULL,
            device_id text   NOT NULL,
            conn_id   text   NOT NULL,
            tag       text   NOT NULL,
            state     bytea  NOT NULL,
            made_at   bigint NOT NULL,
            PRIMARY KEY (user_id, device_id, conn_id, tag)
        );
        CREATE INDEX sliding_states_by_age ON sliding_states (made_at);
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
