"""What the state has asked of such a desk, and which lines of the viewing ledger answer it.

Sources: the guideline
「政府機関・地方公共団体等における業務でのLINE利用状況調査を踏まえた今後のLINEサービス等の利用の際の考え方」
(Cabinet Secretariat, Personal Information Protection Commission, FSA, MIC, 30 April 2021) and the guidance that the
Personal Information Protection Commission gave to LINE on 23 April 2021. Summaries, without numbers of clauses.
"""

from typing import NamedTuple


class Requirement(NamedTuple):
    """Each text in Japanese and English; sections: of the ledger."""

    source: tuple[str, str]
    asked: tuple[str, str]
    sections: tuple[str, ...]
    evidence: tuple[str, str]


_GUIDELINE = ("国の考え方(ガイドライン) 2021年4月30日", "Guideline of the government, 30 April 2021")
_COMMISSION = ("個人情報保護委員会の指導 2021年4月23日", "Personal Information Protection Commission, 23 April 2021")

LIST = (
    Requirement(
        _GUIDELINE,
        (
            "アプリは相談の入口の一つとし、相談内容がアプリの会社に残らないこと",
            "An app is one contact point among others; what is said does not remain with the app's company",
        ),
        ("channels", "readers", "push"),
        (
            "経路のモードと、会社が知り得ること。「中継」のときは内容が読めると記す",
            "each channel's mode and what its company learns; a relay is named as one that can be read",
        ),
    ),
    Requirement(
        _GUIDELINE,
        (
            "内容は、運営者や委託先のデータベースに直接格納し、保管すること",
            "What is said goes straight into the database of the operator or its contractor",
        ),
        ("places", "entrances", "retention"),
        (
            "保管場所と国、複製、保存期間",
            "where it is kept and in which country, copies of it, how long",
        ),
    ),
    Requirement(
        _GUIDELINE,
        (
            "命にかかわる例外は、責任のある主体が判断すること",
            "Exceptions where life and limb are at stake are decided by the responsible body",
        ),
        ("channels", "access"),
        (
            "監査ログ(channel.switched、case.kept): 理由と二人の名前",
            "the audit log (channel.switched, case.kept): the reason, and two people's names",
        ),
    ),
    Requirement(
        _GUIDELINE,
        (
            "利用の状況を定期的に確かめ、報告できること",
            "How it is used is checked and reported regularly",
        ),
        ("allowed", "contacted"),
        (
            "毎日の署名つきの台帳と、日ごとの違い",
            "a signed ledger every day, and what differs between days",
        ),
    ),
    Requirement(
        _COMMISSION,
        (
            "アクセス権限は、必要性と範囲を検討したうえで与えること",
            "Rights of access are given after weighing need and extent",
        ),
        ("readers", "processes", "roles", "entrances"),
        (
            "プログラム・役割ごとに読めるもの、データベースに入れる役割の調査",
            "what each process and role can read; the database's roles, as they were found",
        ),
    ),
    Requirement(
        _COMMISSION,
        (
            "アクセスを検証できるログを保存し、分析すること",
            "Logs by which access can be verified are kept and looked at",
        ),
        ("access", "logins", "connected"),
        (
            "連鎖し署名された監査ログ(madoguchi audit verify)と、90日の集計",
            "the chained and signed audit log (madoguchi audit verify), counted over 90 days",
        ),
    ),
    Requirement(
        _COMMISSION,
        (
            "委託先での取扱いを、定期的な監査で把握し、評価すること",
            "How contractors handle the data is known by periodic audit, and judged",
        ),
        ("places", "channels", "push", "contacted"),
        (
            "毎日の調査、違いの警報と、それを確認した管理者の記録(ledger.acknowledged)",
            "daily probes, the alarm on drift, and who looked at it (ledger.acknowledged)",
        ),
    ),
    Requirement(
        _COMMISSION,
        (
            "取得する情報の範囲を、分かりやすく知らせること",
            "People are told clearly what is collected",
        ),
        ("readers", "retention"),
        (
            "若い人のための「だれが読めるの?」のページ(この台帳からつくられる)",
            "the page 'Who can read this?' for young people, made from this ledger",
        ),
    ),
)
