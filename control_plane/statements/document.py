"""A statement as a PDF: A4, selectable text, embedded fonts, the same bytes every time."""

import base64
from html import escape
from io import BytesIO
from typing import Any, Final

from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    Image,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)

from control_plane import limits
from control_plane.core.statements import Statement
from control_plane.statements.drawing import (
    BOLD,
    INK,
    LINE,
    PLAIN,
    QUIET,
    MonthBars,
    Palette,
    ShareBars,
    Tiles,
    fitted,
    palette_of,
    register_fonts,
)
from control_plane.statements.view import Section, View, view_of
from control_plane.statements.view import Table as Figures

_WIDTH, _HEIGHT = A4
_SIDE: Final = 46.0
_ROOM: Final = _WIDTH - 2 * _SIDE
_PAGE: Final = _HEIGHT - 84
"""What a page has room for between its margins."""
_BESIDE_ROWS_MAX: Final = 14
"""Models stand beside workflows while both are short."""


def _style(name: str, size: float, **how: Any) -> ParagraphStyle:
    usual: dict[str, Any] = {"fontName": PLAIN, "leading": size * 1.36, "textColor": INK}
    return ParagraphStyle(name, fontSize=size, **(usual | how))


_CELL = _style("cell", 8.5, leading=11)
_FIGURE = _style("figure", 8.5, leading=11, alignment=TA_RIGHT, splitLongWords=0)
_HEAD = _style("head", 7.5, fontName=BOLD, textColor=QUIET)
_HEAD_FIGURE = _style("head-figure", 7.5, fontName=BOLD, textColor=QUIET, alignment=TA_RIGHT)
_FOOT = _style("foot", 8.5, fontName=BOLD, leading=11)
_FOOT_FIGURE = _style("foot-figure", 8.5, fontName=BOLD, leading=11, alignment=TA_RIGHT)
_TITLE = _style("title", 11, fontName=BOLD, spaceBefore=12, spaceAfter=5)
_LINE = _style("line", 9, spaceAfter=3)
_SMALL = _style("small", 7.8, textColor=QUIET, spaceAfter=2)


class _Numbered(Canvas):  # type: ignore[misc]  # ReportLab brings no types
    """Knows how many pages there are when it writes their numbers."""

    footer = ""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802 - ReportLab's name
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        total = len(self._pages)
        for number, page in enumerate(self._pages, 1):
            self.__dict__.update(page)
            self.setFont(PLAIN, 7.5)
            self.setFillColor(QUIET)
            self.drawString(_SIDE, 28, fitted(self.footer, PLAIN, 7.5, _ROOM - 80))
            self.drawRightString(_WIDTH - _SIDE, 28, f"Page {number} of {total}")
            super().showPage()
        super().save()


def render_pdf(statement: Statement) -> bytes:
    """The document. It names nobody but the agency and the client."""
    register_fonts()
    view = view_of(statement)
    palette = palette_of(view.colour)
    out = BytesIO()
    document = BaseDocTemplate(
        out,
        pagesize=A4,
        title=f"{view.client} · {view.subtitle}",
        author=view.agency or view.client,
        creator=view.agency,
        producer=view.agency,
        lang="en",
        invariant=1,
        pageCompression=1,
    )
    frame = Frame(_SIDE, 44, _ROOM, _PAGE, 0, 0, 0, 0)
    document.addPageTemplates([PageTemplate(frames=[frame])])

    def canvas(*args: Any, **how: Any) -> _Numbered:
        made = _Numbered(*args, **how)
        made.footer = view.footer
        return made

    document.build(_story(view, palette), canvasmaker=canvas)
    return out.getvalue()


def _story(view: View, palette: Palette) -> list[Flowable]:
    return [
        *_heading(view, palette),
        _banner(view, palette),
        Spacer(0, 8),
        Tiles(view.tiles),
        Paragraph(escape(view.chart_title), _TITLE),
        MonthBars(view, palette),
        *_breakdown(view, palette),
        *(part for section in view.sections for part in _section(section)),
        Spacer(0, 10),
        *(Paragraph(escape(line), _SMALL) for line in view.small_print),
    ]


def _heading(view: View, palette: Palette) -> list[Flowable]:
    words: list[Flowable] = [
        Paragraph(escape(view.client), _style("client", 17, fontName=BOLD, leading=21)),
        Paragraph(escape(view.subtitle), _style("subtitle", 9, textColor=QUIET)),
    ]
    agency = Paragraph(
        escape(view.agency), _style("agency", 9, textColor=QUIET, alignment=TA_RIGHT)
    )
    logo = _logo(view)
    cells: list[Any] = [words, agency]
    widths = [_ROOM - 150, 150.0]
    if logo is not None:
        cells.insert(0, logo)
        widths = [logo.drawWidth + 10, _ROOM - 160 - logo.drawWidth, 150.0]
    table = Table([cells], colWidths=widths)
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 0),
            ("LINEBELOW", (0, 0), (-1, -1), 1.6, palette.brand),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 8),
        ]
    )
    return [table, Spacer(0, 10)]


def _logo(view: View) -> Image | None:
    if not view.logo_base64:
        return None
    data = base64.b64decode(view.logo_base64)
    size = picture_size(data)
    if size is None:  # It is left out, the figures are not.
        return None
    wide, tall = size
    scale = min(34 / max(1, tall), 110 / max(1, wide))
    return Image(BytesIO(data), wide * scale, tall * scale)


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a picture in pixels; None for one that cannot be drawn.

    A head tells a size whatever comes behind it, so what is not too large is unpacked.
    """
    try:
        picture = ImageReader(BytesIO(data))
        wide, tall = picture.getSize()
        if not 0 < wide * tall <= limits.LOGO_PIXELS_MAX:
            return None
        picture.getRGBData()
    except Exception:  # noqa: BLE001 - decoders raise whatever they like
        return None
    return wide, tall


def _banner(view: View, palette: Palette) -> Table:
    said = _style("said", 12, fontName=BOLD, leading=15.5)
    words: list[Flowable] = [Paragraph(escape(view.headline), said)]
    if view.headline_below:
        below = _style("below", 8.2, textColor=QUIET)
        words.append(Paragraph(escape(view.headline_below), below))
    table = Table([[words]], colWidths=[_ROOM])
    table.setStyle(
        [
            ("BACKGROUND", (0, 0), (-1, -1), palette.soft),
            ("LINEBEFORE", (0, 0), (0, -1), 4, palette.brand),
            ("LEFTPADDING", (0, 0), (-1, -1), 12),
            ("TOPPADDING", (0, 0), (-1, -1), 7),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 8),
        ]
    )
    return table


def _breakdown(view: View, palette: Palette) -> list[Flowable]:
    """Workflows and models: side by side while both are short, else below each other."""
    if len(view.workflows.rows) <= _BESIDE_ROWS_MAX and len(view.models) <= 8:
        beside = _beside(view, palette)
        # What stands beside something else cannot go on over a page, and names may have many lines.
        if beside.wrap(_ROOM, _PAGE)[1] <= _PAGE:
            return [Spacer(0, 10), CondPageBreak(120), beside]
    return [
        CondPageBreak(80),
        Paragraph("By workflow", _TITLE),
        _figures(view.workflows, _ROOM, [0.36, 0.1, 0.11, 0.11, 0.1, 0.13, 0.09]),
        CondPageBreak(80),
        Paragraph("By model", _TITLE),
        ShareBars(view.models, palette),
    ]


def _beside(view: View, palette: Palette) -> Table:
    wide_models, gap = 148.0, 16.0
    wide = _ROOM - wide_models - gap
    shares = [0.27, 0.115, 0.125, 0.135, 0.125, 0.135, 0.095]
    left = [Paragraph("By workflow", _TITLE), _figures(view.workflows, wide, shares)]
    right = [Paragraph("By model", _TITLE), Spacer(0, 4), ShareBars(view.models, palette)]
    table = Table([[left, "", right]], colWidths=[wide, gap, wide_models])
    padding = [(side, (0, 0), (-1, -1), 0) for side in ("LEFTPADDING", "RIGHTPADDING")]
    table.setStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), *padding])
    return table


def _figures(of: Figures, width: float, shares: list[float]) -> Table:
    """A table whose first column is words and whose others are figures."""
    rows = [_cells(of.head, _HEAD, _HEAD_FIGURE)]
    rows += [_cells(row, _CELL, _FIGURE) for row in of.rows]
    if of.foot:
        rows.append(_cells(of.foot, _FOOT, _FOOT_FIGURE))
    return _table(rows, [width * share for share in shares], foot=bool(of.foot))


def _cells(row: tuple[str, ...], words: ParagraphStyle, figure: ParagraphStyle) -> list[Flowable]:
    return [Paragraph(escape(cell), figure if n else words) for n, cell in enumerate(row)]


def _table(rows: list[list[Flowable]], widths: list[float], *, foot: bool = False) -> Table:
    table = Table(rows, colWidths=widths, repeatRows=1)
    style: list[tuple[Any, ...]] = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.5, LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 2),
        ("TOPPADDING", (0, 0), (-1, -1), 3),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
    ]
    if foot:
        style += [
            ("LINEABOVE", (0, -1), (-1, -1), 0.9, INK),
            ("LINEBELOW", (0, -1), (-1, -1), 0, INK),
        ]
    table.setStyle(style)
    return table


def _section(section: Section) -> list[Flowable]:
    found: list[Flowable] = [CondPageBreak(60), Paragraph(escape(section.title), _TITLE)]
    found += [Paragraph(escape(line), _LINE) for line in section.lines]
    if section.table is not None:
        count = len(section.table.head)
        first = 0.28
        widths = [_ROOM * first, *[_ROOM * (1 - first) / (count - 1)] * (count - 1)]
        rows = [_cells(section.table.head, _HEAD, _HEAD)]
        rows += [_cells(row, _CELL, _CELL) for row in section.table.rows]
        found.append(_table(rows, widths))
    return found
