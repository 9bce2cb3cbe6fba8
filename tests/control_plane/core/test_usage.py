"""Stretches of time tile what is asked for, in whole quarter hours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane import limits
from control_plane.core.usage import (
    Sums,
    UsageQuestion,
    UsageRow,
    arrange,
    span_of,
    stretches,
    total_of,
)
from control_plane.core.windows import window_at
from control_plane.core.zones import zone_names
from protos.values.errors import InvalidArgumentError

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOON = 1_795_435_200_000


@given(
    zone=st.sampled_from(sorted(zone_names())),
    start=st.integers(NOON - 400 * DAY_MS, NOON),
    length=st.integers(0, 40 * DAY_MS),
)
def test_days_tile_the_span_and_begin_at_midnight(zone: str, start: int, length: int) -> None:
    first, last = span_of(UsageQuestion((), "", start, start + length), zone, NOON)
    assert first % limits.BUCKET_MS == last % limits.BUCKET_MS == 0
    assert first <= start
    assert last >= start + length
    parts = stretches(first, last, zone, by_day=True)
    at = first
    for part in parts:
        assert part.start_unix_ms == at < part.end_unix_ms
        day = window_at("day", zone, 1, part.start_unix_ms)
        assert part.day == day.period_id
        assert day.end_unix_ms is not None
        assert part.end_unix_ms == min(day.end_unix_ms, last)
        at = part.end_unix_ms
    assert at == last or not parts


def test_a_bucket_in_which_a_day_turned_counts_once_and_where_it_begins() -> None:
    # Until 1972 Liberia was 44 minutes and 30 seconds behind.
    parts = stretches(0, 3 * DAY_MS, "Africa/Monrovia", by_day=True)
    assert [(part.day, part.start_unix_ms) for part in parts] == [
        ("1969-12-31", 0),
        ("1970-01-01", 45 * 60_000),
        ("1970-01-02", DAY_MS + 45 * 60_000),
        ("1970-01-03", 2 * DAY_MS + 45 * 60_000),
    ]


def test_without_days_there_is_one_stretch() -> None:
    (part,) = stretches(0, DAY_MS, "UTC", by_day=False)
    assert (part.day, part.start_unix_ms, part.end_unix_ms) == ("", 0, DAY_MS)


def test_too_many_days_are_refused_before_they_are_summed() -> None:
    with pytest.raises(InvalidArgumentError):
        stretches(0, (limits.USAGE_DAYS_MAX + 1) * DAY_MS, "UTC", by_day=True)


def test_the_month_begins_where_the_zone_says() -> None:
    start, end = span_of(UsageQuestion(), "Europe/Berlin", NOON)
    assert start == window_at("month", "Europe/Berlin", 1, NOON).start_unix_ms
    assert end == NOON


def test_days_come_in_order_and_inside_them_the_dearest_first() -> None:
    rows = [
        UsageRow(("b", "2026-11-02"), Sums(cost_nano_usd=9)),
        UsageRow(("a", "2026-11-01"), Sums(cost_nano_usd=1)),
        UsageRow(("b", "2026-11-01"), Sums(cost_nano_usd=5)),
        UsageRow(("a", "2026-11-02"), Sums(cost_nano_usd=9)),
    ]
    assert [row.group for row in arrange(rows, ("project", "day"))] == [
        ("b", "2026-11-01"),
        ("a", "2026-11-01"),
        ("a", "2026-11-02"),
        ("b", "2026-11-02"),
    ]
    assert total_of(rows).cost_nano_usd == 24
