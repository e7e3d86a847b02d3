"""What people wish to be destroyed before its time, what has been destroyed of each case, and its certificates."""

from alembic import op

revision = "0042_wishes"
down_revision = "0041_app_moves"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Covers all cases that the person had when they asked. asked_by: 'person', or who of the staff entered it for
        -- them; reason: of these alone, never what was said. receipt: by which the person can ask later.
        CREATE TABLE deletion_wishes (
            id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            user_id       text NOT NULL,
            asked_at      timestamptz NOT NULL,
            asked_by      text NOT NULL,
            reason        text CHECK (length(reason) BETWEEN 1 AND 200),
            receipt       text NOT NULL UNIQUE,
            due_at        timestamptz NOT NULL,
            taken_back_at timestamptz,
            taken_back_by text,
            done_at       timestamptz
        );
        CREATE UNIQUE INDEX deletion_wishes_standing ON deletion_wishes (user_id)
            WHERE taken_back_at IS NULL AND done_at IS NULL;
        CREATE INDEX deletion_wishes_due ON deletion_wishes (due_at) WHERE taken_back_at IS NULL AND done_at IS NULL;

        -- by_wish: the person wished it, so that whose case it was is forgotten with its room's last traces.
        ALTER TABLE cases ADD COLUMN by_wish boolean NOT NULL DEFAULT false;

        -- Several certificates of a case, in their order; receipt: of the wish that one answers.
        ALTER TABLE deletion_certificates
            ADD COLUMN number integer NOT NULL DEFAULT 1, ADD COLUMN receipt text,
            DROP CONSTRAINT deletion_certificates_pkey, ADD PRIMARY KEY (case_id, number);
        CREATE INDEX deletion_certificates_of_wish ON deletion_certificates (receipt) WHERE receipt IS NOT NULL;

        -- What was destroyed of which case, by kind, as counts.
        CREATE TABLE case_destructions (
            case_id text NOT NULL REFERENCES cases ON DELETE CASCADE,
            kind    text NOT NULL CHECK (kind IN ('content', 'keys', 'media', 'record', 'metadata')),
            at      timestamptz NOT NULL,
            items   integer NOT NULL,
            PRIMARY KEY (case_id, kind)
        );
        CREATE INDEX case_destructions_at ON case_destructions (at);
        INSERT INTO case_destructions (case_id, kind, at, items)
        SELECT d.case_id, k.kind, d.at, (d.document::jsonb -> 'destroyed' ->> k.figure)::integer
          FROM deletion_certificates d,
               (VALUES ('content', 'events'), ('keys', 'keys'), ('media', 'files')) AS k (kind, figure);
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
