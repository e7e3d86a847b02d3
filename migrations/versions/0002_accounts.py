"""Accounts, sessions, devices, profiles, interactive authentication and media. Times: milliseconds since 1970."""

from alembic import op

revision = "0002_accounts"
down_revision = "0001_stream_and_rooms"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE accounts (
            user_id text PRIMARY KEY,
            kind text NOT NULL CHECK (kind IN ('youth', 'staff', 'ghost', 'keeper', 'user', 'appservice')),
            password_hash text,
            appservice text,
            created_at bigint NOT NULL,
            locked_at bigint,
            suspended_at bigint,
            deactivated_at bigint
        );

        CREATE TABLE devices (
            user_id text NOT NULL REFERENCES accounts,
            device_id text NOT NULL,
            display_name text,
            created_at bigint NOT NULL,
            last_seen_at bigint,
            last_seen_address text,
            last_seen_agent text,
            PRIMARY KEY (user_id, device_id)
        );

        -- One row is one access token with, where the client asked for it, the refresh token given beside it.
        -- `succeeds` points to the row that was refreshed; that row goes when this one is first used.
        CREATE TABLE sessions (
            token_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            token_hash bytea NOT NULL UNIQUE,
            refresh_hash bytea UNIQUE,
            user_id text NOT NULL,
            device_id text NOT NULL,
            created_at bigint NOT NULL,
            expires_at bigint,
            succeeds bigint REFERENCES sessions ON DELETE SET NULL,
            FOREIGN KEY (user_id, device_id) REFERENCES devices ON DELETE CASCADE
        );
        CREATE INDEX sessions_by_device ON sessions (user_id, device_id);
        CREATE INDEX sessions_by_predecessor ON sessions (succeeds) WHERE succeeds IS NOT NULL;

        CREATE TABLE login_tokens (
            token_hash bytea PRIMARY KEY,
            user_id text NOT NULL REFERENCES accounts,
            expires_at bigint NOT NULL
        );

        CREATE TABLE interactive_auth (
            session_id text PRIMARY KEY,
            operation text NOT NULL,
            user_id text,
            completed text[] NOT NULL DEFAULT '{}',
            created_at bigint NOT NULL
        );
        CREATE INDEX interactive_auth_by_age ON interactive_auth (created_at);

        -- fields: every profile field but the two with columns, as one JSON object.
        CREATE TABLE profiles (
            user_id text PRIMARY KEY REFERENCES accounts,
            displayname text,
            avatar_url text,
            fields text NOT NULL DEFAULT '{}'
        );

        -- Created but not yet uploaded: size IS NULL. Names of application/octet-stream are not kept: those are
        -- encrypted attachments, and their name belongs into the ciphertext. stored_as: the file's name in the store.
        CREATE TABLE media (
            media_id text PRIMARY KEY,
            stored_as text,
            owner text NOT NULL REFERENCES accounts,
            content_type text,
            file_name text,
            size bigint,
            sha256 bytea,
            created_at bigint NOT NULL,
            uploaded_at bigint,
            unused_expires_at bigint
        );
        CREATE INDEX media_of_owner ON media (owner, created_at);
        CREATE INDEX media_pending ON media (owner, unused_expires_at) WHERE size IS NULL;
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
