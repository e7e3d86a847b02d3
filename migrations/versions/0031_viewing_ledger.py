"""viewing ledger: who could view what from where, day by day, signed; and which hosts were in fact contacted."""

from alembic import op

revision = "0031_viewing_ledger"
down_revision = "0030_resting"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- document: JSON with the hash of the ledger before; hash, signature: over it (crypto/signed_page.py).
        -- drift: JSON, what is new or different since the ledger before and matters.
        CREATE TABLE viewing_ledgers (
            seq       bigint PRIMARY KEY,
            day       date NOT NULL,
            at        timestamptz NOT NULL,
            document  text NOT NULL,
            hash      bytea NOT NULL,
            signature bytea NOT NULL,
            drift     text NOT NULL
        );
        CREATE INDEX viewing_ledgers_of ON viewing_ledgers (day, seq);
        CREATE FUNCTION viewing_ledgers_only_grow() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'viewing ledgers are only added';
        END $$;
        CREATE TRIGGER viewing_ledgers_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON viewing_ledgers
            FOR EACH STATEMENT EXECUTE FUNCTION viewing_ledgers_only_grow();
        -- Up to which ledger an administrator has looked at the drift.
        CREATE TABLE viewing_ledger_seen (
            seq bigint PRIMARY KEY REFERENCES viewing_ledgers,
            at  timestamptz NOT NULL,
            by  text NOT NULL
        );
        -- Requests to a host by a process, a day. Never a path.
        CREATE TABLE egress_counts (
            day      date NOT NULL,
            process  text NOT NULL,
            host     text NOT NULL,
            requests bigint NOT NULL,
            PRIMARY KEY (day, process, host)
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
