"""When a budget's window begins and ends, in every time zone.

Rules:

1. A window begins at the first instant at which the local date has reached its start date, and
   ends where the next one begins. So windows tile time: no instant is in two, none is in none.
2. Where midnight does not exist (clocks jump over it) the day begins at the instant of the jump.
   Where it exists twice it begins at the first; the hour that is lived again, although its local
   date may be the day before, belongs to the new day. A date that a zone skipped has no window.
3. A window is named by the local date on which it begins. Past a month's end the anchor day means
   the last day. A single window ("once") has neither date nor end.

All instants are whole Unix milliseconds; zone rules are of whole seconds.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

from control_plane import limits
from control_plane.core.zones import load_zone

Window = Literal["day", "week", "month", "once"]

WINDOWS: Final[tuple[Window, ...]] = ("day", "week", "month", "once")
"""Every window that exists."""
ANCHOR_DAY_MAX: Final = {"day": 1, "week": 7, "month": 31, "once": 1}
"""The largest anchor day of each window; the smallest is 1."""
ONCE_PERIOD_ID: Final = "once"
"""The name of the only period of a single window."""
INSTANT_MAX_UNIX_MS: Final = 253_370_764_800_000
"""The year 9999: later instants have no windows."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class WindowSpan:
    """One window: its name and the instants that it covers."""

    period_id: str
    """The local start date, such as "2026-11-01"; "once" for a single window."""
    start_unix_ms: int
    """The first instant of it."""
    end_unix_ms: int | None
    """The first instant after it; None for a single window."""

    def __post_init__(self) -> None:
        """Refuse a window that covers nothing."""
        assert self.end_unix_ms is None or self.start_unix_ms < self.end_unix_ms

    def covers(self, instant_unix_ms: int) -> bool:
        """Whether the instant is in this window."""
        after_start = self.start_unix_ms <= instant_unix_ms
        return after_start and (self.end_unix_ms is None or instant_unix_ms < self.end_unix_ms)


def window_at(window: Window, zone: str, anchor_day: int, instant_unix_ms: int) -> WindowSpan:
    """The window that an instant is in. Raises KeyError for a zone that is unknown."""
    assert 0 <= instant_unix_ms < INSTANT_MAX_UNIX_MS
    assert 1 <= anchor_day <= ANCHOR_DAY_MAX[window]
    if window == "once":
        return WindowSpan(ONCE_PERIOD_ID, 0, None)
    first = _start_date(window, anchor_day, local_date_at(load_zone(zone), instant_unix_ms))
    span = _span_from(window, zone, anchor_day, first)
    while span is None or span.end_unix_ms is None or span.end_unix_ms <= instant_unix_ms:
        # The evening before is being lived again, or the zone skipped a date.
        first = _next_start_date(window, anchor_day, first)
        span = _span_from(window, zone, anchor_day, first)
    assert span.covers(instant_unix_ms)
    return span


@lru_cache(maxsize=limits.CACHED_WINDOWS_MAX)
def _span_from(window: Window, zone: str, anchor_day: int, first: date) -> WindowSpan | None:
    """The window that begins on a start date; None when its zone skipped all of it.

    Every Sync asks for the same few, several times.
    """
    rules = load_zone(zone)
    start_unix_ms = day_start_unix_ms(rules, first)
    end_unix_ms = day_start_unix_ms(rules, _next_start_date(window, anchor_day, first))
    if start_unix_ms == end_unix_ms:
        return None
    return WindowSpan(local_date_at(rules, start_unix_ms).isoformat(), start_unix_ms, end_unix_ms)


def window_after(window: Window, zone: str, anchor_day: int, span: WindowSpan) -> WindowSpan | None:
    """The window that follows; None after a single window."""
    if span.end_unix_ms is None:
        return None
    return window_at(window, zone, anchor_day, span.end_unix_ms)


def local_date_at(rules: ZoneInfo, instant_unix_ms: int) -> date:
    """What the calendar on the wall shows."""
    return (_EPOCH + timedelta(milliseconds=instant_unix_ms)).astimezone(rules).date()


def day_start_unix_ms(rules: ZoneInfo, day: date) -> int:
    """The first instant at which the local date has reached `day`."""
    midnight = datetime.combine(day, time(0), tzinfo=rules)
    start = midnight.astimezone(UTC)
    if start.astimezone(rules).replace(fold=0) != midnight:
        # Midnight was jumped over. By the offset after the jump it lies before the jump, by the
        # offset before the jump at the jump or after it; in between the date turns exactly once.
        start = _turn_between(rules, day, midnight.replace(fold=1).astimezone(UTC), start)
    return (start - _EPOCH) // timedelta(milliseconds=1)


def _turn_between(rules: ZoneInfo, day: date, before: datetime, after: datetime) -> datetime:
    """The first whole second in (before, after] whose local date has reached `day`."""
    assert before.astimezone(rules).date() < day <= after.astimezone(rules).date()
    while after - before > _SECOND:
        middle = before + timedelta(seconds=(after - before) // _SECOND // 2)
        if middle.astimezone(rules).date() < day:
            before = middle
        else:
            after = middle
    return after


def _start_date(window: Window, anchor_day: int, day: date) -> date:
    """The last start date that is not after `day`."""
    if window == "day":
        return day
    if window == "week":
        return day - _DAY * ((day.isoweekday() - anchor_day) % 7)
    this_month = _anchored(day.year, day.month, anchor_day)
    if this_month <= day:
        return this_month
    before = date(day.year, day.month, 1) - _DAY
    return _anchored(before.year, before.month, anchor_day)


def _next_start_date(window: Window, anchor_day: int, start: date) -> date:
    """The start date that follows a start date."""
    if window == "day":
        return start + _DAY
    if window == "week":
        return start + _DAY * 7
    year, month = (start.year + 1, 1) if start.month == 12 else (start.year, start.month + 1)
    return _anchored(year, month, anchor_day)


def _anchored(year: int, month: int, anchor_day: int) -> date:
    return date(year, month, min(anchor_day, monthrange(year, month)[1]))
