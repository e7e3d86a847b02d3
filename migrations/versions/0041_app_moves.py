"""app moves: by which tokens and codes a case goes on at an app, how an app's account is opened, by which channel the
persons of a case came."""

from alembic import op

revision = "0041_app_moves"
down_revision = "0040_answers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- By which channel the person had come as that user, and as which of the case's persons.
        ALTER TABLE past_persons ADD COLUMN channel_id text REFERENCES channels ON DELETE SET NULL,
                                 ADD COLUMN number int NOT NULL DEFAULT 1;
        UPDATE past_persons p SET
            channel_id = coalesce(
                (SELECT m.channel_id FROM moves m WHERE m.case_id = p.case_id AND m.ghost = p.user_id), 'web'),
            number = (SELECT count(*) FROM past_persons o WHERE o.case_id = p.case_id AND o.until <= p.until);
        CREATE INDEX past_persons_of_user ON past_persons (user_id);

        -- The channel to the app that is offered; NULL for the page.
        ALTER TABLE moves ADD COLUMN to_channel text REFERENCES channels ON DELETE SET NULL;

        -- As move_links, but for one app, where a bridge hands them in.
        CREATE TABLE app_tickets (
            token_hash bytea PRIMARY KEY,
            code_hash  bytea NOT NULL UNIQUE,
            case_id    text NOT NULL REFERENCES cases ON DELETE CASCADE,
            channel_id text NOT NULL REFERENCES channels ON DELETE CASCADE,
            made_at    timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            used_at    timestamptz
        );
        CREATE INDEX app_tickets_of_case ON app_tickets (case_id);

        -- Each event of an app is answered once and for all. event: the bridge's keyed name of it. case_id: the case
        -- that it moved; NULL where it opened nothing, which is counted.
        CREATE TABLE app_tries (
            event   text PRIMARY KEY,
            user_id text NOT NULL,
            at      timestamptz NOT NULL,
            case_id text REFERENCES cases ON DELETE CASCADE
        );
        CREATE INDEX app_tries_of_user ON app_tries (user_id, at);

        -- What opens an account of an app on a phone, as the app says: with {token} or {code} where that belongs.
        CREATE TABLE bridge_accounts (
            channel_id text PRIMARY KEY REFERENCES channels ON DELETE CASCADE,
            start_url  text NOT NULL
        );

        -- Since when somebody's case is on this app, in ms: what was said in its room before is not carried there.
        ALTER TABLE bridge_people ADD COLUMN since bigint NOT NULL DEFAULT 0;
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
