"""Requests to see what is kept: one's own transcript, a court's, and who somebody is whose life is at risk."""

from alembic import op

revision = "0039_disclosures"
down_revision = "0038_holds"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- reason: why, for whoever reads the audit log, never what was said; reference: the number of a file elsewhere.
        CREATE TABLE disclosures (
            id         text PRIMARY KEY,
            case_id    text NOT NULL REFERENCES cases ON DELETE CASCADE,
            kind       text NOT NULL CHECK (kind IN ('own', 'court', 'life_at_risk')),
            state      text NOT NULL DEFAULT 'asked'
                       CHECK (state IN ('asked', 'approved', 'opened', 'done', 'refused')),
            reason     text NOT NULL DEFAULT '' CHECK (kind = 'own' OR length(btrim(reason)) > 0),
            reference  text NOT NULL DEFAULT '' CHECK (kind <> 'court' OR length(reference) BETWEEN 1 AND 60),
            -- Whether the staff's own room belongs to it.
            side_room  boolean NOT NULL DEFAULT false CHECK (kind = 'court' OR NOT side_room),
            asked_by   text NOT NULL,
            asked_at   timestamptz NOT NULL,
            ends_at    timestamptz NOT NULL,
            decided_by text,
            decided_at timestamptz,
            -- How the person is given it.
            handover   text CHECK (handover IN ('in_person', 'in_conversation')),
            refusal    text CHECK (refusal IN (
                           'not_the_person', 'rights_of_others', 'no_grounds', 'not_kept', 'withdrawn')),
            opened_at  timestamptz,
            done_by    text,
            done_at    timestamptz,
            CHECK ((state = 'asked') = (decided_by IS NULL)),
            CHECK ((state = 'refused') = (refusal IS NOT NULL)),
            -- Nobody approves what they have asked for.
            CHECK (decided_by <> asked_by OR state = 'refused')
        );
        CREATE INDEX disclosures_of ON disclosures (case_id, asked_at);
        CREATE INDEX disclosures_open ON disclosures (kind, ends_at) WHERE state IN ('asked', 'approved', 'opened');

        -- From where the person's device called while a life was at risk; gone once that has ended. Milliseconds.
        CREATE TABLE disclosure_sightings (
            disclosure_id text NOT NULL REFERENCES disclosures ON DELETE CASCADE,
            address       text NOT NULL,
            first_at      bigint NOT NULL,
            last_at       bigint NOT NULL,
            PRIMARY KEY (disclosure_id, address)
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
