"""event hashes: what anybody needs to compute the id of an event anew."""

from alembic import op

revision = "0019_event_hashes"
down_revision = "0018_survey"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- nonce: what told an event from an equal one; content_hash: of a redacted event, what it said. Events from
        -- before have neither: their ids can't be computed anew.
        ALTER TABLE events ADD COLUMN nonce text, ADD COLUMN content_hash bytea;

        DROP FUNCTION append_messages(
            text, text[], bigint[], text[], text[], text[], bigint[], text[], text[], text[], text[], text[]
        );
        """
    )
    op.execute(
        """
        -- Group commit: one call inserts a batch of message events, in one statement and one commit.
        -- Raises MD001 (detail: room ids) when a room's state has moved on since the caller judged by it, and
        -- MD002 (detail: ordinals) when transaction ids are known already; nothing has happened then.
        CREATE FUNCTION append_messages(
            origin text, room_ids text[], state_positions bigint[], event_ids text[], types text[], senders text[],
            ats bigint[], bodies text[], device_ids text[], txn_ids text[], relations text[], rel_types text[],
            nonces text[]
        ) RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE
            size int := cardinality(event_ids);
            base bigint;
            trouble text;
        BEGIN
            UPDATE stream SET pos = pos + size RETURNING pos - size INTO base;
            SELECT string_agg(DISTINCT asked.room_id, ' ') INTO trouble
              FROM (SELECT DISTINCT r.room_id, r.state_pos
                      FROM unnest(room_ids, state_positions) AS r(room_id, state_pos)) asked
              LEFT JOIN rooms ON rooms.room_id = asked.room_id
             WHERE rooms.state_pos IS DISTINCT FROM asked.state_pos;
            IF trouble IS NOT NULL THEN
                RAISE EXCEPTION 'state moved on' USING ERRCODE = 'MD001', DETAIL = trouble;
            END IF;
            WITH sent AS (
                SELECT * FROM unnest(senders, device_ids, room_ids, types, txn_ids, event_ids, ats) WITH ORDINALITY
                    AS s(user_id, device_id, room_id, type, txn_id, event_id, at, n)
                 WHERE s.txn_id IS NOT NULL
            ), kept AS (
                INSERT INTO transactions (user_id, device_id, scope, txn_id, event_id, at)
                SELECT user_id, device_id, room_id || ' ' || type, txn_id, event_id, at FROM sent
                ON CONFLICT DO NOTHING RETURNING event_id
            )
            SELECT string_agg((n - 1)::text, ' ') INTO trouble
              FROM sent WHERE event_id NOT IN (SELECT event_id FROM kept);
            IF trouble IS NOT NULL THEN
                RAISE EXCEPTION 'sent before' USING ERRCODE = 'MD002', DETAIL = trouble;
            END IF;
            INSERT INTO events (pos, room_id, event_id, type, sender, at, body, device_id, txn_id, relates_to, rel_type,
                                nonce)
            SELECT base + e.n, e.room_id, e.event_id, e.type, e.sender, e.at, e.body, e.device_id, e.txn_id,
                   e.relates_to, e.rel_type, e.nonce
              FROM unnest(room_ids, event_ids, types, senders, ats, bodies, device_ids, txn_ids, relations, rel_types,
                          nonces) WITH ORDINALITY
                AS e(room_id, event_id, type, sender, at, body, device_id, txn_id, relates_to, rel_type, nonce, n);
            PERFORM pg_notify('madoguchi_stream', payload) FROM (
                SELECT json_build_array(origin, base + 1, base + size, piece = (size - 1) / 24,
                           json_agg(json_build_array(base + n, 'event', room_id, '') ORDER BY n))::text AS payload
                  FROM (SELECT room_id, n, (n - 1) / 24 AS piece
                          FROM unnest(room_ids) WITH ORDINALITY AS u(room_id, n)) numbered
                 GROUP BY piece ORDER BY piece
            ) pieces;
            RETURN base;
        END
        $$;
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
