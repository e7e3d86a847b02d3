"""Retention by kind, and an audit log whose oldest part may be cut behind a signed anchor."""

from alembic import op

revision = "0045_periods"
down_revision = "0044_own_codes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Up to which entry the audit log was cut, with the hash that the next one is bound to, signed.
        CREATE TABLE audit_anchors (
            seq       bigint PRIMARY KEY,
            hash      bytea NOT NULL,
            at        timestamptz NOT NULL,
            entries   bigint NOT NULL,
            signature bytea NOT NULL
        );
        CREATE TRIGGER audit_anchors_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_anchors
            FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows();

        -- Still nothing is changed; only what lies before an anchor may go.
        DROP TRIGGER audit_log_grows ON audit_log;
        CREATE TRIGGER audit_log_grows BEFORE UPDATE OR TRUNCATE ON audit_log
            FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows();
        CREATE FUNCTION audit_cut_at_anchor() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF old.seq > coalesce((SELECT max(seq) FROM audit_anchors), 0) THEN
                RAISE EXCEPTION 'the audit log only grows';
            END IF;
            RETURN old;
        END $$;
        CREATE TRIGGER audit_log_cut BEFORE DELETE ON audit_log
            FOR EACH ROW EXECUTE FUNCTION audit_cut_at_anchor();
        -- The anchor itself cuts: whoever may add one needs no right to delete.
        CREATE FUNCTION audit_cut_behind_anchor() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = public, pg_temp AS $$
        BEGIN
            DELETE FROM audit_log WHERE seq <= new.seq;
            RETURN NULL;
        END $$;
        CREATE TRIGGER audit_anchors_cut AFTER INSERT ON audit_anchors
            FOR EACH ROW EXECUTE FUNCTION audit_cut_behind_anchor();

        -- Of cases that were purged before what was destroyed of each was noted.
        INSERT INTO case_destructions (case_id, kind, at, items)
        SELECT c.id, k.kind, c.purged_at, 0 FROM cases c, (VALUES ('content'), ('keys'), ('media')) AS k (kind)
         WHERE c.state = 'purged' AND c.purged_at IS NOT NULL
        ON CONFLICT DO NOTHING;
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
