"""By what transcripts are verified; who was present at an opening; a vault whose key can be exchanged."""

from alembic import op

revision = "0035_vault_signing"
down_revision = "0034_channel_checks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Ed25519, the public half; known from the next opening on where an older version made the vault.
        ALTER TABLE vault ADD COLUMN signing_key bytea CHECK (length(signing_key) = 32);
        -- While the key is exchanged, sealed keys name the old one and the new one.
        ALTER TABLE vault_keys ALTER CONSTRAINT vault_keys_key_id_fkey DEFERRABLE INITIALLY IMMEDIATE;

        ALTER TABLE vault_openings
            ADD COLUMN holders text[] NOT NULL DEFAULT '{}',
            -- SHA-256 of the signed manifest, and of the record that was made away from this database.
            ADD COLUMN manifest bytea,
            ADD COLUMN record bytea;
        CREATE UNIQUE INDEX vault_openings_record ON vault_openings (record, room_id) WHERE record IS NOT NULL;
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
