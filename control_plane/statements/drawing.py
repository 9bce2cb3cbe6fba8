"""The pieces of the PDF that are drawn: banner, tiles, bars. Lengths are in points."""

from dataclasses import dataclass
from importlib import resources
from io import BytesIO
from typing import Any, Final

from reportlab.lib.colors import Color, HexColor
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable

from control_plane.statements import figures
from control_plane.statements.charts import scale_of, shows_cap, tint
from control_plane.statements.view import Bar, Tile, View

PLAIN: Final = "Inter"
BOLD: Final = "Inter-SemiBold"
INK: Final = HexColor("#1b2430")
QUIET: Final = HexColor("#6b7480")
LINE: Final = HexColor("#dde2e8")
_CAP = HexColor("#b4471b")


def register_fonts() -> None:
    """Make the fonts known that come along; they cover Latin, Greek and Cyrillic."""
    known = pdfmetrics.getRegisteredFontNames()
    for name, file in ((PLAIN, "Inter-Regular.ttf"), (BOLD, "Inter-SemiBold.ttf")):
        if name not in known:
            font = resources.files("control_plane.statements").joinpath("fonts", file)
            pdfmetrics.registerFont(TTFont(name, BytesIO(font.read_bytes())))


@dataclass(frozen=True, slots=True)
class Palette:
    """The agency's colour, and what is made of it."""

    brand: Color
    soft: Color
    pale: Color


def palette_of(colour: str) -> Palette:
    """The shades of one colour."""
    return Palette(HexColor(colour), HexColor(tint(colour, 92)), HexColor(tint(colour, 58)))


def fitted(text: str, font: str, size: float, width: float) -> str:
    """A text of one line, cut with an ellipsis where it is too long."""
    if pdfmetrics.stringWidth(text, font, size) <= width:
        return text
    while text and pdfmetrics.stringWidth(text + "…", font, size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


class _Drawn(Flowable):  # type: ignore[misc]  # ReportLab brings no types
    """Something as wide as the page."""

    def __init__(self, height: float) -> None:
        super().__init__()
        self.height = height

    def wrap(self, width: float, _height: float) -> tuple[float, float]:
        """Take all the width there is."""
        self.width = width
        return width, self.height

    def text(self, x: float, y: float, text: str, font: str, size: float, **how: Any) -> None:
        """Write one line; `fill` is its colour, `align` left, right or center."""
        canvas = self.canv
        canvas.setFillColor(how.get("fill", INK))
        canvas.setFont(font, size)
        draw = {
            "left": canvas.drawString,
            "right": canvas.drawRightString,
            "center": canvas.drawCentredString,
        }[how.get("align", "left")]
        draw(x, y, text)


class Tiles(_Drawn):
    """Four figures in a row."""

    def __init__(self, tiles: tuple[Tile, ...]) -> None:
        super().__init__(52)
        self._tiles = tiles

    def draw(self) -> None:
        gap = 8.0
        wide = (self.width - gap * (len(self._tiles) - 1)) / len(self._tiles)
        for number, tile in enumerate(self._tiles):
            x = number * (wide + gap)
            self.canv.setStrokeColor(LINE)
            self.canv.setLineWidth(0.8)
            self.canv.roundRect(x, 0, wide, self.height, 4, stroke=1, fill=0)
            room = wide - 14
            self.text(x + 7, 38, fitted(tile.label, PLAIN, 8, room), PLAIN, 8, fill=QUIET)
            self.text(x + 7, 20, fitted(tile.value, BOLD, 15, room), BOLD, 15)
            self.text(x + 7, 8, fitted(tile.below, PLAIN, 7.5, room), PLAIN, 7.5, fill=QUIET)


class MonthBars(_Drawn):
    """What each month cost, and the cap."""

    def __init__(self, view: View, palette: Palette) -> None:
        super().__init__(128)
        self._view = view
        self._palette = palette

    def draw(self) -> None:
        view, canvas = self._view, self.canv
        left, right, bottom, top = 46.0, self.width - 4, 16.0, self.height - 16
        scale = scale_of(view.bars, view.cap_nano_usd)

        def y(amount: int) -> float:
            return bottom + (top - bottom) * amount / scale.top_nano_usd

        canvas.setLineWidth(0.5)
        for mark in scale.marks:
            canvas.setStrokeColor(LINE)
            canvas.line(left, y(mark), right, y(mark))
            label = figures.money_short(mark)
            self.text(left - 6, y(mark) - 2.5, label, PLAIN, 7.5, fill=QUIET, align="right")
        each = (right - left) / max(1, len(view.bars))
        broad = min(each * 0.56, 52.0)
        for number, bar in enumerate(view.bars):
            middle = left + each * (number + 0.5)
            last = number == len(view.bars) - 1
            canvas.setFillColor(self._palette.brand if last else self._palette.pale)
            tall = max(0.0, y(bar.amount_nano_usd) - bottom)
            canvas.roundRect(middle - broad / 2, bottom, broad, tall, min(2, tall / 2), 0, 1)
            over = y(max(0, bar.amount_nano_usd)) + 3
            self.text(middle, over, bar.text, BOLD, 7.5, align="center")
            self.text(middle, 4, bar.label, PLAIN, 7.5, fill=QUIET, align="center")
        if shows_cap(view.bars, view.cap_nano_usd) and view.cap_nano_usd is not None:
            at = y(view.cap_nano_usd)
            canvas.setStrokeColor(_CAP)
            canvas.setDash(3, 2)
            canvas.setLineWidth(0.9)
            canvas.line(left, at, right, at)
            canvas.setDash()
            self.text(right, at + 3, view.cap_text, BOLD, 7.5, fill=_CAP, align="right")


class ShareBars(_Drawn):
    """Amounts as bars below each other, the largest full."""

    _EACH = 24.0

    def __init__(self, bars: tuple[Bar, ...], palette: Palette) -> None:
        super().__init__(self._EACH * len(bars))
        self._bars = bars
        self._palette = palette

    def split(self, _width: float, height: float) -> list[Flowable]:
        """As many bars as fit; the others follow on the next page."""
        fit = int(height // self._EACH)
        if fit < 1:
            return []
        return [
            _ShareBarsPart(part, self._palette, self._most)
            for part in (self._bars[:fit], self._bars[fit:])
            if part
        ]

    @property
    def _most(self) -> int:
        return max([1, *(bar.amount_nano_usd for bar in self._bars)])

    def draw(self) -> None:
        most = self._most
        for number, bar in enumerate(self._bars):
            base = self.height - self._EACH * (number + 1) + 6
            amount = pdfmetrics.stringWidth(bar.text, BOLD, 7.5)
            name = fitted(bar.label, PLAIN, 7.5, self.width - amount - 8)
            self.text(0, base + 8, name, PLAIN, 7.5)
            self.text(self.width, base + 8, bar.text, BOLD, 7.5, align="right")
            self.canv.setFillColor(self._palette.soft)
            self.canv.roundRect(0, base, self.width, 4, 2, 0, 1)
            filled = self.width * max(0, bar.amount_nano_usd) / most
            if filled > 0:
                self.canv.setFillColor(self._palette.brand)
                self.canv.roundRect(0, base, max(filled, 4), 4, 2, 0, 1)


class _ShareBarsPart(ShareBars):
    """A part of bars that were too many for one page, by the same measure."""

    def __init__(self, bars: tuple[Bar, ...], palette: Palette, most: int) -> None:
        super().__init__(bars, palette)
        self._measure = most

    @property
    def _most(self) -> int:
        return self._measure

    def split(self, _width: float, height: float) -> list[Flowable]:
        """Split again, by the same measure."""
        fit = int(height // self._EACH)
        if fit < 1:
            return []
        return [
            _ShareBarsPart(part, self._palette, self._measure)
            for part in (self._bars[:fit], self._bars[fit:])
            if part
        ]
