"""Small pictures as SVG, drawn from whole numbers; safe in a page, a mail and a PDF alike.

Colours come from classes of the style sheet. Each picture has a title and is beside the numbers
that it shows, so it is never the only way to read them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

SPARK_WIDTH = 110
SPARK_HEIGHT = 28
_METER_HEIGHT = 9
_CHART_WIDTH, _CHART_HEIGHT = 640, 190
_BARS_TOP, _BARS_HEIGHT = 22, 146


@dataclass(frozen=True, slots=True)
class Line:
    """A level that bars are held against."""

    value: int
    label: str


def meter(spent: int, cap: int, forecast: int | None, state: str) -> Markup:
    """A bar of how much of a cap is spent, with a mark where the forecast lies.

    `state` is the class that colours it. What is beyond the cap ends at its right edge.
    """
    fill = _share(spent, cap)
    tick = ""
    if forecast is not None:
        place = min(_share(forecast, cap), 10_000)
        tick = f'<rect class="tick" x="{_percent(min(place, 9_940))}" y="0" width="2" height="15"/>'
    return Markup(  # noqa: S704 - numbers and our own words
        f'<svg class="meter {escape(state)}" width="100%" height="15" aria-hidden="true"'
        ' focusable="false">'
        f'<rect class="rail" x="0" y="3" width="100%" height="{_METER_HEIGHT}" rx="4.5"/>'
        f'<rect class="fill" x="0" y="3" width="{_percent(fill)}" height="{_METER_HEIGHT}"'
        f' rx="4.5"/>{tick}</svg>'
    )


def spark(values: Sequence[int], title: str) -> Markup:
    """A line of what days cost."""
    top = max(values, default=0)
    if not top:
        return Markup('<span class="quiet">no calls yet</span>')
    step = SPARK_WIDTH * 100 // max(1, len(values) - 1)
    points = " ".join(
        f"{_hundredths(number * step)},{_hundredths(_height(value, top, SPARK_HEIGHT))}"
        for number, value in enumerate(values)
    )
    return Markup(  # noqa: S704 - numbers and escaped words
        f'<svg class="spark" viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" width="{SPARK_WIDTH}"'
        f' height="{SPARK_HEIGHT}" role="img" focusable="false"><title>{escape(title)}</title>'
        f'<polyline points="{points}"/></svg>'
    )


def bars(
    values: Sequence[int], slots: int, labels: Mapping[int, str], title: str, line: Line | None
) -> Markup:
    """A bar for each value, in as many slots as a whole period has, under an optional line.

    `labels` says what stands below which slot. The last bar is the one that still grows.
    """
    top = max([*values, line.value if line is not None else 0, 1])
    slots = max(slots, len(values), 1)
    width = (_CHART_WIDTH * 100) // slots
    drawn = []
    for number, value in enumerate(values):
        height = max(value * _BARS_HEIGHT * 100 // top, 100 if value else 0)
        kind = "bar now" if number == len(values) - 1 else "bar"
        drawn.append(
            f'<rect class="{kind}" x="{_hundredths(number * width + width // 8)}"'
            f' y="{_hundredths((_BARS_TOP + _BARS_HEIGHT) * 100 - height)}" rx="2"'
            f' width="{_hundredths(width * 3 // 4)}" height="{_hundredths(height)}"/>'
        )
    for number, label in labels.items():
        drawn.append(
            f'<text x="{_hundredths(number * width + width // 2)}" y="{_CHART_HEIGHT - 4}"'
            f' text-anchor="middle">{escape(label)}</text>'
        )
    if line is not None:
        y = _hundredths((_BARS_TOP + _BARS_HEIGHT) * 100 - line.value * _BARS_HEIGHT * 100 // top)
        drawn.append(
            f'<line class="cap" x1="0" x2="{_CHART_WIDTH}" y1="{y}" y2="{y}"/>'
            f'<text class="cap-text" x="{_CHART_WIDTH}" y="{y}" dy="-5" text-anchor="end">'
            f"{escape(line.label)}</text>"
        )
    return Markup(  # noqa: S704 - numbers and escaped words
        f'<svg class="chart" viewBox="0 0 {_CHART_WIDTH} {_CHART_HEIGHT}" width="100%" role="img"'
        f' focusable="false"><title>{escape(title)}</title>'
        f'<line class="grid" x1="0" x2="{_CHART_WIDTH}" y1="{_BARS_TOP + _BARS_HEIGHT}"'
        f' y2="{_BARS_TOP + _BARS_HEIGHT}"/>{"".join(drawn)}</svg>'
    )


def share_bar(part: int, whole: int) -> Markup:
    """A thin bar of how much of a whole a part is."""
    fill = _percent(_share(part, whole)) if whole else "0%"
    return Markup(  # noqa: S704 - numbers
        '<svg class="share-bar" width="100%" height="5" aria-hidden="true" focusable="false">'
        '<rect class="rail" width="100%" height="5" rx="2.5"/>'
        f'<rect class="fill" width="{fill}" height="5" rx="2.5"/></svg>'
    )


def _share(part: int, whole: int) -> int:
    """A share in hundredths of a percent, from 0 to 10,000; all of nothing is all."""
    if whole <= 0:
        return 10_000
    return max(0, min(10_000, part * 10_000 // whole))


def _height(value: int, top: int, height: int) -> int:
    """From the top, in hundredths; two units are left free at both ends."""
    room = (height - 4) * 100
    return 200 + room - value * room // top


def _hundredths(number: int) -> str:
    return f"{number // 100}.{number % 100:02d}"


def _percent(hundredths: int) -> str:
    return f"{_hundredths(hundredths)}%"
