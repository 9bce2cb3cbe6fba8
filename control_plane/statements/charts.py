"""The picture of a statement: where bars and lines lie, for HTML and PDF alike, and as SVG."""

from dataclasses import dataclass
from html import escape

from control_plane.statements import figures
from control_plane.statements.view import Bar, View

_LINES = 4


@dataclass(frozen=True, slots=True)
class Scale:
    """The vertical axis: from nothing to a round amount."""

    top_nano_usd: int
    step_nano_usd: int

    @property
    def marks(self) -> list[int]:
        """Where lines are drawn."""
        return list(range(0, self.top_nano_usd + 1, self.step_nano_usd))


def scale_of(bars: tuple[Bar, ...], cap_nano_usd: int | None) -> Scale:
    """An axis that holds all bars, and the cap when it is not far above them."""
    largest = max((bar.amount_nano_usd for bar in bars), default=0)
    if shows_cap(bars, cap_nano_usd):
        assert cap_nano_usd is not None
        largest = max(largest, cap_nano_usd)
    step = _round_up(max(1, -(-largest // _LINES)))
    return Scale(-(-max(1, largest) // step) * step, step)


def shows_cap(bars: tuple[Bar, ...], cap_nano_usd: int | None) -> bool:
    """A cap of more than three times the dearest month would press all bars flat."""
    largest = max((bar.amount_nano_usd for bar in bars), default=0)
    return cap_nano_usd is not None and 0 < cap_nano_usd <= 3 * max(1, largest)


def _round_up(amount: int) -> int:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power: int = 10 ** (len(str(amount)) - 1)
    for tenths in (10, 20, 25, 50, 100):
        if amount * 10 <= tenths * power:
            return max(1, tenths * power // 10)
    raise AssertionError


def tint(colour: str, white_percent: int) -> str:
    """A colour mixed with white."""
    parts = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    mixed = [part + (255 - part) * white_percent // 100 for part in parts]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def bar_chart_svg(view: View) -> str:
    """Months as bars; the last in the agency's colour. Every text of it is escaped."""
    width, height, left, bottom, top = 720, 220, 64, 28, 18
    scale = scale_of(view.bars, view.cap_nano_usd)
    across, up = width - left - 8, height - bottom - top

    def y(amount: int) -> int:
        return top + up - up * amount // scale.top_nano_usd

    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(view.chart_title)}">'
    ]
    parts += [
        (
            f'<line class="grid" x1="{left}" x2="{width - 8}" y1="{y(mark)}" y2="{y(mark)}"/>'
            f'<text class="axis" x="{left - 8}" y="{y(mark) + 4}" text-anchor="end">'
            f"{figures.money_short(mark)}</text>"
        )
        for mark in scale.marks
    ]
    each = across // max(1, len(view.bars))
    broad = min(each * 11 // 20, 72)
    for number, bar in enumerate(view.bars):
        x = left + each * number + (each - broad) // 2
        kind = "bar now" if number == len(view.bars) - 1 else "bar"
        at = y(bar.amount_nano_usd)
        tall = max(0, top + up - at)
        parts.append(
            f'<rect class="{kind}" x="{x}" y="{at}" width="{broad}" height="{tall}" rx="3"/>'
            f'<text class="value" x="{x + broad // 2}" y="{at - 5}" text-anchor="middle">'
            f"{escape(bar.text)}</text>"
            f'<text class="axis" x="{x + broad // 2}" y="{height - 8}" text-anchor="middle">'
            f"{escape(bar.label)}</text>"
        )
    if shows_cap(view.bars, view.cap_nano_usd):
        assert view.cap_nano_usd is not None
        at = y(view.cap_nano_usd)
        parts.append(
            f'<line class="cap" x1="{left}" x2="{width - 8}" y1="{at}" y2="{at}"/>'
            f'<text class="cap-text" x="{width - 8}" y="{at - 5}" text-anchor="end">'
            f"{escape(view.cap_text)}</text>"
        )
    parts.append("</svg>")
    return "".join(parts)
