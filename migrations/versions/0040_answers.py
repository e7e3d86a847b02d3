"""What young people answer on the page while they wait, as codes of closed lists."""

from alembic import op

revision = "0040_answers"
down_revision = "0039_disclosures"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- The same lists as of the record. Empty: they were asked, and said nothing or took it back.
        CREATE TABLE case_answers (
            case_id text PRIMARY KEY REFERENCES cases ON DELETE CASCADE,
            topics  text[] NOT NULL CHECK (topics <@ ARRAY[
                        'friends', 'bullying', 'studies', 'teachers', 'family', 'body', 'mental', 'suicidal',
                        'sexuality', 'online', 'abuse', 'other']),
            school  text CHECK (school IN (
                        'elementary', 'junior_high', 'high', 'special_needs', 'college', 'working', 'neither')),
            grade   smallint CHECK (grade BETWEEN 1 AND 6),
            CHECK (grade IS NULL OR school IS NOT NULL)
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
