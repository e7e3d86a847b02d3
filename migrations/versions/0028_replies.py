"""replies: what the desk says often."""

from alembic import op

revision = "0028_replies"
down_revision = "0027_bridge_references"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- The desk's own sentences, never anything of a case. Blanks as {name} are filled by the counsellor's page.
        CREATE TABLE replies (
            id       text PRIMARY KEY,
            sort     integer NOT NULL,
            language text NOT NULL CHECK (language IN ('ja', 'ja-x-easy', 'en')),
            title    text NOT NULL,
            text     text NOT NULL
        );
        -- Some to begin with; each desk makes them its own.
        INSERT INTO replies (id, sort, language, title, text) VALUES
        ('hello_ja', 10, 'ja', 'はじめのあいさつ',
         'こんにちは。{desk}の{name}です。話しに来てくれて、ありがとうございます。ゆっくりで大丈夫なので、'
         '話せるところから聞かせてください。'),
        ('moment_ja', 20, 'ja', '少し待ってもらう',
         '読んでいます。お返事を考えているので、少し待っていてくださいね。'),
        ('there_ja', 30, 'ja', '返事がないとき',
         'まだそこにいますか。急がなくて大丈夫です。書けそうになったら、続きを聞かせてください。'),
        ('danger_ja', 40, 'ja', '命の危険があるとき',
         'いま、あなたは安全なところにいますか。すぐに助けが必要なときは、'
         '110(警察)か119(救急)に電話してください。ここでも話を聞いています。'),
        ('lines_ja', 50, 'ja', 'いま話せる電話',
         E'声で話したいときは、いま次のところで話せます。\\n{lines}'),
        ('handover_ja', 60, 'ja', '相談員がかわる',
         'ここからは、ほかの相談員が続けます。これまでの話は引きつがれるので、'
         'はじめから話しなおさなくて大丈夫です。'),
        ('goodbye_ja', 70, 'ja', '終わりのあいさつ',
         '今日は話してくれて、ありがとうございました。{desk}の受付時間は{hours}です。また話したくなったら、'
         'いつでも来てください。'),
        ('hello_easy', 110, 'ja-x-easy', 'はじめのあいさつ',
         'こんにちは。{desk}の {name}です。きてくれて ありがとう。ゆっくりで だいじょうぶ。'
         'はなせることから はなしてください。'),
        ('moment_easy', 120, 'ja-x-easy', '少し待ってもらう',
         'よんでいます。いま、おへんじを かいています。すこし まってください。'),
        ('there_easy', 130, 'ja-x-easy', '返事がないとき',
         'まだ いますか。いそがなくて だいじょうぶ。かけるときに かいてください。'),
        ('danger_easy', 140, 'ja-x-easy', '命の危険があるとき',
         'いま、あんぜんな ところに いますか。すぐに たすけが いるときは、'
         '110(けいさつ)か 119(きゅうきゅうしゃ)に でんわしてください。ここでも はなしを きいています。'),
        ('lines_easy', 150, 'ja-x-easy', 'いま話せる電話',
         E'こえで はなしたいときは、いま ここで はなせます。\\n{lines}'),
        ('handover_easy', 160, 'ja-x-easy', '相談員がかわる',
         'ここからは、ほかの人が はなしを ききます。いままでの はなしは つたわっています。'
         'もういちど はなさなくて だいじょうぶ。'),
        ('goodbye_easy', 170, 'ja-x-easy', '終わりのあいさつ',
         'きょうは はなしてくれて ありがとう。{desk}が あいている じかんは {hours}です。'
         'また いつでも きてください。'),
        ('hello_en', 210, 'en', 'Hello',
         'Hello, this is {name} of {desk}. Thank you for coming. '
         'Take your time, and tell me whatever you feel like telling.'),
        ('moment_en', 220, 'en', 'A moment, please',
         'I am reading. Please give me a moment to think about what I write.'),
        ('there_en', 230, 'en', 'When no answer comes',
         'Are you still there? There is no hurry. Whenever you can write again, I would like to hear more.'),
        ('danger_en', 240, 'en', 'When a life is in danger',
         'Are you somewhere safe right now? '
         'If you need help at once, please call 110 (police) or 119 (ambulance). I am here, too.'),
        ('lines_en', 250, 'en', 'Lines to call now',
         E'If you would like to talk with somebody, these lines answer now.\\n{lines}'),
        ('handover_en', 260, 'en', 'A colleague goes on',
         'A colleague goes on from here. They know what we have talked about, so you need not tell it again.'),
        ('goodbye_en', 270, 'en', 'Goodbye',
         'Thank you for talking with me today. {desk} is open: {hours}. '
         'Please come back whenever you want to talk.');
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
