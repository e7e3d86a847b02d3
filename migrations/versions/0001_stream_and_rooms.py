"""The stream position, rooms, their events and state."""

from alembic import op

revision = "0001_stream_and_rooms"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- One row. Advanced late in each transaction that sync delivers something of; see storage/stream.py.
        CREATE TABLE stream (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), pos bigint NOT NULL);
        INSERT INTO stream (pos) VALUES (0);

        CREATE TABLE rooms (
            room_id    text PRIMARY KEY,
            version    text NOT NULL,
            kind       text NOT NULL DEFAULT 'plain',
            creator    text NOT NULL,
            created_at bigint NOT NULL,
            -- The position of the newest state event: a writer that judged by an older state must look again.
            state_pos  bigint NOT NULL,
            public     boolean NOT NULL DEFAULT false
        );

        CREATE TABLE events (
            pos       bigint PRIMARY KEY,
            room_id   text NOT NULL,
            event_id  text NOT NULL UNIQUE,
            type      text NOT NULL,
            state_key text,
            sender    text NOT NULL,
            at        bigint NOT NULL,
            -- The event as clients see it, without `unsigned`; of an encrypted room: ciphertext.
            body      text NOT NULL,
            device_id text,
            txn_id    text,
            -- The event id of the state event that this one replaces.
            replaces  text,
            -- What a client may see beside the event: previous content, the redaction. A JSON object, or empty.
            unsigned  text NOT NULL DEFAULT '',
            relates_to text,
            rel_type   text
        );
        CREATE INDEX events_of_room ON events (room_id, pos);
        CREATE INDEX events_replaced ON events (replaces) WHERE replaces IS NOT NULL;
        CREATE INDEX events_related ON events (relates_to, pos) WHERE relates_to IS NOT NULL;
        CREATE INDEX state_of_room ON events (room_id, type, state_key, pos) WHERE state_key IS NOT NULL;
        ALTER TABLE events SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

        CREATE TABLE current_state (
            room_id   text NOT NULL,
            type      text NOT NULL,
            state_key text NOT NULL,
            event_id  text NOT NULL,
            pos       bigint NOT NULL,
            PRIMARY KEY (room_id, type, state_key)
        );

        CREATE TABLE memberships (
            room_id    text NOT NULL,
            user_id    text NOT NULL,
            membership text NOT NULL,
            sender     text NOT NULL,
            event_id   text NOT NULL,
            pos        bigint NOT NULL,
            forgotten  boolean NOT NULL DEFAULT false,
            PRIMARY KEY (user_id, room_id)
        );
        CREATE INDEX members_of_room ON memberships (room_id, membership);

        -- What a client has sent under which transaction id, so that a retry is answered with the same event.
        CREATE TABLE transactions (
            user_id   text NOT NULL,
            device_id text NOT NULL,
            scope     text NOT NULL,
            txn_id    text NOT NULL,
            event_id  text NOT NULL,
            at        bigint NOT NULL,
            PRIMARY KEY (user_id, device_id, scope, txn_id)
        );
        CREATE INDEX transactions_by_age ON transactions (at);

        CREATE TABLE aliases (
            alias   text PRIMARY KEY,
            room_id text NOT NULL,
            creator text NOT NULL
        );
        CREATE INDEX aliases_of_room ON aliases (room_id);

        CREATE TABLE reports (
            id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at       bigint NOT NULL,
            reporter text NOT NULL,
            room_id  text,
            event_id text,
            user_id  text,
            reasoned boolean NOT NULL
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
            ats bigint[], bodies text[], device_ids text[], txn_ids text[], relations text[], rel_types text[]
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
            INSERT INTO events (pos, room_id, event_id, type, sender, at, body, device_id, txn_id, relates_to, rel_type)
            SELECT base + e.n, e.room_id, e.event_id, e.type, e.sender, e.at, e.body, e.device_id, e.txn_id,
                   e.relates_to, e.rel_type
              FROM unnest(room_ids, event_ids, types, senders, ats, bodies, device_ids, txn_ids, relations, rel_types)
                   WITH ORDINALITY
                AS e(room_id, event_id, type, sender, at, body, device_id, txn_id, relates_to, rel_type, n);
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
