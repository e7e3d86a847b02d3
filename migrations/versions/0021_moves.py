"""moves: where the people of an app stand on their way to the sealed room, and the cases that stay on the app."""

from alembic import op

revision = "0021_moves"
down_revision = "0020_side_rooms"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- One row a case: from when somebody wanted its person to be offered a move, or they asked for a link.
        CREATE TABLE moves (
            case_id         text PRIMARY KEY REFERENCES cases ON DELETE CASCADE,
            channel_id      text NOT NULL REFERENCES channels ON DELETE CASCADE,
            ghost           text NOT NULL,
            asked_at        timestamptz NOT NULL,
            asked_by        text NOT NULL,
            -- argon2id; agreed between person and counsellor, for a phone that others use as well.
            passphrase_hash text,
            wrong_passphrases int NOT NULL DEFAULT 0,
            -- The bridge has the offer; the app has taken it; the app says the person can't be reached.
            queued_at       timestamptz,
            notified_at     timestamptz,
            unreachable_at  timestamptz,
            opened_at       timestamptz,
            declined_at     timestamptz,
            moved_at        timestamptz,
            -- Afterwards the app only ever says that there is news, if the person wants even that.
            news_wanted     boolean NOT NULL DEFAULT true,
            news_at         timestamptz
        );
        CREATE INDEX moves_of_ghost ON moves (ghost);
        CREATE INDEX moves_of_channel ON moves (channel_id);

        -- A link holds 256 random bits, a code 40 that are hashed slowly. All of a case's are spent by the first use.
        CREATE TABLE move_links (
            token_hash bytea PRIMARY KEY,
            code_hash  bytea NOT NULL UNIQUE,
            case_id    text NOT NULL REFERENCES moves ON DELETE CASCADE,
            made_at    timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            used_at    timestamptz
        );
        CREATE INDEX move_links_of_case ON move_links (case_id);

        -- As whom the person of a case came before: these leave the room once the person is in it.
        CREATE TABLE past_persons (
            case_id text NOT NULL REFERENCES cases ON DELETE CASCADE,
            user_id text NOT NULL,
            until   timestamptz NOT NULL,
            PRIMARY KEY (case_id, user_id)
        );

        -- Content goes on crossing the app for these, whatever the channel's mode, because a life is at stake.
        CREATE TABLE kept_cases (
            case_id   text PRIMARY KEY REFERENCES cases ON DELETE CASCADE,
            reason    text NOT NULL CHECK (length(btrim(reason)) > 0),
            until     timestamptz NOT NULL,
            asked_by  text NOT NULL,
            asked_at  timestamptz NOT NULL,
            signed_by text CHECK (signed_by <> asked_by),
            signed_at timestamptz
        );

        -- A first administrator's wish to close a channel although somebody would be left with nowhere to go.
        CREATE TABLE closings (
            channel_id text PRIMARY KEY REFERENCES channels ON DELETE CASCADE,
            reason     text NOT NULL,
            nowhere    int NOT NULL,
            asked_by   text NOT NULL,
            asked_at   timestamptz NOT NULL
        );

        -- A switch of mode that is to come.
        CREATE TABLE planned_switches (
            channel_id text PRIMARY KEY REFERENCES channels ON DELETE CASCADE,
            mode       text NOT NULL,
            reason     text NOT NULL,
            at         timestamptz NOT NULL,
            planned_by text NOT NULL,
            planned_at timestamptz NOT NULL,
            -- Why it could not be done when its time came.
            refused    text
        );

        ALTER TABLE channels DROP CONSTRAINT channels_mode_check, ADD CONSTRAINT channels_mode_check
            CHECK (mode IN ('open', 'contact_point', 'relay', 'draining', 'notice_only', 'closed', 'emergency'));
        ALTER TABLE case_steps DROP CONSTRAINT case_steps_step_check, ADD CONSTRAINT case_steps_step_check
            CHECK (step IN ('arrived', 'accepted', 'handed_over', 'returned', 'called_in', 'joined', 'stepped_out',
                            'risk', 'left', 'closed', 'purged', 'move_offered', 'move_declined', 'moved', 'kept'));
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
