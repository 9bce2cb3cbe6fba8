"""Small pictures as SVG, drawn from whole numbers; safe in a page, a mail and a PDF alike.

Colours come from classes of the style sheet. Each picture has a title and is beside the numbers
that it shows, so it is never the only way to read them.
"""

from collections.abc import Sequence

from markupsafe import Markup, escape

SPARK_WIDTH = 110
SPARK_HEIGHT = 28
_METER_HEIGHT = 9


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
