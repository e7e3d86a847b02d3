"""The desk: its settings, staff, channels, cases and guidance, and the table of durable jobs."""

from alembic import op

revision = "0004_desk"
down_revision = "0003_encryption"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE desk_settings (
            name        text PRIMARY KEY,
            value       jsonb NOT NULL,
            changed_at  timestamptz NOT NULL DEFAULT now(),
            changed_by  text
        );

        CREATE TABLE staff (
            user_id      text PRIMARY KEY,
            name         text NOT NULL,
            role         text NOT NULL CHECK (role IN ('counsellor', 'supervisor', 'administrator', 'auditor')),
            capacity     integer NOT NULL CHECK (capacity BETWEEN 0 AND 100),
            added_at     timestamptz NOT NULL,
            added_by     text,
            last_seen_at timestamptz,
            disabled_at  timestamptz,
            disabled_by  text
        );

        -- Only the hash of a link's token is kept: who reads the database can't redeem it.
        CREATE TABLE admin_links (
            token_hash  bytea PRIMARY KEY,
            created_at  timestamptz NOT NULL,
            expires_at  timestamptz NOT NULL,
            redeemed_at timestamptz,
            redeemed_by text
        );

        CREATE TABLE channels (
            id             text PRIMARY KEY,
            kind           text NOT NULL,
            name           text NOT NULL,
            mode           text NOT NULL,
            reason         text,
            settings       jsonb NOT NULL DEFAULT '{}',
            sealed_secrets text,
            added_at       timestamptz NOT NULL DEFAULT now(),
            added_by       text,
            CHECK (mode IN ('open', 'contact_point', 'relay', 'draining', 'notice_only', 'closed')),
            -- Only a bridged channel has an app in between; only it can be a contact point or a relay.
            CHECK ((kind IN ('web', 'matrix')) <= (mode NOT IN ('contact_point', 'relay'))),
            CHECK ((kind NOT IN ('web', 'matrix')) <= (mode <> 'open')),
            -- Content passes through an app only where somebody wrote down why.
            CHECK (mode <> 'relay' OR length(btrim(reason)) > 0)
        );
        INSERT INTO channels (id, kind, name, mode) VALUES
            ('web', 'web', 'ウェブ', 'open'),
            ('matrix', 'matrix', 'Matrix', 'open');

        CREATE TABLE channel_changes (
            id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            channel_id  text NOT NULL REFERENCES channels ON DELETE CASCADE,
            at          timestamptz NOT NULL,
            by_whom     text NOT NULL,
            mode_before text,
            mode_after  text NOT NULL,
            reason      text
        );
        CREATE INDEX channel_changes_of ON channel_changes (channel_id, id);

        CREATE TABLE cases (
            id               text PRIMARY KEY,
            room_id          text NOT NULL UNIQUE,
            user_id          text NOT NULL,
            channel_id       text NOT NULL REFERENCES channels,
            state            text NOT NULL
                             CHECK (state IN ('arriving', 'waiting', 'talking', 'resting', 'closed', 'purged')),
            language         text,
            arrived_at       timestamptz NOT NULL,
            waiting_since    timestamptz NOT NULL,
            place_on_arrival integer NOT NULL,
            accepted_at      timestamptz,
            closed_at        timestamptz,
            closed_by        text
        );
        -- One running case a person; arriving twice at once finds the first.
        CREATE UNIQUE INDEX cases_running ON cases (user_id)
            WHERE state IN ('arriving', 'waiting', 'talking', 'resting');
        CREATE INDEX cases_of ON cases (user_id, arrived_at);
        CREATE INDEX cases_waiting ON cases (waiting_since, id) WHERE state = 'waiting';
        CREATE INDEX cases_by_state ON cases (state);
        CREATE INDEX cases_accepted ON cases (accepted_at) WHERE accepted_at IS NOT NULL;

        -- Arrivals of people without an account, by the hash of a key of their own choice: a request that is repeated
        -- because its answer was lost finds what the first one made.
        CREATE TABLE arrivals (
            key_hash bytea PRIMARY KEY,
            user_id  text NOT NULL,
            at       timestamptz NOT NULL
        );
        CREATE INDEX arrivals_by_age ON arrivals (at);

        -- Who looks after a case, from when to when. A person may come back: hence the time in the key.
        CREATE TABLE case_staff (
            case_id      text NOT NULL REFERENCES cases ON DELETE CASCADE,
            user_id      text NOT NULL REFERENCES staff,
            since        timestamptz NOT NULL,
            until        timestamptz,
            succeeded_by text,
            PRIMARY KEY (case_id, user_id, since)
        );
        CREATE UNIQUE INDEX case_staff_now ON case_staff (case_id, user_id) WHERE until IS NULL;
        CREATE INDEX case_staff_of ON case_staff (user_id) WHERE until IS NULL;
        CREATE INDEX case_staff_ended ON case_staff (case_id, user_id) WHERE until IS NOT NULL;

        -- What happened to a case: who, when, why. Never what was said.
        CREATE TABLE case_steps (
            id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            case_id text NOT NULL REFERENCES cases ON DELETE CASCADE,
            at      timestamptz NOT NULL,
            step    text NOT NULL CHECK (step IN ('arrived', 'accepted', 'handed_over', 'returned', 'left', 'closed')),
            by_whom text NOT NULL,
            to_whom text,
            reason  text
        );
        CREATE INDEX case_steps_of ON case_steps (case_id, id);

        CREATE TABLE guidance (
            id         text PRIMARY KEY,
            sort       integer NOT NULL,
            name       text NOT NULL,
            name_easy  text NOT NULL,
            phone      text NOT NULL,
            url        text,
            hours      jsonb,
            hours_text text NOT NULL,
            checked_on date
        );

        -- Processes that hold no connection of their own say here that they are alive.
        CREATE TABLE heartbeats (process text PRIMARY KEY, at timestamptz NOT NULL);

        CREATE TABLE jobs (
            id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            kind       text NOT NULL,
            key        text NOT NULL,
            body       jsonb NOT NULL DEFAULT '{}',
            due_at     timestamptz NOT NULL,
            attempts   integer NOT NULL DEFAULT 0,
            last_error text,
            created_at timestamptz NOT NULL DEFAULT now(),
            gave_up_at timestamptz
        );
        -- Asking twice for the same thing makes one job.
        CREATE UNIQUE INDEX jobs_once ON jobs (kind, key) WHERE gave_up_at IS NULL;
        CREATE INDEX jobs_due ON jobs (due_at) WHERE gave_up_at IS NULL;
        """
    )
    op.execute(
        """
        INSERT INTO guidance (id, sort, name, name_easy, phone, url, hours, hours_text) VALUES
        ('kodomo_sos', 10, '24時間子供SOSダイヤル', 'こどもSOSダイヤル(なやみを きいてくれる)', '0120-0-78310', NULL,
         '{"weekly": [{"from": "00:00", "to": "24:00"}]}', '24時間、毎日'),
        ('childline', 20, 'チャイルドライン', 'チャイルドライン(18さいまでの でんわ)', '0120-99-7777',
         'https://childline.or.jp/',
         '{"weekly": [{"from": "16:00", "to": "21:00"}], "exceptions": [{"from": "12-29", "to": "01-03"}]}',
         '毎日16:00〜21:00(12月29日〜1月3日は休み)'),
        ('jidou_soudan', 30, '児童相談所虐待対応ダイヤル', 'じどうそうだんじょ(いえで つらいとき)', '189', NULL,
         '{"weekly": [{"from": "00:00", "to": "24:00"}]}', '24時間、毎日'),
        ('jinken_110', 40, '子どもの人権110番', 'こどもの じんけん110ばん(いじめなど)', '0120-007-110', NULL,
         '{"weekly": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:30", "to": "17:15"}], "holidays": [],
           "exceptions": [{"from": "12-29", "to": "01-03"}]}',
         '平日8:30〜17:15(祝日、12月29日〜1月3日は休み)'),
        ('yorisoi', 50, 'よりそいホットライン', 'よりそいホットライン(どんな なやみでも)', '0120-279-338',
         'https://www.since2011.net/yorisoi/', '{"weekly": [{"from": "00:00", "to": "24:00"}]}', '24時間、毎日'),
        ('yorisoi_tohoku', 51, 'よりそいホットライン(岩手県・宮城県・福島県から)',
         'よりそいホットライン(いわて・みやぎ・ふくしま から)', '0120-279-226',
         'https://www.since2011.net/yorisoi/', '{"weekly": [{"from": "00:00", "to": "24:00"}]}', '24時間、毎日'),
        ('kokoro', 60, 'こころの健康相談統一ダイヤル', 'こころの けんこう そうだん', '0570-064-556', NULL,
         NULL, '曜日と時間は都道府県によって違います'),
        ('inochi', 70, 'いのちの電話(ナビダイヤル)', 'いのちの でんわ', '0570-783-556', 'https://www.inochinodenwa.org/',
         '{"weekly": [{"from": "10:00", "to": "22:00"}]}', '毎日10:00〜22:00'),
        ('police', 80, '警察(事件・事故のとき)', 'けいさつ(あぶないとき)', '110', NULL,
         '{"weekly": [{"from": "00:00", "to": "24:00"}]}', '24時間、毎日'),
        ('ambulance', 90, '救急・消防(けが・急病・火事のとき)', 'きゅうきゅうしゃ(けが・びょうき)', '119', NULL,
         '{"weekly": [{"from": "00:00", "to": "24:00"}]}', '24時間、毎日')
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
