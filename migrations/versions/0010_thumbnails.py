"""thumbnails: small pictures that have been made, beside their originals."""

from alembic import op

revision = "0010_thumbnails"
down_revision = "0009_appservice_messages"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- name: WIDTHxHEIGHT-METHOD. stored_as: its name in the media store. size: bytes.
        CREATE TABLE thumbnails (
            media_id     text   NOT NULL REFERENCES media ON DELETE CASCADE,
            name         text   NOT NULL,
            stored_as    text   NOT NULL,
            content_type text   NOT NULL,
            size         bigint NOT NULL,
            PRIMARY KEY (media_id, name)
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
