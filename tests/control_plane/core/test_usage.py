"""Stretches of time tile what is asked for, in whole quarter hours."""

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane import limits
from control_plane.core.usage import (
    Sums,
    UsageQuestion,
    UsageRow,
    arrange,
    local_day,
    span_of,
    spans_between,
    spans_of,
    spans_since,
    stretches,
    total_of,
)
from control_plane.core.windows import window_at
from control_plane.core.zones import zone_names
from protos.values.errors import InvalidArgumentError

DAY_MS = 86_400_000

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


def dates_between(zone: str, start_unix_ms: int, end_unix_ms: int) -> list[str]:
    found, at = [], start_unix_ms
    while at < end_unix_ms:
        day = local_day(zone, at)
        found.append(day.date)
        at = day.end_unix_ms
    return found


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "America/Los_Angeles", "Pacific/Apia", "Asia/Kathmandu"]
)
def test_spans_between_two_midnights_are_each_of_its_days_once(zone: str) -> None:
    """Apia went without the 30th of December 2011."""
    dice = random.Random(zone)
    begin = int(datetime(2011, 11, 1, tzinfo=UTC).timestamp()) * 1_000
    for _ in range(60):
        first = local_day(zone, begin + dice.randrange(60) * DAY_MS)
        last = local_day(zone, first.start_unix_ms + dice.randrange(120) * DAY_MS)
        all_dates = dates_between(zone, begin - 40 * DAY_MS, last.end_unix_ms + 40 * DAY_MS)
        dates = dates_between(zone, first.start_unix_ms, last.start_unix_ms)
        found = spans_between(zone, first.start_unix_ms, last.start_unix_ms)
        covered = [date for span in found for date in all_dates if span in spans_of(date)]
        assert sorted(covered) == dates
        # Four days, five spans of five, whole months, and the same at the other end.
        assert len(found) <= 2 * (5 + 5) + 4
    assert spans_between(zone, begin, begin) == ()


def test_a_whole_month_is_one_span() -> None:
    start, end = (
        int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) * 1_000 for month in (9, 11)
    )
    assert spans_between("UTC", start, end) == ("2026-09", "2026-10")
    assert spans_between("UTC", start - DAY_MS, end + 6 * DAY_MS) == (
        *("2026-08-31", "2026-09", "2026-10", "2026-11/0", "2026-11-06"),
    )


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Pacific/Auckland"])
def test_spans_since_an_instant_have_each_day_until_now_once(zone: str) -> None:
    dice = random.Random(zone)
    for _ in range(40):
        start = NOON + dice.randrange(-400, 400) * DAY_MS
        end = start + dice.randrange(1, 100) * DAY_MS
        found = spans_since(zone, start, end)
        at = start
        while at < end:
            day = local_day(zone, at)
            assert len(set(spans_of(day.date)[:2]) & set(found)) == 1, (day, found)
            at = day.end_unix_ms
        assert found[0] in spans_of(local_day(zone, start).date)[:2]
        assert all(len(span) == 7 for span in found if span[:7] != found[0][:7])
