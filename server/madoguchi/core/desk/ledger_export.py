"""The viewing ledger as files: a signed JSON that anybody can check, and a page for the assembly that prints well."""

import json
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from madoguchi.core.desk import ledger, ledger_words
from madoguchi.core.desk.ledger import Ledger
from madoguchi.core.desk.ledger_requirements import LIST
from madoguchi.core.desk.ledger_words import ShownSection
from madoguchi.crypto import signed_page

_STYLE = """
body { font-family: "Hiragino Sans", "Noto Sans JP", "Yu Gothic", sans-serif; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem; color: #1a1a1a; line-height: 1.6; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.125rem; margin-top: 2rem; break-after: avoid; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { border: 1px solid #767676; padding: .375rem .5rem; text-align: start; vertical-align: top;
         overflow-wrap: anywhere; }
th { background: #f1f1f4; } tr { break-inside: avoid; } code { overflow-wrap: anywhere; }
@page { size: A4; margin: 15mm; } @media print { body { margin: 0; max-width: none; } }
"""


def as_json(found: Ledger, key: bytes) -> str:
    """The signed file that `madoguchi ledger verify` takes."""
    return json.dumps(ledger.as_file(found, key), ensure_ascii=False, indent=1) + "\n"


class Part(NamedTuple):
    """A table with its title and what is said before it."""

    title: str
    lead: list[str]
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


class Document(NamedTuple):
    """What a page or a PDF shows."""

    title: str
    lead: list[str]
    parts: list[Part]


def document(found: Ledger, key: bytes, english: bool) -> Document:
    """A ledger as it is shown: its lines, what the state asks for, its signature."""
    say = _EN if english else _JA
    sections = [each for each in ledger_words.sections(found.lines, english) if each.lines]
    titles = {each.name: each.title for each in sections}
    asked = [
        (
            each.source[english],
            each.asked[english],
            say["comma"].join(titles[name] for name in each.sections if name in titles) or say["nothing"],
            each.evidence[english],
        )
        for each in LIST
    ]
    signed = [
        ("SHA-256", signed_page.text(found.signed.hash)),
        (say["signature"], signed_page.text(found.signed.signature)),
        (say["public_key"], signed_page.text(key)),
        (say["before"], str(found.signed.page["before"]) or say["nothing"]),
    ]
    head = (say["source_of"], say["asked"], say["answered"], say["evidence"])
    return Document(
        f"{say['title']} {found.day}",
        [say["lead"], f"{say['desk']}: {found.signed.page['desk']}"],
        [
            *(_part(each, say) for each in sections),
            Part(say["requirements"], [say["requirements_lead"]], head, asked),
            Part(say["signature"], [say["signature_lead"]], (say["what"], say["value"]), signed),
        ],
    )


def as_html(found: Ledger, key: bytes, english: bool) -> str:
    """One page with everything in it, and nothing that it would fetch."""
    said = document(found, key, english)
    head = (
        f'<!doctype html><html lang="{"en" if english else "ja"}"><head><meta charset="utf-8">'
        f"<title>{escape(said.title)}</title><style>{_STYLE}</style></head><body>\n<h1>{escape(said.title)}</h1>"
    )
    body = _lead(said.lead) + "".join(
        f"<h2>{escape(part.title)}</h2>{_lead(part.lead)}{_table(part)}\n" for part in said.parts
    )
    return f"{head}{body}</body></html>\n"


def _part(section: ShownSection, say: dict[str, str]) -> Part:
    rows = [
        (line.about, "\n".join(f"{fact.name}: {fact.value}" for fact in line.facts), line.source)
        for line in section.lines
    ]
    return Part(section.title, [], (say["about"], say["facts"], say["known_by"]), rows)


def _lead(texts: list[str]) -> str:
    return "".join(f"<p>{escape(text)}</p>" for text in texts)


def _table(part: Part) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in part.head)
    body = "".join("<tr>" + "".join(f"<td>{_lines(each)}</td>" for each in row) + "</tr>" for row in part.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


_JA = {
    "title": "閲覧範囲台帳",
    "lead": "この窓口で話されたことを、だれが、どこから、どこまで見られるか。設定と実際の調査から毎日つくられ、"
    "署名されます。分からないことは「不明」と書きます。相談の内容や、相談した人が分かることは含みません。",
    "desk": "窓口",
    "about": "対象",
    "facts": "事実",
    "known_by": "根拠",
    "requirements": "国の考え方との対応",
    "requirements_lead": "求められていることの要約と、それに答える台帳の行、証拠。"
    "原文での確認は運営者が行ってください。",
    "source_of": "出どころ",
    "asked": "求められていること",
    "answered": "答える行",
    "evidence": "証拠",
    "signature": "署名",
    "signature_lead": "同じ日のJSONを「madoguchi ledger verify ファイル --key 公開鍵」で確かめられます。"
    "窓口の秘密は要りません。",
    "what": "項目",
    "value": "値",
    "public_key": "公開鍵(Ed25519)",
    "before": "前の台帳のハッシュ",
    "nothing": "なし",
    "comma": "、",
}
_EN = {
    "title": "Viewing ledger",
    "lead": "Who can see what is said at this desk, from where and how far. Made daily from the settings and by"
    " looking, and signed. What is not known is said to be unknown. No word of a case and nobody who"
    " asked for help is in it.",
    "desk": "Desk",
    "about": "About",
    "facts": "Facts",
    "known_by": "Known by",
    "requirements": "What the state asks for",
    "requirements_lead": "A summary of what is asked, the lines that answer it, and the evidence. The operator checks"
    " it against the original texts.",
    "source_of": "Source",
    "asked": "What is asked",
    "answered": "Lines that answer it",
    "evidence": "Evidence",
    "signature": "Signature",
    "signature_lead": "The JSON of the same day can be checked by `madoguchi ledger verify FILE --key PUBLIC_KEY`; no"
    " secret of the desk is needed.",
    "what": "What",
    "value": "Value",
    "public_key": "Public key (Ed25519)",
    "before": "Hash of the ledger before",
    "nothing": "none",
    "comma": ", ",
}
