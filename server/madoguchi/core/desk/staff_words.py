"""What the desk's bot says in the staff room: Japanese first, then English. Numbers, names and codes, never content."""

from datetime import datetime

from madoguchi import errors
from madoguchi.core.desk.hours import TOKYO
from madoguchi.storage.cases import Risk
from madoguchi.storage.staff_room import Answer, Card

_CHANNELS = {"web": ("ウェブ", "web"), "matrix": ("Matrix", "Matrix"), "line": ("LINE", "LINE")}
_CHANNELS["telegram"] = ("Telegram", "Telegram")
RISKS: dict[Risk, tuple[str, str]] = {
    "none": ("危険度なし", "no risk set"),
    "watch": ("気をつける", "watch"),
    "high": ("高い", "high"),
    "urgent": ("緊急", "urgent"),
}
_STATES = {
    "waiting": ("待っています", "waiting"),
    "talking": ("相談中", "talking"),
    "resting": ("休み中", "resting"),
}

# What a daily examination has found, by its name.
_ALARMS = {
    "audit": ("監査ログの壊れたところ", "faults of the audit log"),
    "bridges": ("アプリから届いて見つからないもの", "events of apps that are nowhere"),
    "events": ("送られたときと違うもの", "events that are not what was sent"),
    "ledger": ("閲覧範囲の、まだだれも確かめていない変化", "changes in who can view what that nobody has looked at"),
    "switches": ("予定の時に切り替えられなかった経路", "channels that were not switched at their time"),
    "vault": ("保管庫に鍵がない発言のまとまり", "sessions whose key the vault lacks"),
    "vault_key": ("運営者の決めたものではない保管庫の鍵", "vault key that the operator has not named"),
}

HELP = Answer(
    "!queue 待っている人 / !mine 自分の相談 / !accept 番号 受ける / !handover 番号 名前かチーム [理由] 引きつぐ / "
    "!risk 番号 none|watch|high|urgent / !rest 番号 休みにする / !close 番号 終える / !join 番号 入る（責任者）。"
    "命令を読むのはこの部屋だけです。相談の部屋に書いたことは、相談者に届きます。理由などに相談の中身は書かないでください。",
    "!queue, !mine, !accept N, !handover N NAME|TEAM [why], !risk N none|watch|high|urgent, !rest N, !close N, "
    "!join N (supervisors). Commands are read in this room only: what is said in a case's room reaches the young "
    "person. Write nothing here of what was said there.",
)
UNKNOWN = Answer("その命令はありません。!help で一覧が出ます。", "No such command. !help lists them.")
TOO_OLD = Answer(
    "時間がたったので、しませんでした。もう一度書いてください。", "Not done: it came too late. Please say it again."
)
NOT_STAFF = Answer("あなたはこの窓口の相談員ではありません。", "You are not one of the desk's counsellors.")
NO_NUMBER = Answer("番号を書いてください。!queue と !mine に出ます。", "Say which number: !queue and !mine show them.")
NO_RISK = Answer("none, watch, high, urgent のどれかを書いてください。", "Say none, watch, high or urgent.")
NO_HEIR = Answer("引きつぐ相手の名前かチームを書いてください。", "Say to which colleague or team.")
NOBODY_WAITS = Answer("待っている人はいません。", "Nobody waits.")
NONE_MINE = Answer("受けている相談はありません。", "You have no cases.")


def several(names: list[str]) -> Answer:
    """More than one thing is called so."""
    listed = ", ".join(names[:5])
    return Answer(f"どれか決まりません: {listed}", f"Which one? {listed}")


def accepted(number: int) -> Answer:
    return Answer(
        f"{number} を受けました。部屋への招待が届きます。",
        f"{number} is yours. The invitation to its room is on its way.",
    )


def closed(number: int) -> Answer:
    return Answer(f"{number} を終えました。記録を書いてください。", f"{number} is closed. Please write its record.")


def rested(number: int) -> Answer:
    return Answer(f"{number} を休みにしました。", f"{number} rests.")


def joined(number: int) -> Answer:
    return Answer(f"{number} に入ります。招待が届きます。", f"You join {number}. The invitation is on its way.")


def handed(number: int, name: str) -> Answer:
    return Answer(f"{number} を {name} に引きつぎました。", f"{number} goes to {name}.")


def marked(number: int, risk: Risk) -> Answer:
    return Answer(f"{number} の危険度: {RISKS[risk][0]}", f"Risk of {number}: {RISKS[risk][1]}")


def refusal(refused: errors.Refused) -> Answer:
    """Why a command was not done."""
    if isinstance(refused, errors.AlreadyTaken):
        by = refused.fields.get("by")
        name = str(by.get("name", "?")) if isinstance(by, dict) else "?"
        return Answer(f"先に {name} が受けました。", f"{name} was faster.")
    if isinstance(refused, errors.CapacityFull):
        return Answer("受けられる数に達しています。", "No free place: the capacity is reached.")
    if isinstance(refused, errors.NotFound):
        return Answer("その番号の相談はありません。", "There is no case of that number.")
    if isinstance(refused, errors.NotAllowed):
        return Answer("あなたの相談ではないか、できる役割ではありません。", "Not yours, or not for your role.")
    if isinstance(refused, errors.Conflict):
        return Answer(
            "いまの状態ではできません（休憩中、終わった、だれも受けていない）。",
            f"Not as it stands now. {refused.message}",
        )
    return Answer("できませんでした。", refused.message or "That could not be done.")


def listed(cards: list[tuple[Card, str]], at: datetime) -> Answer:
    """Cases, one a line. Each with the name of its team, or nothing."""
    return Answer(*("\n".join(_line(card, team, at, language) for card, team in cards) for language in (0, 1)))


def _line(card: Card, team: str, at: datetime, language: int) -> str:
    minutes = int((at - card.since).total_seconds() // 60)
    parts = [str(card.number), _STATES.get(card.state, ("", ""))[language], _channel(card.channel)[language]]
    if card.state == "waiting":
        parts.append((f"{minutes}分", f"{minutes} min")[language])
    return " ・ ".join([*parts, *_marks(card, team, language)])


def waiting(card: Card, team: str) -> Answer:
    """Somebody waits."""
    since = f"{card.since.astimezone(TOKYO):%H:%M}"
    ja = " ・ ".join(["待っています", _channel(card.channel)[0], f"{since}から", *_marks(card, team, 0)])
    en = " · ".join(["Waiting", _channel(card.channel)[1], f"since {since}", *_marks(card, team, 1)])
    return Answer(f"{card.number} {ja} → !accept {card.number}", en)


def taken(card: Card) -> Answer:
    """Somebody has taken it."""
    name = card.counsellor or "?"
    return Answer(f"{card.number} {name} が受けました。", f"Taken by {name}.")


def ended(card: Card) -> Answer:
    """It has ended."""
    return Answer(f"{card.number} 終わりました。", "Ended.")


def alarm(name: str, found: int) -> Answer:
    """A daily examination has found something."""
    ja, en = _ALARMS.get(name, (name, name))
    return Answer(
        f"点検の知らせ: {ja} {found}件。管理者は「状態」のページを見てください。",
        f"Alarm of the daily examination: {found} {en}. Administrators: see the status page.",
    )


def late(card: Card, minutes: int) -> Answer:
    """Somebody waits for long."""
    marks = _marks(card, "", 0)
    ja = " ・ ".join([f"{card.number} {minutes}分より長く待っています", *marks])
    return Answer(f"{ja} → !accept {card.number}", f"Waiting for more than {minutes} minutes.")


def _channel(kind: str) -> tuple[str, str]:
    return _CHANNELS.get(kind, (kind, kind))


def _marks(card: Card, team: str, language: int) -> list[str]:
    marks = [] if card.risk == "none" else [("危険度 ", "risk ")[language] + RISKS[card.risk][language]]
    if card.repeat:
        marks.append(("2回目以降", "came before")[language])
    if team:
        marks.append((f"{team}へ", f"for {team}")[language])
    return marks
