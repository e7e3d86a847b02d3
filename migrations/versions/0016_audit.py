"""audit: a log that only grows, each entry bound to the one before, and its signed heads."""

from alembic import op

revision = "0016_audit"
down_revision = "0015_return_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Who did what to what. Never what was said. hash: over the hash before and this entry (crypto/chain.py).
        CREATE TABLE audit_log (
            seq     bigint PRIMARY KEY,
            at      timestamptz NOT NULL,
            actor   text NOT NULL,
            act     text NOT NULL,
            subject text NOT NULL,
            detail  text NOT NULL,
            hash    bytea NOT NULL
        );
        -- What the log was at a moment, signed by a key that the database does not have.
        CREATE TABLE audit_heads (
            seq        bigint PRIMARY KEY,
            hash       bytea NOT NULL,
            at         timestamptz NOT NULL,
            signature  bytea NOT NULL
        );
        CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the audit log only grows';
        END $$;
        CREATE TRIGGER audit_log_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
            FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows();
        CREATE TRIGGER audit_heads_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_heads
            FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows();
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
