"""An opened room as documents: JSON Lines, a page, a PDF. Imports nothing of the server.

All three say the same, in the same order. People's times are Japan's, with the offset said; JSON Lines has UTC.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from zoneinfo import ZoneInfo

from madoguchi.vault.transcript import Entry, harmless, pointer

JAPAN = ZoneInfo("Asia/Tokyo")
SHOWN_AS_PICTURES = {"image/jpeg", "image/png", "image/gif", "image/webp"}
_STYLE = """
body { font-family: sans-serif; max-width: 46rem; margin: 1rem auto; line-height: 1.6; color: #000; background: #fff }
table { border-collapse: collapse; width: 100% }
td { vertical-align: top; padding: .2rem .5rem; border-top: 1px solid #ccc }
td { overflow-wrap: anywhere; white-space: pre-wrap } td:first-child, td:nth-child(2) { white-space: nowrap }
h2 { font-size: 1rem; break-after: avoid } tr { break-inside: avoid } img { max-width: 100%; max-height: 20rem }
.unreadable { font-weight: bold } .about { color: #444 } .side { border: 2px solid #000; padding: .5rem }
"""


@dataclass(frozen=True)
class Attached:
    """A file of a message: the name it has in the folder and its content, or why there is none."""

    name: str
    content_type: str
    content: bytes | None
    why_not: str | None = None


@dataclass(frozen=True)
class Document:
    """What is written down of a room. attached: event id → its file; side: whether it is the staff's own room."""

    case_id: str | None
    room_id: str
    side: bool
    entries: Sequence[Entry]
    names: Mapping[str, str]
    attached: Mapping[str, Attached]
    key_id: str

    @property
    def title(self) -> str:
        """Whose words these are."""
        return "職員だけの部屋の記録" if self.side else "相談の記録"


@dataclass(frozen=True)
class Line:
    """An entry as it is shown. told: unreadable's reason, or what was said; file: what is said of its file."""

    day: str
    time: str
    event_id: str
    who: str
    about: str
    about_id: str | None
    told: str
    unreadable: bool
    file: str
    attached: Attached | None


def lines(document: Document) -> list[Line]:
    """Every entry, nothing left out."""
    times = {entry.event_id: datetime.fromtimestamp(entry.at / 1000, JAPAN) for entry in document.entries}
    found = []
    for entry in document.entries:
        at, attached = times[entry.event_id], document.attached.get(entry.event_id)
        told = f"［読めません: {entry.unreadable}］" if entry.unreadable else entry.text
        found.append(
            Line(
                f"{at:%Y-%m-%d} (UTC+09:00)",
                f"{at:%H:%M:%S}",
                entry.event_id,
                harmless(document.names.get(entry.sender, entry.sender)),
                harmless(pointer(entry, times)),
                entry.about[0] if entry.about and entry.about[0] in times else None,
                "\n".join(harmless(line) for line in told.splitlines()),
                entry.unreadable is not None,
                ""
                if attached is None
                else attached.name
                if attached.content is not None
                else f"［{attached.why_not}］",
                attached,
            )
        )
    return found


def as_json_lines(document: Document) -> bytes:
    """One entry a line: at (UTC), event_id, sender, name, text, and where they apply unreadable, about, file."""
    written = []
    for entry in document.entries:
        at = datetime.fromtimestamp(entry.at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, object] = {"at": at, "event_id": entry.event_id, "sender": entry.sender}
        line |= {"name": document.names.get(entry.sender), "text": entry.text}
        if entry.unreadable:
            line["unreadable"] = entry.unreadable
        if entry.about:
            line["about"] = {"event_id": entry.about[0], "relation": entry.about[1]}
        if (attached := document.attached.get(entry.event_id)) is not None:
            line["file"] = {"name": attached.name, "type": attached.content_type, "unreadable": attached.why_not}
        # Lone halves of surrogate pairs, which JSON allows and UTF-8 does not, stay escaped.
        written.append(json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace"))
    return b"\n".join(written) + b"\n"


def as_page(document: Document) -> bytes:
    """A page that stands alone: no script, nothing from elsewhere, pictures within it; prints as it is."""
    rows, day = [], ""
    numbers = {entry.event_id: number for number, entry in enumerate(document.entries)}
    for line in lines(document):
        if line.day != day:
            rows.append("</table>" if day else "")
            day = line.day
            rows.append(f'<h2>{escape(day)}</h2><table aria-label="{escape(day)}">')
        about = escape(line.about)
        if line.about_id is not None:
            about = f'<a href="#e{numbers[line.about_id]}">{about}</a>'
        told = f'<span class="about">{about}</span>' if about else ""
        told += f'<span class="unreadable">{escape(line.told)}</span>' if line.unreadable else escape(line.told)
        told += _file(line)
        number = numbers[line.event_id]
        rows.append(f'<tr id="e{number}"><td>{line.time}</td><td>{escape(line.who)}</td><td>{told}</td></tr>')
    side = ' class="side"' if document.side else ""
    text = f"""<!doctype html>
<html lang="ja"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(document.title)} {escape(document.case_id or document.room_id)}</title><style>{_STYLE}</style></head>
<body><h1{side}>{escape(document.title)}</h1>
<p>相談 {escape(document.case_id or "-")} ／ 部屋 {escape(document.room_id)} ／ 保管庫 {escape(document.key_id)}<br>
時刻は日本時間 (UTC+09:00)。読めないものは、理由とともに残してあります。</p>
{"".join(rows)}{"</table>" if rows else ""}</body></html>
"""
    return text.encode("utf-8", "backslashreplace")


def _file(line: Line) -> str:
    attached = line.attached
    if attached is None:
        return ""
    if attached.content is None:
        return f'<br><span class="unreadable">{escape(line.file)}</span>'
    link = f'<br><a href="{escape(attached.name)}" rel="noreferrer">{escape(attached.name)}</a>'
    if attached.content_type not in SHOWN_AS_PICTURES:
        return link
    data = base64.b64encode(attached.content).decode()
    return f'{link}<br><img alt="画像" src="data:{attached.content_type};base64,{data}">'
