"""The vault 保管庫: its public key, the sealed session keys, and who opened it when and why."""

from alembic import op

revision = "0005_vault"
down_revision = "0004_desk"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- The private half is nowhere but with the key holders.
        CREATE TABLE vault (
            key_id     text PRIMARY KEY,
            public_key bytea NOT NULL CHECK (length(public_key) = 32),
            shares     integer NOT NULL,
            threshold  integer NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            only_one   boolean NOT NULL UNIQUE DEFAULT true CHECK (only_one)
        );

        CREATE TABLE vault_keys (
            key_id      text NOT NULL REFERENCES vault,
            room_id     text NOT NULL,
            session_id  text NOT NULL,
            sender_key  text NOT NULL,
            -- The first message index that the sealed key opens; the lowest one known is kept.
            first_index bigint NOT NULL,
            sealed      bytea NOT NULL,
            stored_at   timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (room_id, session_id, key_id)
        );

        CREATE TABLE vault_openings (
            id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at         timestamptz NOT NULL DEFAULT now(),
            by_whom    text NOT NULL,
            reason     text NOT NULL,
            case_id    text,
            room_id    text NOT NULL,
            events     integer NOT NULL,
            unreadable integer NOT NULL
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
