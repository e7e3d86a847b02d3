"""records: what a counsellor notes of a case when it ends, as codes; the words are sealed in its side room."""

from alembic import op

revision = "0022_records"
down_revision = "0021_moves"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- Codes only, each from a closed list: nothing here can hold what was said. note_event: the event of the side
        -- room that holds the words, encrypted; review_event: the words of whoever looked through the record.
        CREATE TABLE records (
            case_id        text PRIMARY KEY REFERENCES cases ON DELETE CASCADE,
            state          text NOT NULL CHECK (state IN ('written', 'sent_back', 'reviewed')),
            written_by     text NOT NULL REFERENCES staff (user_id),
            written_at     timestamptz NOT NULL,
            changed_at     timestamptz NOT NULL,
            reviewed_by    text REFERENCES staff (user_id),
            reviewed_at    timestamptz,
            note_event     text,
            review_event   text,
            contact        text NOT NULL CHECK (contact IN (
                               'self', 'about_child', 'emergency', 'silent', 'abusive', 'thanks', 'question')),
            visit          text NOT NULL CHECK (visit IN ('first', 'repeat', 'unknown')),
            age            text NOT NULL CHECK (age IN (
                               'to_9', '10_12', '13_15', '16_17', '18_19', 'from_20', 'unknown')),
            school         text NOT NULL CHECK (school IN (
                               'elementary', 'junior_high', 'high', 'special_needs', 'college', 'working', 'neither',
                               'unknown')),
            grade          smallint CHECK (grade BETWEEN 1 AND 6),
            gender         text NOT NULL CHECK (gender IN ('female', 'male', 'other', 'not_given')),
            -- JIS X 0401: 1 Hokkaido to 47 Okinawa.
            prefecture     smallint CHECK (prefecture BETWEEN 1 AND 47),
            topics         text[] NOT NULL CHECK (topics <@ ARRAY[
                               'friends', 'bullying', 'studies', 'teachers', 'family', 'body', 'mental', 'suicidal',
                               'sexuality', 'online', 'abuse', 'other']),
            risk           text NOT NULL CHECK (risk IN ('none', 'watch', 'high', 'urgent')),
            risk_reasons   text[] NOT NULL CHECK (risk_reasons <@ ARRAY[
                               'ideation', 'plan', 'self_harm', 'attempt', 'violence', 'runaway', 'alone', 'other']),
            attitude       text NOT NULL CHECK (attitude IN ('calmer', 'same', 'worse', 'unknown')),
            actions        text[] NOT NULL CHECK (actions <@ ARRAY[
                               'listened', 'advised', 'informed', 'safety', 'consulted', 'emergency']),
            referrals      text[] NOT NULL CHECK (referrals <@ ARRAY[
                               'telephone', 'interview', 'school', 'child_centre', 'medical', 'police', 'support']),
            consent        text NOT NULL CHECK (consent IN ('not_asked', 'given', 'refused')),
            outcome        text NOT NULL CHECK (outcome IN ('settled', 'continues', 'referred', 'broken_off')),
            ended_by       text NOT NULL CHECK (ended_by IN ('agreed', 'person', 'counsellor', 'silence')),
            follow_up      date,
            followed_up_at timestamptz
        );
        CREATE INDEX records_by_state ON records (state, changed_at);
        CREATE INDEX records_follow_up ON records (follow_up) WHERE follow_up IS NOT NULL AND followed_up_at IS NULL;
        CREATE INDEX records_by ON records (written_by, changed_at);

        -- Whether a record is still to be written; cases that ended before there were records need none.
        ALTER TABLE cases ADD COLUMN record_due boolean NOT NULL DEFAULT true;
        UPDATE cases SET record_due = false WHERE state IN ('closed', 'purged');
        CREATE INDEX cases_record_due ON cases (closed_at, id)
            WHERE record_due AND state = 'closed' AND accepted_at IS NOT NULL;
        CREATE INDEX cases_arrived ON cases (arrived_at);
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
