"""The viewing ledger as a PDF for the assembly: the same as the page, on A4."""

import io
from collections.abc import Sequence
from html import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, LongTable, Paragraph, SimpleDocTemplate, Spacer

from madoguchi.core.desk.ledger import Ledger
from madoguchi.core.desk.ledger_export import Document, Part, document

# Every PDF reader knows this typeface by its name: nothing has to be embedded.
_FACE = "HeiseiKakuGo-W5"
_WIDTH = A4[0] - 36 * mm
_GREY = colors.HexColor("#767676")


def as_pdf(found: Ledger, key: bytes, english: bool) -> bytes:
    """The bytes of the file."""
    pdfmetrics.registerFont(UnicodeCIDFont(_FACE))
    said = document(found, key, english)
    out = io.BytesIO()
    paper = SimpleDocTemplate(
        out, pagesize=A4, title=said.title, lang="en" if english else "ja", leftMargin=18 * mm, rightMargin=18 * mm,
        topMargin=16 * mm, bottomMargin=18 * mm,
    )  # fmt: skip
    paper.build(list(_story(said)), onFirstPage=_foot, onLaterPages=_foot)
    return out.getvalue()


def _story(said: Document) -> list[Flowable]:
    story: list[Flowable] = [_paragraph(said.title, 16), *(_paragraph(each, 9) for each in said.lead)]
    for part in said.parts:
        story += [Spacer(1, 5 * mm), _heading(part.title), *(_paragraph(each, 9) for each in part.lead), _table(part)]
    return story


def _table(part: Part) -> Flowable:
    shares = {2: (0.25, 0.75), 3: (0.34, 0.54, 0.12), 4: (0.19, 0.29, 0.2, 0.32)}[len(part.head)]
    table = LongTable(
        [_row(part.head), *(_row(row) for row in part.rows)],
        colWidths=[_WIDTH * share for share in shares],
        repeatRows=1,
        splitInRow=1,
    )
    table.setStyle([
        ("GRID", (0, 0), (-1, -1), 0.5, _GREY),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#f1f1f4")),
    ])  # fmt: skip
    return table


def _row(cells: Sequence[str]) -> list[Paragraph]:
    return [_paragraph(cell, 8) for cell in cells]


def _heading(text: str) -> Paragraph:
    style = ParagraphStyle("heading", fontName=_FACE, fontSize=12, leading=18, keepWithNext=1)
    return Paragraph(escape(text), style)


def _paragraph(text: str, size: int) -> Paragraph:
    style = ParagraphStyle("text", fontName=_FACE, fontSize=size, leading=size * 1.5, wordWrap="CJK")
    return Paragraph(escape(text).replace("\n", "<br/>"), style)


def _foot(canvas: Canvas, paper: SimpleDocTemplate) -> None:
    canvas.setFont(_FACE, 8)
    canvas.drawCentredString(A4[0] / 2, 10 * mm, str(canvas.getPageNumber()))
