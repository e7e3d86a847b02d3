"""staff_networks: from where staff have called, for as long as the viewing ledger tells of it."""

from alembic import op

revision = "0047_staff_networks"
down_revision = "0046_texts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- /24, or /48 for IPv6. Milliseconds. Of nobody else is it kept.
        CREATE TABLE staff_networks (
            user_id text NOT NULL,
            network text NOT NULL,
            last_at bigint NOT NULL,
            PRIMARY KEY (user_id, network)
        );
        CREATE INDEX staff_networks_last ON staff_networks (last_at);

        -- What is known already, so that the next ledger has no country that is only new in it.
        INSERT INTO staff_networks (user_id, network, last_at)
        SELECT d.user_id, regexp_replace(d.last_seen_address, '[0-9]+$', '0/24'), max(d.last_seen_at)
          FROM devices d JOIN staff s USING (user_id)
         WHERE d.last_seen_address ~ '^[0-9]+([.][0-9]+){3}$' AND d.last_seen_at IS NOT NULL
         GROUP BY 1, 2;
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
