"""the staff room: where it is, what its bot has said about which case, and which commands were obeyed."""

from alembic import op

revision = "0033_staff_room"
down_revision = "0032_lock_reports"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE staff_room (one boolean PRIMARY KEY DEFAULT true CHECK (one), room_id text NOT NULL);

        -- number: what staff call a case by. event_id: of the notice about it; told: what that says, as a code; turn:
        -- how often that changed; late: of which wait it was said that it is long.
        -- A card goes with its case, as soon as that has been said.
        CREATE SEQUENCE staff_room_numbers AS integer MAXVALUE 9999 CYCLE;
        CREATE TABLE staff_room_cards (
            case_id  text PRIMARY KEY REFERENCES cases ON DELETE CASCADE,
            number   integer NOT NULL DEFAULT nextval('staff_room_numbers'),
            event_id text,
            told     text NOT NULL DEFAULT '',
            turn     integer NOT NULL DEFAULT 0,
            late     timestamptz
        );

        -- Each event is obeyed once; asked again it is answered with the same words.
        CREATE TABLE staff_room_commands (
            event_id text PRIMARY KEY,
            at       timestamptz NOT NULL,
            answer   jsonb
        );
        CREATE INDEX staff_room_commands_by_age ON staff_room_commands (at);
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
