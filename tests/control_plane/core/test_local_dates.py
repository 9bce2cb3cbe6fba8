"""Spans that are summed and taken away come to exactly the dates that were asked for."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from control_plane.core.local_dates import LocalDates, signed_spans, up_to_same_day, whole_month
from control_plane.core.usage import spans_of
from control_plane.usecases.statement_values import month_of

_DAY = timedelta(days=1)
MONTH_BEFORE = {"2026-03": "2026-02", "2026-11": "2026-10", "2027-01": "2026-12"}


def days_of(dates: LocalDates) -> list[str]:
    days = (dates.end - dates.first) // _DAY
    return [(dates.first + number * _DAY).isoformat() for number in range(days)]


def days_in(span: str) -> list[str]:
    day, end = date.fromisoformat(f"{span[:7]}-01"), date.fromisoformat(f"{span[:7]}-28") + 4 * _DAY
    days = days_of(LocalDates(day, end.replace(day=1)))
    return [name for name in days if span in spans_of(name)]


@pytest.mark.parametrize("seed", range(3))
def test_each_date_is_counted_once_and_no_other(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(100):
        first = date(2024, 1, 1) + dice.randrange(800) * _DAY
        dates = LocalDates(first, first + dice.randrange(100) * _DAY)
        counted: Counter[str] = Counter()
        for span, sign in signed_spans(dates):
            for day in days_in(span):
                counted[day] += sign
        assert {day: many for day, many in counted.items() if many} == dict.fromkeys(
            days_of(dates), 1
        )


def test_a_month_up_to_any_day_is_at_most_five_spans() -> None:
    for month in (2, 4, 12):
        first = date(2026, month, 1)
        for days in range(1, 32):
            dates = LocalDates(first, min(first + days * _DAY, (first + 31 * _DAY).replace(day=1)))
            assert len(signed_spans(dates)) <= 5
    assert signed_spans(LocalDates(date(2026, 2, 1), date(2026, 4, 1))) == (
        ("2026-02", 1),
        ("2026-03", 1),
    )


@pytest.mark.parametrize(
    ("now", "end"),
    [
        # Shorter months are taken whole.
        ("2026-03-30T12:00", "2026-03-01"),
        ("2026-11-30T12:00", "2026-10-31"),
        ("2026-11-01T00:30", "2026-10-02"),
        ("2027-01-31T23:59", "2027-01-01"),
    ],
)
def test_a_running_month_is_held_against_the_same_days(now: str, end: str) -> None:
    at = int(datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()) * 1_000
    before = month_of("UTC", MONTH_BEFORE[now[:7]])
    assert before is not None
    dates = up_to_same_day(before, "UTC", at)
    assert dates == LocalDates(whole_month(before).first, date.fromisoformat(end))


def test_dates_begin_and_end_where_each_zone_has_them() -> None:
    dates = LocalDates(date(2026, 11, 1), date(2026, 11, 2))
    for zone, begin, hours in (
        ("UTC", 0, 24),
        ("Pacific/Auckland", -13, 24),
        ("America/New_York", 4, 25),
    ):
        stretch = dates.within(zone)
        start = datetime.fromtimestamp(stretch.start_unix_ms / 1_000, UTC)
        assert start == datetime(2026, 11, 1, tzinfo=UTC) + begin * timedelta(hours=1)
        assert stretch.end_unix_ms - stretch.start_unix_ms == hours * 3_600_000
