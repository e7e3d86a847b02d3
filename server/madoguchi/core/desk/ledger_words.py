"""The viewing ledger in Japanese and English: what its sections, facts and words are called."""

from collections.abc import Sequence

import msgspec

from madoguchi.core.desk.ledger import Change
from madoguchi.core.desk.ledger_lines import Line

# Each word with its Japanese and its English. What is not here (a host, a role, a company) is shown as it is.
_SECTIONS = {
    "readers": ("だれが読めるか", "Who can read"),
    "processes": ("窓口のプログラムが知り得ること", "What the desk's processes can know"),
    "channels": ("経路と、その会社", "Channels, and their companies"),
    "push": ("お知らせを運ぶ会社", "Companies that carry notices"),
    "places": ("保管場所", "Where it is kept"),
    "allowed": ("通信してよい相手", "Hosts that may be called"),
    "contacted": ("実際に通信した相手(昨日と今日)", "Hosts that were called (yesterday and today)"),
    "roles": ("データベースに入れる役割", "Roles that may enter the database"),
    "entrances": ("データベースの入口と複製", "Ways into the database, and copies of it"),
    "connected": ("いまデータベースにつながっている相手", "Connected to the database now"),
    "logins": ("職員がつないだ国とネットワーク(90日)", "Countries and networks that staff came from (90 days)"),
    "access": ("だれが何を開いたか(90日)", "Who has opened what (90 days)"),
    "retention": ("保存期間", "How long it is kept"),
}
_FACTS = {
    "can_read": ("読めるか", "can read"),
    "reads": ("知り得ること", "can know"),
    "mode": ("モード", "mode"),
    "kind": ("種類", "kind"),
    "company": ("会社", "company"),
    "seat": ("会社の所在国", "country of the company"),
    "host": ("接続先", "host"),
    "host_country": ("所在国", "country"),
    "company_learns": ("会社が知り得ること", "what the company learns"),
    "kept_by_company": ("会社での保存期間", "how long the company keeps it"),
    "holds": ("置かれるもの", "holds"),
    "what_for": ("目的", "what for"),
    "on_the_list": ("一覧にあるか", "on the list"),
    "ours": ("窓口自身の役割か", "the desk's own"),
    "superuser": ("特権", "superuser"),
    "let_in": ("このデータベースに入れるか", "let into this database"),
    "tables": ("読める表", "tables it could read"),
    "written": ("書き換えられる表", "tables it could write to"),
    "alters_log": ("監査ログを書き換えられるか", "could alter the audit log"),
    "separate": ("プログラムごとに別の役割で入るか", "each has a role of its own"),
    "connected": ("つながっている相手", "connected"),
    "method": ("認証の方法", "method"),
    "rules": ("入口の設定", "rules"),
    "copies": ("複製", "copies"),
    "archived": ("書き込みの記録の保管", "archive of what is written"),
    "days": ("日数", "days"),
    "key": ("鍵", "key"),
    "needed": ("開くのに必要な人数", "needed to open it"),
    "holders": ("鍵を分けて持つ人数", "holders"),
    "people": ("人", "people"),
    "cases": ("受け持った相談", "cases they were in"),
    "joined": ("途中から入った回数", "came into a running case"),
    "records": ("ほかの人の記録を読んだ回数", "read a record of somebody else's"),
    "side_rooms": ("受け持ちでない相談の職員用の部屋に入った回数", "entered a side room of a case not theirs"),
    "previous": ("同じ人の以前の相談の一覧を見た回数", "looked at a list of a person's earlier cases"),
    "identities": ("命の危険で本人の手がかりを見た回数", "looked at who somebody is, a life at risk"),
    "openings": ("保管庫を開いた回数", "openings of the vault"),
    "exports": ("統計や監査ログを書き出した回数", "exports of statistics or the audit log"),
    "requests": ("通信の回数", "requests"),
    "connections": ("接続数", "connections"),
}
_VALUES = {
    "yes": ("はい", "yes"),
    "no": ("いいえ", "no"),
    "unknown": ("不明", "unknown"),
    "inside": ("内部のネットワーク", "own network"),
    "content": ("相談の内容", "content of conversations"),
    "metadata": ("いつ・だれと、だけ(内容は読めない)", "metadata only, no content"),
    "nothing": ("なし", "nothing"),
    "in_passing": ("アプリとの間を通る内容だけ(通るあいだだけ)", "what passes to and from an app, in passing"),
    "holders": ("鍵を分けて持つ人がそろったときだけ", "only its holders together"),
    "running": ("続いている相談だけ(データベースもある場合)", "running cases only (together with the database)"),
    "for_good": ("消さない", "for good"),
    "sealed": ("暗号文と、いつ・だれとの記録", "ciphertext and metadata"),
    "all": ("全部", "all"),
    "some": ("一部", "some"),
    "none": ("なし", "none"),
    "this_machine": ("このサーバーの中", "this machine"),
    "push_gateway": ("Matrixのプッシュ", "Matrix push gateway"),
    "web_push": ("ブラウザーのお知らせ", "browser notices"),
    "appservice": ("ほかのブリッジ", "another bridge"),
    "files": ("ファイルの保管", "files"),
    "app": ("アプリ", "messaging app"),
    "web": ("ウェブ", "web"),
    "matrix": ("Matrix", "Matrix"),
    "line": ("LINE", "LINE"),
    "telegram": ("Telegram", "Telegram"),
    "open": ("受付中", "open"),
    "contact_point": ("入口だけ(内容は通らない)", "contact point (no content crosses)"),
    "relay": ("中継(内容がアプリを通る)", "relay (content crosses the app)"),
    "draining": ("引っ越し中(進行中の内容はまだ通る)", "draining (running cases still cross)"),
    "notice_only": ("お知らせだけ", "notices only"),
    "closed": ("停止", "closed"),
    "emergency": ("緊急停止", "emergency"),
}
# What a line is about, where that is a word and no name.
_KEYS = {
    "readers": {
        "counsellor": ("担当の相談員", "the counsellor of the case"),
        "keeper": ("記録係(プログラム)", "the keeper (a process)"),
        "vault": ("保管庫の鍵を分けて持つ人", "the vault's holders"),
        "vault_holders": ("保管庫の鍵", "the vault's key"),
        "recovery_key": ("記録係の復旧の鍵を持つ人", "whoever has the keeper's recovery key"),
        "server": ("サーバーを管理する人や会社", "whoever runs the server"),
        "push": ("お知らせを運ぶブラウザーの会社", "browsers' makers, by notices"),
    },
    "places": {
        "database": ("データベース", "database"),
        "database:found": ("データベース(つながった先)", "database, as reached"),
        "backup": ("バックアップ", "backup"),
        "files": ("ファイル", "files"),
    },
    "roles": {"each_process": ("窓口のプログラム", "the desk's processes")},
    "connected": {"everybody": ("つながっている相手", "who is connected")},
    "entrances": {
        "rules": ("入口の設定", "rules of entry"),
        "copies": ("複製しているサーバー", "servers that copy it"),
        "archive": ("書き込みの記録", "archive"),
    },
    "access": {
        "counsellor": ("相談員", "counsellors"),
        "supervisor": ("スーパーバイザー", "supervisors"),
        "administrator": ("管理者", "administrators"),
        "auditor": ("監査担当", "auditors"),
        "vault": ("保管庫", "the vault"),
        "exports": ("書き出し", "exports"),
    },
    "retention": {
        "content": ("終わった相談の内容", "content of a case that has ended"),
        "keys": ("保管庫の鍵", "the vault's keys of it"),
        "media": ("写真やファイル", "its pictures and files"),
        "record": ("相談記録の項目", "the codes of its record"),
        "metadata": ("だれの相談で、いつ何があったか", "whose it was, and what happened when"),
        "audit": ("操作の記録", "the audit log"),
        "session": ("名前のない人のログイン", "sessions of people without a name"),
    },
    "logins": {"unknown": ("不明", "unknown"), "inside": ("内部のネットワーク", "own network")},
}
_SOURCES = {
    "configured": ("設定", "set"),
    "probed": ("調査", "looked up"),
    "counted": ("集計", "counted"),
    "stated": ("仕様", "by design"),
}
KINDS = {
    "added": ("加わった", "new"),
    "changed": ("変わった", "changed"),
    "gone": ("なくなった", "gone"),
}


class ShownFact(msgspec.Struct, frozen=True):
    """A fact or count in words."""

    name: str
    value: str


class ShownLine(msgspec.Struct, frozen=True):
    """A line in words. source: how it is known; watched: whether a change of it is an alarm."""

    about: str
    facts: list[ShownFact]
    source: str
    watched: bool


class ShownSection(msgspec.Struct, frozen=True):
    """The lines of one kind. name: as in the signed ledger."""

    name: str
    title: str
    lines: list[ShownLine]


class ShownChange(msgspec.Struct, frozen=True):
    """A change in words. kind: added, changed or gone, and kind_name that in words; before, after: what differs."""

    kind: str
    kind_name: str
    section: str
    about: str
    before: list[ShownFact]
    after: list[ShownFact]
    matters: bool


def sections(lines: Sequence[Line], english: bool) -> list[ShownSection]:
    """All lines by section, in words."""
    return [
        ShownSection(
            name,
            title[english],
            [
                ShownLine(
                    about(line.section, line.key, english),
                    [*_facts(line.facts, english), *_facts({k: str(v) for k, v in line.counts.items()}, english)],
                    _SOURCES[line.source][english],
                    line.watched,
                )
                for line in lines
                if line.section == name
            ],
        )
        for name, title in _SECTIONS.items()
    ]


def changes(found: Sequence[Change], english: bool) -> list[ShownChange]:
    """Changes in words; of what has changed, only what differs."""
    shown: list[ShownChange] = []
    for each in found:
        before, after = each.before or {}, each.after or {}
        if each.kind == "changed":
            differ = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
            before = {name: value for name, value in before.items() if name in differ}
            after = {name: value for name, value in after.items() if name in differ}
        shown.append(
            ShownChange(
                each.kind,
                KINDS[each.kind][english],
                _SECTIONS[each.section][english],
                about(each.section, each.key, english),
                _facts(before, english),
                _facts(after, english),
                each.matters,
            )
        )
    return shown


def about(section: str, key: str, english: bool) -> str:
    """What a line is about."""
    if section == "places" and ":" in key and key not in _KEYS[section]:
        name, _, number = key.partition(":")
        return f"{_KEYS[section][name][english]} {number}"
    if section == "readers" and key.startswith("app:"):
        return key.partition(":")[2]
    known = _KEYS.get(section, {}).get(key)
    return known[english] if known else key


def _facts(facts: dict[str, str], english: bool) -> list[ShownFact]:
    return [ShownFact(_word(_FACTS, name, english), _word(_VALUES, value, english)) for name, value in facts.items()]


def _word(words: dict[str, tuple[str, str]], word: str, english: bool) -> str:
    return words[word][english] if word in words else word
