"""bridges: sealed intake, people and their ghosts, sealed outbox."""

from alembic import op

revision = "0006_bridges"
down_revision = "0005_vault"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- All times are ms since 1970. `person`, `event_key` and `message_key` are keyed hashes, `sealed…` is closed
        -- with the bridges' public key: nothing here tells what was said, or who on the app said it.
        CREATE TABLE bridge_intake (
            seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            channel_id   text   NOT NULL,
            event_key    text   NOT NULL,
            person       text   NOT NULL,
            kind         text   NOT NULL,
            message_key  text,
            happened_at  bigint NOT NULL,
            received_at  bigint NOT NULL,
            sealed       bytea,            -- emptied as soon as the outcome is known
            room_id      text,
            attempts     integer NOT NULL DEFAULT 0,
            next_at      bigint NOT NULL DEFAULT 0,
            outcome      text,             -- NULL while it waits
            shown_as     text,             -- Matrix event id
            done_at      bigint,
            UNIQUE (channel_id, event_key)
        );
        CREATE INDEX bridge_intake_waiting ON bridge_intake (person, happened_at, seq) WHERE outcome IS NULL;
        CREATE INDEX bridge_intake_messages ON bridge_intake (message_key) WHERE message_key IS NOT NULL;
        CREATE INDEX bridge_intake_done ON bridge_intake (done_at) WHERE done_at IS NOT NULL;

        CREATE TABLE bridge_people (
            person         text  PRIMARY KEY,
            channel_id     text  NOT NULL,
            sealed_address bytea NOT NULL,
            noticed_at     bigint NOT NULL DEFAULT 0,   -- when the last neutral notice was sent
            shown_at       bigint NOT NULL DEFAULT 0,   -- the app's time of the latest message shown
            left_at        bigint,                      -- blocked the account
            user_id        text UNIQUE,                 -- the ghost, from the first case on
            case_id        text,                        -- the running case
            room_id        text
        );
        CREATE INDEX bridge_people_running ON bridge_people (channel_id) WHERE case_id IS NOT NULL;

        CREATE TABLE bridge_outbox (
            seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            channel_id   text   NOT NULL,
            person       text   NOT NULL,
            event_key    text   NOT NULL UNIQUE,        -- Matrix event id, or notice:<event key of the intake>
            room_id      text,                          -- where the outcome is told; NULL for notices
            sealed       bytea,                         -- emptied as soon as the outcome is known
            sealed_reply bytea,                         -- the reply token of the attempt under way
            requests_done integer NOT NULL DEFAULT 0,
            attempts     integer NOT NULL DEFAULT 0,
            next_at      bigint NOT NULL DEFAULT 0,
            created_at   bigint NOT NULL,
            delayed_told boolean NOT NULL DEFAULT false,
            outcome      text,                          -- NULL while it waits
            done_at      bigint,
            told_at      bigint                         -- when the room was told the outcome
        );
        CREATE INDEX bridge_outbox_waiting ON bridge_outbox (person, seq) WHERE outcome IS NULL;
        CREATE INDEX bridge_outbox_untold ON bridge_outbox (person, seq) WHERE outcome IS NOT NULL AND told_at IS NULL;
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
