"""Cases that are not purged for a while, and the certificate of each purge."""

from alembic import op

revision = "0038_holds"
down_revision = "0037_rosters"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- reference: the number of a file elsewhere, never what the case is about.
        CREATE TABLE case_holds (
            id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            case_id     text NOT NULL REFERENCES cases ON DELETE CASCADE,
            code        text NOT NULL CHECK (code IN ('court', 'prosecution', 'board', 'own_wish')),
            reference   text NOT NULL CHECK (length(reference) BETWEEN 1 AND 60),
            held_at     timestamptz NOT NULL,
            held_by     text NOT NULL,
            -- From when on it holds no longer by itself.
            ends_at     timestamptz,
            released_at timestamptz,
            released_by text
        );
        CREATE INDEX case_holds_of ON case_holds (case_id) WHERE released_at IS NULL;

        -- document: JSON of figures and codes; hash, signature: over it (crypto/signed_page.py), by public_key.
        CREATE TABLE deletion_certificates (
            case_id    text PRIMARY KEY REFERENCES cases,
            at         timestamptz NOT NULL,
            document   text NOT NULL,
            hash       bytea NOT NULL,
            signature  bytea NOT NULL,
            public_key bytea NOT NULL
        );
        CREATE FUNCTION deletion_certificates_only_grow() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'deletion certificates are only added';
        END $$;
        CREATE TRIGGER deletion_certificates_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON deletion_certificates
            FOR EACH STATEMENT EXECUTE FUNCTION deletion_certificates_only_grow();
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
