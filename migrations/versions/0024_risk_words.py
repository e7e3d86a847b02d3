"""risk words: words and phrases that suggest a risk where they stand in what a young person writes."""

from alembic import op

revision = "0024_risk_words"
down_revision = "0023_bridge_ledger"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- What the staff's browsers look for; what they find stays with them. level: what it suggests, to a human.
        CREATE TABLE risk_words (
            language text NOT NULL CHECK (language IN ('ja', 'en')),
            text     text NOT NULL,
            level    text NOT NULL CHECK (level IN ('watch', 'high', 'urgent')),
            sort     integer NOT NULL,
            PRIMARY KEY (language, text)
        );
        -- A list to begin with; each desk makes it its own.
        INSERT INTO risk_words (level, language, text, sort)
        SELECT list.level, list.language, btrim(word.text, E' \\n'), row_number() OVER (ORDER BY list.place, word.nth)
        FROM (VALUES
            (1, 'urgent', 'ja', '
                今から死ぬ, いまから死ぬ, 今から死にます, これから死ぬ, これから死にます, 今日死ぬ, 今日死にます,
                今夜死ぬ, 明日死ぬ, もう死ぬね, 死ぬ準備, 死ぬ日を決め, 今日で終わりにする, 遺書, 最後のメッセージ,
                飛び降りる, 飛び降ります, 飛び降りたい, 飛びおりる, 線路に飛び込, 電車に飛び込, 屋上にいる, 首を吊,
                首つり, 首をつる, 首をつって, 首をつろう, ロープを用意, 練炭, 薬を全部飲, 薬をたくさん飲,
                薬を大量に飲, くすりをたくさん飲, ODした, オーバードーズした, 手首を切った, 血が止まらない, 殺される,
                ころされる, 包丁を持って, 刃物を持って, 閉じ込められてい, 閉じこめられてい'),
            (2, 'high', 'ja', '
                死にたい, しにたい, 4にたい, タヒにたい, 氏にたい, 死のうと思, 死のうかな, しのうかな,
                死んでしまいたい, 死んじゃいたい, 死んだほうがまし, 死んだ方がまし, 死んだほうがいい, 死んだ方がいい,
                死ねたら, 消えたい, きえたい, 消えてしまいたい, 消えてなくなりたい, いなくなりたい, 居なくなりたい,
                いないほうがいい, いない方がいい, 生まれてこなければ, 生きたくない, 生きていたくない, 生きてたくない,
                生きる意味がない, 生きてる意味がない, 生きている意味がない, 生きるのがつらい, 生きるのが辛い, 自殺,
                希死念慮, リスカ, リストカット, アムカ, レグカ, 自傷, オーバードーズ, OD, 首を絞め, 首をしめ, 殴られ,
                なぐられ, 蹴られ, 叩かれ, たたかれ, 虐待, 締め出され, しめ出され, ご飯をもらえない,
                ごはんをもらえない, ご飯を食べさせてもらえない, ごはんを食べさせてもらえない, 体を触られ,
                体をさわられ, からだをさわられ, 胸を触られ, レイプ, 犯され, 性被害, 裸の写真, 裸の画像, 裸の動画,
                写真をばらまく, 動画をばらまく, 脅され, おどされ, 妊娠, 殺したい, 殺してやる, 家出した, 家出中,
                泊めてくれる人'),
            (3, 'watch', 'ja', '
                いじめられ, いじめに, 仲間はずれ, 仲間外れ, はぶられ, 無視され, お金を取られ, お金を要求,
                家に帰りたくない, 居場所がない, 逃げ出したい, もう限界, もう無理, だれにも言えない, 誰にも言えない,
                涙が止まらない, 食べて吐, 過食, 拒食, 怒鳴られ, どなられ, 暴言, 無理やり, むりやり, 会おうと言われ,
                会おうって言われ, 写真を送って, 闇バイト, 盗撮, 痴漢, ストーカー, つきまとわれ, DV'),
            (4, 'urgent', 'en', '
                going to kill myself, gonna kill myself, about to kill myself, kill myself tonight,
                kill myself today, end my life tonight, end it tonight, suicide note, goodbye note, going to jump,
                gonna jump, hang myself, took all my pills, took too many pills, took a lot of pills, overdosed,
                slit my wrists, cut my wrists, won''t stop bleeding, going to kill me, has a knife, has a gun,
                locked me in'),
            (5, 'high', 'en', '
                want to die, wanna die, wish I was dead, wish I were dead, kill myself, killing myself, end my life,
                ending my life, end it all, suicide, suicidal, better off dead, better off without me,
                don''t want to live, don''t want to be alive, don''t want to exist, want to disappear,
                no reason to live, nothing to live for, self-harm, self-harming, cutting myself, hurt myself,
                hurting myself, overdose, hits me, hit me, beats me, beat me up, kicks me, kicked me, chokes me,
                choked me, touches me, touched me, rape, raped, molested, sexually abused, abuse, abused, abusing,
                nudes, naked photo, naked photos, naked pictures, blackmail, blackmailing, blackmailed,
                threatened me, pregnant, kill him, kill her, kill them'),
            (6, 'watch', 'en', '
                bullied, bullying, bully me, left out, ignore me, no friends, nobody cares, no one cares, hopeless,
                can''t take it anymore, can''t do this anymore, give up, don''t want to go home, run away, ran away,
                can''t stop crying, panic attack, panic attacks, throw up after, starving myself, yells at me,
                screams at me, wants to meet me, asked for pictures, asked for photos, stalking, stalked, groped,
                takes my money, took my money')
        ) AS list (place, level, language, words),
        regexp_split_to_table(list.words, ',') WITH ORDINALITY AS word (text, nth);
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations go forward only.")
