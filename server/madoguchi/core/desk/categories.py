"""What the codes of records and statistics are called, in Japanese as the ministries' forms say it and in English.

The pages have the same words in their catalogues (`record.…`); a test compares.
"""

from madoguchi.core.desk.records import GRADES

# code -> (Japanese, English), for each field of a record
FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    "contact": {
        "self": ("本人から", "From the young person"),
        "about_child": ("保護者などから(子どものこと)", "From an adult, about a child"),
        "emergency": ("緊急", "Emergency"),
        "silent": ("無言・応答なし", "Silent"),
        "abusive": ("いたずら・暴言", "Abusive"),
        "thanks": ("お礼・報告", "Thanks"),
        "question": ("問い合わせ", "Question"),
    },
    "visit": {"first": ("初めて", "First"), "repeat": ("2回目以上", "Repeat"), "unknown": ("不明", "Not known")},
    "age": {
        "to_9": ("9歳以下", "9 or younger"),
        "10_12": ("10〜12歳", "10–12"),
        "13_15": ("13〜15歳", "13–15"),
        "16_17": ("16〜17歳", "16–17"),
        "18_19": ("18〜19歳", "18–19"),
        "from_20": ("20歳以上", "20 or older"),
        "unknown": ("不明", "Not known"),
    },
    "school": {
        "elementary": ("小学校", "Elementary school"),
        "junior_high": ("中学校", "Junior high school"),
        "high": ("高校", "High school"),
        "special_needs": ("特別支援学校", "Special needs school"),
        "college": ("大学・専門学校など", "College or university"),
        "working": ("働いている", "Working"),
        "neither": ("学校・仕事なし", "Neither school nor work"),
        "unknown": ("不明", "Not known"),
    },
    "gender": {
        "female": ("女性", "Female"),
        "male": ("男性", "Male"),
        "other": ("そのほか", "Other"),
        "not_given": ("不明・答えない", "Not given"),
    },
    "topics": {
        "friends": ("友人関係", "Friends"),
        "bullying": ("いじめ", "Bullying"),
        "studies": ("学業・進路", "Studies, future"),
        "teachers": ("教職員との関係", "Teachers"),
        "family": ("家族", "Family"),
        "body": ("心身の健康", "Health"),
        "mental": ("メンタル不調", "Mental distress"),
        "suicidal": ("自殺念慮", "Suicidal thoughts"),
        "sexuality": ("性・恋愛", "Sexuality, love"),
        "online": ("SNS・ネット", "Social media, internet"),
        "abuse": ("虐待", "Abuse"),
        "other": ("その他", "Other"),
    },
    "risk": {
        "none": ("なし", "None"),
        "watch": ("気をつける", "Watch"),
        "high": ("高い", "High"),
        "urgent": ("緊急", "Urgent"),
    },
    "risk_reasons": {
        "ideation": ("死にたい気持ち", "Wishes to die"),
        "plan": ("計画・手段", "Plan or means"),
        "self_harm": ("自傷", "Self-harm"),
        "attempt": ("過去の企図", "Earlier attempt"),
        "violence": ("暴力・虐待", "Violence, abuse"),
        "runaway": ("家出", "Run away from home"),
        "alone": ("孤立", "Nobody to turn to"),
        "other": ("そのほか", "Other"),
    },
    "attitude": {
        "calmer": ("落ち着いた", "Calmer"),
        "same": ("変わらない", "The same"),
        "worse": ("つらさが増した", "Worse"),
        "unknown": ("わからない", "Not known"),
    },
    "actions": {
        "listened": ("傾聴", "Listened"),
        "advised": ("助言", "Advised"),
        "informed": ("情報提供", "Informed"),
        "safety": ("安全確認", "Checked safety"),
        "consulted": ("上席と協議", "Consulted the supervisor"),
        "emergency": ("緊急対応", "Emergency response"),
    },
    "referrals": {
        "telephone": ("電話に移行", "Moved to telephone"),
        "interview": ("面談", "Meeting in person"),
        "school": ("スクールカウンセラー・SSW", "School counsellor or social worker"),
        "child_centre": ("児童相談所", "Child guidance centre"),
        "medical": ("医療機関", "Medical care"),
        "police": ("警察", "Police"),
        "support": ("そのほかの支援機関", "Other support"),
    },
    "consent": {
        "not_asked": ("たずねていない", "Not asked"),
        "given": ("同意あり", "Given"),
        "refused": ("同意なし", "Refused"),
    },
    "outcome": {
        "settled": ("終結", "Settled"),
        "continues": ("継続", "Continues"),
        "referred": ("ほかの支援につないだ", "Referred"),
        "broken_off": ("中断", "Broken off"),
    },
    "ended_by": {
        "agreed": ("合意のうえ", "By agreement"),
        "person": ("相談者から", "By the young person"),
        "counsellor": ("相談員から", "By the counsellor"),
        "silence": ("応答がなくなって", "By silence"),
    },
}
# JIS X 0401, from 1 on.
_PREFECTURES = (
    ("北海道", "Hokkaido"), ("青森県", "Aomori"), ("岩手県", "Iwate"), ("宮城県", "Miyagi"), ("秋田県", "Akita"),
    ("山形県", "Yamagata"), ("福島県", "Fukushima"), ("茨城県", "Ibaraki"), ("栃木県", "Tochigi"), ("群馬県", "Gunma"),
    ("埼玉県", "Saitama"), ("千葉県", "Chiba"), ("東京都", "Tokyo"), ("神奈川県", "Kanagawa"), ("新潟県", "Niigata"),
    ("富山県", "Toyama"), ("石川県", "Ishikawa"), ("福井県", "Fukui"), ("山梨県", "Yamanashi"), ("長野県", "Nagano"),
    ("岐阜県", "Gifu"), ("静岡県", "Shizuoka"), ("愛知県", "Aichi"), ("三重県", "Mie"), ("滋賀県", "Shiga"),
    ("京都府", "Kyoto"), ("大阪府", "Osaka"), ("兵庫県", "Hyogo"), ("奈良県", "Nara"), ("和歌山県", "Wakayama"),
    ("鳥取県", "Tottori"), ("島根県", "Shimane"), ("岡山県", "Okayama"), ("広島県", "Hiroshima"),
    ("山口県", "Yamaguchi"), ("徳島県", "Tokushima"), ("香川県", "Kagawa"), ("愛媛県", "Ehime"), ("高知県", "Kochi"),
    ("福岡県", "Fukuoka"), ("佐賀県", "Saga"), ("長崎県", "Nagasaki"), ("熊本県", "Kumamoto"), ("大分県", "Oita"),
    ("宮崎県", "Miyazaki"), ("鹿児島県", "Kagoshima"), ("沖縄県", "Okinawa"),
)  # fmt: skip
_UNKNOWN = ("不明", "Not known")
# What else the statistics divide by.
TABLES: dict[str, dict[str, tuple[str, str]]] = {
    "prefecture": {
        **{str(number): names for number, names in enumerate(_PREFECTURES, 1)},
        "unknown": _UNKNOWN,
    },
    "person": {"self": ("本人", "Young person"), "about_child": ("保護者など", "Adult"), "unknown": _UNKNOWN},
    "channel": {
        "web": ("ウェブ", "Web"),
        "matrix": ("Matrix", "Matrix"),
        "line": ("LINE", "LINE"),
        "telegram": ("Telegram", "Telegram"),
    },
    "weekday": {
        "1": ("月曜日", "Monday"),
        "2": ("火曜日", "Tuesday"),
        "3": ("水曜日", "Wednesday"),
        "4": ("木曜日", "Thursday"),
        "5": ("金曜日", "Friday"),
        "6": ("土曜日", "Saturday"),
        "7": ("日曜日", "Sunday"),
    },
    "waiting": {
        "0": ("1分未満", "Under 1 min"),
        "1": ("1〜5分未満", "1–5 min"),
        "2": ("5〜15分未満", "5–15 min"),
        "3": ("15〜30分未満", "15–30 min"),
        "4": ("30〜60分未満", "30–60 min"),
        "5": ("60分以上", "60 min or more"),
    },
    "duration": {
        "0": ("10分未満", "Under 10 min"),
        "1": ("10〜30分未満", "10–30 min"),
        "2": ("30〜60分未満", "30–60 min"),
        "3": ("60〜90分未満", "60–90 min"),
        "4": ("90分以上", "90 min or more"),
        "running": ("相談中", "Running"),
    },
}
# What the tables are called, in the order of an export.
TITLES: dict[str, tuple[str, str]] = {
    "totals": ("件数と人数", "Cases and people"),
    "channel": ("経路", "Channel"),
    "month": ("月別", "Month"),
    "day": ("日別", "Day"),
    "weekday": ("曜日別", "Weekday"),
    "hour": ("時間帯別", "Hour"),
    "waiting": ("待ち時間", "Waiting time"),
    "duration": ("相談時間", "Duration"),
    "person": ("相談者の別", "Who"),
    "contact": ("相談の種別", "Contact"),
    "visit": ("初回・再来", "First or repeat"),
    "age": ("年齢", "Age"),
    "school": ("学校", "School"),
    "grade": ("学年", "Grade"),
    "gender": ("性別", "Gender"),
    "prefecture": ("都道府県", "Prefecture"),
    "topics": ("相談内容(複数)", "Topics (several)"),
    "risk": ("危険度", "Risk"),
    "risk_reasons": ("危険度の理由(複数)", "Reasons of the risk (several)"),
    "attitude": ("終わったときの様子", "How they were in the end"),
    "actions": ("対応(複数)", "What was done (several)"),
    "referrals": ("つなぎ先(複数)", "Referrals (several)"),
    "consent": ("情報共有の同意", "Consent to pass on"),
    "outcome": ("結果", "Outcome"),
    "ended_by": ("終わり方", "Who ended it"),
}
TOTALS: dict[str, tuple[str, str]] = {
    "accesses": ("アクセス件数", "Accesses"),
    "not_answered": ("未対応件数", "Not answered"),
    "answered": ("対応件数", "Answered"),
    "unrecorded": ("うち記録なし", "Without a record"),
    "recorded": ("うち記録あり", "With a record"),
    "not_formed": ("相談不成立", "Not formed"),
    "held": ("相談成立", "Held"),
    "people": ("相談者の実人数", "People"),
    "held_people": ("相談が成立した実人数", "People with counselling"),
}
TIMES: dict[str, tuple[str, str]] = {
    "mean": ("平均(分)", "Mean (min)"),
    "median": ("中央値(分)", "Median (min)"),
    "longest": ("最長(分)", "Longest (min)"),
}


def name_of(table: str, code: str, english: bool) -> str:
    """What a cell of a table is called. A code without a name (a day, an app) is its own."""
    if table == "grade":
        return _grade(code, english)
    known = FIELDS.get(table, {}) | TABLES.get(table, {})
    return known[code][english] if code in known else code


def _grade(code: str, english: bool) -> str:
    school, _, grade = code.partition(".")
    name = FIELDS["school"][school][english]
    if grade == "unknown":
        return f"{name}, grade not known" if english else f"{name} 学年不明"
    assert int(grade) <= GRADES[school]
    return f"{name}, grade {grade}" if english else f"{name} {grade}年"
