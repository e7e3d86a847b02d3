"""An opened room as a PDF. Imports nothing of the server.

The Japanese font is the reader's own (Adobe-Japan1, named and not enclosed), so the file stays small. What that font
does not have, emoji above all, stands there by its number and name; the page beside it shows the sign itself.
"""

import io
import unicodedata
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer

from madoguchi.vault.written import Document, lines

_FONT = "HeiseiKakuGo-W5"
_MARGIN = 18 * mm
# A paragraph is laid out at once; a longer one is cut into several.
_LONGEST = 4000


def as_pdf(document: Document) -> bytes:
    """The document on A4, each page with its number and the case's id."""
    pdfmetrics.registerFont(UnicodeCIDFont(_FONT))
    plain = ParagraphStyle("plain", fontName=_FONT, fontSize=9.5, leading=14, wordWrap="CJK", spaceAfter=2)
    title = ParagraphStyle("title", parent=plain, fontSize=15, leading=22)
    day = ParagraphStyle("day", parent=plain, fontSize=10.5, leading=16, spaceBefore=8, keepWithNext=True)
    head = ParagraphStyle("head", parent=plain, textColor=colors.HexColor("#333333"), keepWithNext=True, spaceAfter=0)
    said = ParagraphStyle("said", parent=plain, leftIndent=8 * mm, spaceAfter=4)
    subject = _shown(f"相談 {document.case_id or '-'} ／ 部屋 {document.room_id}")
    story: list[Flowable] = [Paragraph(_shown(document.title), title), Paragraph(subject, plain)]
    story.append(Paragraph(_shown(f"保管庫 {document.key_id} ／ 時刻は日本時間 (UTC+09:00)"), plain))
    story.append(Spacer(1, 4 * mm))
    last = ""
    for line in lines(document):
        if line.day != last:
            last = line.day
            story.append(Paragraph(_shown(f"── {last} ──"), day))
        story.append(Paragraph(_shown(f"{line.time}　{line.who}"), head))
        told = [*(line.about + line.told).splitlines()]
        if line.file:
            told.append(line.file)
        for text in told or [""]:
            for start in range(0, max(len(text), 1), _LONGEST):
                story.append(Paragraph(_shown(text[start : start + _LONGEST]), said))
    into = io.BytesIO()
    made = SimpleDocTemplate(
        into, pagesize=A4, leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN, bottomMargin=_MARGIN,
        title=f"{document.title} {document.case_id or document.room_id}", author="madoguchi", lang="ja",
    )  # fmt: skip

    def numbered(canvas: Canvas, page: SimpleDocTemplate) -> None:
        canvas.saveState()
        canvas.setFont(_FONT, 8)
        canvas.drawString(_MARGIN, 10 * mm, f"{document.title}　{document.case_id or document.room_id}")
        canvas.drawRightString(A4[0] - _MARGIN, 10 * mm, str(page.page))
        canvas.restoreState()

    made.build(story, onFirstPage=numbered, onLaterPages=numbered)
    return into.getvalue()


def _shown(text: str) -> str:
    return escape("".join(character if _printable(character) else _named(character) for character in text))


def _printable(character: str) -> bool:
    try:
        character.encode("cp932")
    except UnicodeEncodeError:
        return False
    return True


def _named(character: str) -> str:
    return f"〔U+{ord(character):04X} {unicodedata.name(character, '')}〕".replace(" 〕", "〕")
