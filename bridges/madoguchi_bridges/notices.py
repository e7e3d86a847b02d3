"""The neutral words that the bridge says by itself, in easy Japanese with a line of English. Never a question: in an
app, a human asks.

They tell nothing about anybody, for somebody else may look at the screen; and they tell who can read along.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from .network import Button

JAPAN = ZoneInfo("Asia/Tokyo")
WEEKDAYS = "月火水木金土日"
READABLE = "{app}に書いたことは、{app}の会社が見ることもできます。"
ONLY_YOU = "ページなら、読めるのはあなたと相談員だけです。"
SEALED_PAGE = "ここなら、あなたと相談員だけが読めます（名前も登録もいりません）。\n{url}"
PAGE_IN_ENGLISH = "English: on that page only you and the counsellor can read. Here, {app}'s company can as well."
GREETING_CARD = "あなたと相談員だけが読めるページです。\nOnly you and the counsellor can read there."


def buttons(page: str) -> tuple[Button, ...]:
    """What a tap opens: the page, or the case on it; and the list of hotlines. None where the page has no address that
    every app would open."""
    if not page.startswith("https://"):
        return ()
    guidance = page.partition("/#")[0].rstrip("/") + "/guidance/"
    return Button("ページで話す / Chat", page), Button("電話で話す / Call", guidance)


def greeting(mode: str, app: str, url: str, own: str = "") -> str:
    """Said once when somebody adds or unblocks the account. `own`: the operator's first line for this account."""
    here = "いつでもここに書いてください。人が読んで、お返事します。"
    how = here if mode == "relay" else "下のページを開いてください。"
    return f"{own or '追加ありがとうございます。'}話したいときは、{how}\n\n{_where(app, url)}"


def contact_point(app: str, url: str) -> str:
    """The answer to words that could not be handed on, in an app that carries only notices."""
    return f"連絡ありがとうございます。ここに書いたことは、相談員には届きません。\n\n{_where(app, url)}"


def handed_over(app: str, url: str, code: str) -> str:
    """The answer to words that were handed to the counsellor, in an app that carries only notices."""
    return (
        f"書いてくれて、ありがとうございます。相談員に渡しました。お返事は、下のページで読めます。\n{url}\n"
        f"別のスマホで開くときのコード: {code}\n\n{READABLE.format(app=app)}つづきは、ページに書いてください。\n"
        "English: a counsellor has your words. The answer will be on the page above."
    )


def moved(url: str, code: str, app: str = "") -> str:
    """The answer to words of somebody who has moved, to the page or to an app: how to go on. Nothing is handed on."""
    where = f"{goes_on(app)}\n{app}を使えないときは、下のページで話せます。" if app else goes_on("窓口のページ")
    return f"{where}\n{url}\n別のスマホで開くときのコード: {code}"


NEWS = "新しいお知らせがあります。"


def news(url: str, code: str) -> str:
    """That something waits on the page, for somebody who has not gone there yet."""
    return f"{NEWS}\n{url}\nコード: {code}"


def move(app: str, url: str, code: str, stopped: bool, guidance: Sequence[Mapping[str, Any]]) -> str:
    """The offer of a move. `stopped`: content no longer crosses the app; then with the hotlines that are open now."""
    why = (
        f"{app}では、お話を続けられなくなりました。つづきは、下のページで、同じ相談員と話せます。"
        if stopped
        else "お話のつづきを、下のページでもできます。相談員は同じです。いままでの話も読めます。"
    )
    lines = [why, url, f"別のスマホで開くときのコード: {code}", "", READABLE.format(app=app), ONLY_YOU]
    english = "English: go on at the page above, with the same counsellor."
    return "\n".join([*lines, english, *_hotlines("いま話せる電話:", guidance)])


def app_move(app: str, name: str, url: str, code: str) -> str:
    """The offer to go on in another app. `name`: of the account there."""
    return (
        f"お話のつづきを、{app}でもできます。相談員は同じです。下のリンクを開いて、送るボタンをおしてください（3日間、1回だけ使えます）。\n{url}\n"
        f"開けないときは、{app}の「{name}」に、このコードを送ってください: {code}\n\n{READABLE.format(app=app)}"
    )


def goes_on(app: str) -> str:
    """Said once in the app that somebody has left, and whenever they write there again."""
    return f"つづきは、{app}で話せます。ここに書いたことは、相談員には届きません。"


def came_here(app: str) -> str:
    """Said once to whoever goes on here."""
    return f"つづきは、ここで話せます。相談員は同じです。\n\n{READABLE.format(app=app)}"


def came_to_a_contact_point(app: str, url: str, code: str) -> str:
    """The same where the app carries only notices."""
    return (
        f"相談員は同じです。お返事が来たら、ここでお知らせします。お返事は、下のページで読めます。\n{url}\n"
        f"別のスマホで開くときのコード: {code}\n\n{READABLE.format(app=app)}つづきは、ページに書いてください。"
    )


NOT_GONE_ON = {
    "unknown": "このコードでは、つづきを話せませんでした。まちがいがないか、見てください。",
    "elsewhere": "このコードは、ここではなく、もう一つのアプリに送ってください。",
    "used": "このコードは、もう使われました。",
    "expired": "このコードは、古くなって使えません（3日間だけ使えます）。",
    "ended": "この相談は、もう終わっています。",
    "busy": "いま、ほかの相談が続いています。コードは、その相談が終わってから使えます。",
    "often": "まちがったコードが続いたので、1時間くらいあとで、もう一度送ってください。",
}


def not_gone_on(outcome: str, url: str) -> str:
    """Why a code did nothing, and what to do now."""
    why = NOT_GONE_ON.get(outcome, NOT_GONE_ON["unknown"])
    onward = {
        "elsewhere": "",
        "busy": "いまの話のつづきは、そのまま書いてください。",
        "ended": "また話したいときは、そのままここに書いてください。",
    }.get(outcome, "新しいコードは、前のアプリで相談員にたのめます。はじめて話すときは、そのままここに書いてください。")
    return "\n".join(filter(None, (why, onward, f"相談のページ: {url}")))


def closed(url: str, guidance: Sequence[Mapping[str, Any]]) -> str:
    """The answer where no case can be begun: the page, and the hotlines that are open now."""
    lines = ["連絡ありがとうございます。いま、ここでは受付をしていません。", "", "相談のページはこちらです。", url]
    english = "English: nobody can be reached here now. The page above shows who you can call."
    return "\n".join([*lines, english, *_hotlines("いま話せる電話:", guidance)])


def later(url: str, guidance: Sequence[Mapping[str, Any]], next_opening: int | None) -> str:
    """The answer where the desk takes no new case for a while: what was written waits. next_opening: ms, if known."""
    lines = [
        "書いてくれて、ありがとうございます。いまは、新しい相談を受けていません。",
        *([f"つぎの受付: {_moment(next_opening)}から"] if next_opening is not None else []),
        "書いたことは消えません。受付が始まったら、相談員に届きます。",
        "English: the desk takes nobody new right now. A counsellor will get your words when it opens.",
    ]
    return "\n".join([*lines, *_hotlines("いま話せる電話:", guidance), "", f"電話で話せるところ: {url}/guidance/"])


def waits(
    url: str, guidance: Sequence[Mapping[str, Any]], ahead: int, nobody: bool, minutes: tuple[int, int] | None
) -> str:
    """The answer to whoever has come and will have to wait. ahead: how many wait before them."""
    why = "いまは相談員が席にいません。もどったら読んで、ここにお返事します。"
    if not nobody:
        long = f"{minutes[0]}〜{minutes[1]}分くらいです" if minutes else "時間がかかるかもしれません"
        why = f"いま、ほかに{ahead}人が待っています。" if ahead else "いま、相談員はほかの人と話しています。"
        why += f"お返事まで、{long}。"
    lines = [
        f"書いてくれて、ありがとうございます。届きました。{why}",
        "待っているあいだも、ここに書いてだいじょうぶです。",
        "English: we have your words. It may take a while until a counsellor answers.",
    ]
    hotlines = _hotlines("待てないときに、いま話せる電話:", guidance)
    return "\n".join([*lines, *hotlines, "", f"電話で話せるところ: {url}/guidance/"])


def group_farewell(url: str) -> str:
    """Said once in a group chat before leaving it."""
    return f"この窓口は、グループでは使えません。退出します。\n{url}"


def _where(app: str, url: str) -> str:
    return "\n".join((READABLE.format(app=app), SEALED_PAGE.format(url=url), PAGE_IN_ENGLISH.format(app=app)))


def _hotlines(heading: str, guidance: Sequence[Mapping[str, Any]]) -> list[str]:
    open_now = [line for line in map(_hotline, guidance) if line]
    return ["", heading, *open_now] if open_now else []


def _moment(at: int) -> str:
    when = datetime.fromtimestamp(at / 1000, JAPAN)
    minute = f"{when.minute}分" if when.minute else ""
    return f"{when.month}月{when.day}日（{WEEKDAYS[when.weekday()]}）{when.hour}時{minute}"


def _hotline(entry: Mapping[str, Any]) -> str:
    name, phone = entry.get("name_easy") or entry.get("name"), entry.get("phone")
    if not entry.get("open_now") or not isinstance(name, str) or not isinstance(phone, str):
        return ""
    return f"・{name} {phone}"


FAILURES = {
    "quota": "今月{app}に送れる数を使い切りました",
    "reserve": "今月{app}に送れる数が残り少ないので、危険な相談と引っ越しのために取ってあります",
    "blocked": "相手が{app}でブロックしています",
    "unauthorized": "{app}の接続の設定が正しくありません。管理者に伝えてください",
    "invalid": "{app}がこの内容を受け付けませんでした",
    "unknown_person": "{app}に相手が見つかりません",
    "refused": "{app}に断られました",
    "no_answer": "{app}が長い間こたえませんでした",
    "kind": "この種類のメッセージは{app}に送れません。言葉で送ってください",
    "too_large": "大きすぎて送れません",
    "not_carried": "{app}では今、内容を運ばない設定です",
    "unreadable": "暗号を開けませんでした。もう一度送ってください",
    "no_reactions": "{app}には反応を送れません",
    "no_emoji": "{app}では使えない絵文字です",
    "no_message": "いまの{app}の会話にないメッセージです",
}


def failure(reason: str, app: str) -> str:
    """Told in the room, to the counsellor, under the message that did not get out."""
    return f"⚠ {app}に届いていません: {_why(reason, app)}。"


def reaction_failed(reason: str, app: str) -> str:
    """The same under the message that a reaction is on."""
    return f"⚠ 反応は{app}では見えません: {_why(reason, app)}。"


def reaction_on_page(app: str) -> str:
    """Under that message, where the app carries no content."""
    return f"💬 反応は{app}には出ません。相手がページを開くと見えます。"


def one_reaction(app: str) -> str:
    """Under that message, where it has had another reaction before."""
    return f"💬 {app}で見える反応は一つだけです。前の反応は、いまの反応に替わりました。"


def news_failed(reason: str, app: str) -> str:
    """The same where the message waits on the page and the app would only have said that it does."""
    why = _why(reason, app)
    return f"⚠ {app}の「{NEWS.rstrip('。')}」も届いていません: {why}。相手は、ページを開くまで気づきません。"


def _why(reason: str, app: str) -> str:
    blocked = "blocked" if reason == "maybe_blocked" else reason
    return FAILURES.get(blocked, "{app}に送れませんでした").format(app=app)


def delayed(app: str) -> str:
    return f"⏳ {app}がまだこたえません。送り直しています。"


def waits_on_page(app: str) -> str:
    """Told in the room, to the counsellor, where the app carries no content."""
    return f"💬 相手がページを開くと読めます。{app}には「新しいお知らせがあります」とだけ伝えます。"


def maybe_blocked(app: str) -> str:
    return f"⚠ {app}には渡しましたが、相手がブロックしているので、届いていないと思われます。"


def late_withdrawal(app: str) -> str:
    return f"{app}に送ったものは、{app}の画面からは消せません。"


def file_withdrawn(app: str) -> str:
    return f"送ったファイルは、もう開けません。{app}の画面に残った知らせは消せません。"


WITHDRAWN = "相手が、送った言葉を一つ取り消しました。"
WITHDRAWN_BEFORE = "（取り消された言葉）"
NOT_CARRIED = "相手が{app}に書きましたが、{app}では今、内容を運ばない設定です。ページへの案内を返しました。"
EDITED = "（訂正）"

NAMES = {"image": "画像", "video": "動画", "audio": "音声", "file": "ファイル"}
PREPARING = "{app}が準備しています。できしだい、ここに届きます"
MISSING = {
    "gone": "{app}にはもうありません",
    "withdrawn": "取り消されました",
    "too_large": "大きすぎて受け取れません",
    "external": "ほかの会社のサーバーにあるので、開きません",
    "kind": "この版では開けません",
}


def file_link(kind: str, url: str, days: float) -> str:
    """The words that carry a file where the app does not."""
    return f"相談員から{NAMES[kind]}が届いています（{days:g}日間、開けます）。\n{url}"


def file_gone(url: str) -> str:
    """Shown under the address of a file that can't be opened, or not any more."""
    return f"このファイルは、もう開けません。\nThis file can no longer be opened.\n\n{url}\n"


def missing(reason: str, app: str) -> str:
    """Why a file that somebody sent is not in the room."""
    return MISSING.get(reason, "{app}から受け取れませんでした").format(app=app)
