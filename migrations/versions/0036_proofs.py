"""proof of work at arriving: the key by which challenges are known again, and which have been used."""

from alembic import op

revision = "0036_proofs"
down_revision = "0035_vault_signing"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Whoever knows it can make arriving cheap, and nothing else.
        CREATE TABLE proof_key (one boolean PRIMARY KEY DEFAULT true CHECK (one), key bytea NOT NULL);
        INSERT INTO proof_key (key) VALUES (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

        -- A challenge is good once. Nothing leads from it to a case.
        CREATE TABLE proofs_used (
            challenge  bytea PRIMARY KEY,
            at         timestamptz NOT NULL,
            expires_at timestamptz NOT NULL
        );
        CREATE INDEX proofs_used_by_time ON proofs_used (at);
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
