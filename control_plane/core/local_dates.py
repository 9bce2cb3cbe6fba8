"""Local dates over all clients: of each client they mean the days of its own zone.

A month of the agency is every client's own month of that name, as its budgets, its page and its
statement have it; in zones that are ahead or behind it begins hours earlier or later.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from control_plane import limits
from control_plane.core.statements import Month
from control_plane.core.usage import Stretch, bucket_up, spans_of
from control_plane.core.windows import day_start_unix_ms, local_date_at
from control_plane.core.zones import load_zone

_DAY = timedelta(days=1)
Signed = tuple[str, int]
"""A span, and 1 where it is summed or -1 where it is taken away."""


@dataclass(frozen=True, slots=True)
class LocalDates:
    """Dates that follow each other."""

    first: date
    end: date
    """The date after the last."""

    def within(self, zone: str) -> Stretch:
        """From when until when they are in a zone, in whole buckets."""
        rules = load_zone(zone)
        begin, end = (bucket_up(day_start_unix_ms(rules, day)) for day in (self.first, self.end))
        return Stretch("", begin, end)


def whole_month(month: Month) -> LocalDates:
    """All dates of a month."""
    first = date.fromisoformat(f"{month.name}-01")
    return LocalDates(first, _month_after(first))


def up_to_same_day(before: Month, zone: str, now_unix_ms: int) -> LocalDates:
    """The dates of a month up to the day of the month that it is now; all where it has fewer."""
    whole = whole_month(before)
    today = local_date_at(load_zone(zone), now_unix_ms).day
    return LocalDates(whole.first, min(whole.end, whole.first + today * _DAY))


@lru_cache(maxsize=limits.CACHED_WINDOWS_MAX)
def signed_spans(dates: LocalDates) -> tuple[Signed, ...]:
    """The fewest spans that come to some dates when they are summed, or taken away from others.

    Most of a month is the month less its last days: at most five spans for what begins with one,
    where summing alone would take nine.
    """
    found: list[Signed] = []
    first = dates.first
    while first < dates.end:
        begin = first.replace(day=1)
        after = _month_after(begin)
        end = min(after, dates.end)
        summed = _fives(first, end)
        rest = _fives(begin, first) + _fives(end, after)
        less = [(spans_of(begin.isoformat())[0], 1), *_negated(rest)]
        found += summed if len(summed) <= len(less) else less
        first = end
    return tuple(found)


def _fives(first: date, end: date) -> list[Signed]:
    """Days of one month by its five days: whole, less what is missing, or day by day."""
    fives: dict[str, list[str]] = {}
    day = first
    while day < end:
        name = day.isoformat()
        fives.setdefault(spans_of(name)[1], []).append(name)
        day += _DAY
    found: list[Signed] = []
    for five, days in fives.items():
        missing = _days_of(five, first) - set(days)
        if len(days) <= 1 + len(missing):
            found += [(name, 1) for name in days]
        else:
            found += [(five, 1), *((name, -1) for name in sorted(missing))]
    return found


def _days_of(five: str, month: date) -> set[str]:
    day, found = month.replace(day=1), set()
    while day.month == month.month:
        if spans_of(day.isoformat())[1] == five:
            found.add(day.isoformat())
        day += _DAY
    return found


def _negated(spans: list[Signed]) -> list[Signed]:
    return [(name, -sign) for name, sign in spans]


def _month_after(first: date) -> date:
    return (first.replace(day=28) + 4 * _DAY).replace(day=1)
