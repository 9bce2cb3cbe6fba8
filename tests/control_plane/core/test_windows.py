"""Windows tile time in every zone, and are named by the local date on which they begin."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.windows import (
    ANCHOR_DAY_MAX,
    Window,
    day_start_unix_ms,
    local_date_at,
    window_after,
    window_at,
)
from control_plane.core.zones import check_zone, load_zone, zone_names
from protos.values.errors import InvalidArgumentError

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

TRICKY_ZONES = (
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Asuncion",
    "America/Havana",
    "America/Nuuk",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Damascus",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "UTC",
)


def ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo is not None
    return int(moment.timestamp()) * 1000


def walk(window: Window, zone: str, anchor_day: int, start: str, end: str) -> int:
    """Follow windows from one instant to another and hold each to the rules; count them."""
    rules = load_zone(zone)
    span = window_at(window, zone, anchor_day, ms(start))
    count = 0
    while span.start_unix_ms < ms(end):
        assert span.end_unix_ms is not None
        assert local_date_at(rules, span.start_unix_ms).isoformat() == span.period_id
        assert local_date_at(rules, span.start_unix_ms - 1) < date.fromisoformat(span.period_id)
        for inside in (span.start_unix_ms, span.end_unix_ms - 1):
            assert window_at(window, zone, anchor_day, inside) == span
        following = window_after(window, zone, anchor_day, span)
        assert following is not None
        assert following.start_unix_ms == span.end_unix_ms
        assert following.period_id > span.period_id
        span, count = following, count + 1
    return count


@pytest.mark.parametrize("zone", TRICKY_ZONES)
@pytest.mark.parametrize(("first", "last"), [(2010, 2011), (2018, 2018), (2023, 2024)])
def test_days_tile_years_in_which_rules_changed(zone: str, first: int, last: int) -> None:
    days = walk("day", zone, 1, f"{first}-01-01T12:00+00:00", f"{last + 1}-01-01T12:00+00:00")
    # Apia skipped one date when it moved from one side of the date line to the other.
    assert days == (date(last + 1, 1, 1) - date(first, 1, 1)).days + 1


def test_months_and_weeks_tile_a_year_in_every_zone() -> None:
    for zone in sorted(zone_names()):
        assert walk("month", zone, 31, "2026-01-15T12:00+00:00", "2027-01-15T12:00+00:00") == 13
        assert walk("week", zone, 7, "2026-01-15T12:00+00:00", "2026-03-12T12:00+00:00") == 9


@given(
    zone=st.sampled_from(sorted(zone_names())),
    window=st.sampled_from(("day", "week", "month")),
    anchor_day=st.integers(1, 31),
    instant=st.integers(0, ms("2100-01-01T00:00+00:00")),
)
def test_every_instant_is_in_exactly_the_window_that_covers_it(
    zone: str, window: Window, anchor_day: int, instant: int
) -> None:
    anchor_day = min(anchor_day, ANCHOR_DAY_MAX[window])
    span = window_at(window, zone, anchor_day, instant)
    assert span.covers(instant)
    assert span.end_unix_ms is not None
    after = window_at(window, zone, anchor_day, span.end_unix_ms)
    assert after.start_unix_ms == span.end_unix_ms
    if span.start_unix_ms > 0:
        before = window_at(window, zone, anchor_day, span.start_unix_ms - 1)
        assert before.end_unix_ms == span.start_unix_ms
    assert local_date_at(load_zone(zone), span.start_unix_ms).isoformat() == span.period_id


@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        # Clocks jumped from 00:00 to 01:00: the day begins at 01:00.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T01:00-02:00"),
        ("Africa/Cairo", "2024-04-26", "2024-04-26T01:00+03:00"),
        ("Asia/Beirut", "2024-03-31", "2024-03-31T01:00+03:00"),
        # Clocks went back at midnight to 23:00: the day begins when midnight is reached for good.
        ("America/Sao_Paulo", "2018-02-18", "2018-02-18T00:00-03:00"),
        # Clocks went back from 01:00 to 00:00: midnight came twice, and the first counts.
        ("America/Havana", "2024-11-03", "2024-11-03T00:00-04:00"),
        # Clocks went back from 00:01 to 23:01 of the day before: the first midnight counts.
        ("America/St_Johns", "2010-11-07", "2010-11-07T00:00-02:30"),
        # Clocks jumped from 24:00 over a whole day.
        ("Pacific/Apia", "2011-12-31", "2011-12-31T00:00+14:00"),
        # Half an hour at 02:00 moves no midnight, but the next one.
        ("Australia/Lord_Howe", "2024-10-06", "2024-10-06T00:00+10:30"),
        ("Australia/Lord_Howe", "2024-10-07", "2024-10-07T00:00+11:00"),
    ],
)
def test_a_day_begins_where_its_zone_says(zone: str, day: str, start: str) -> None:
    span = window_at("day", zone, 1, ms(start))
    assert (span.period_id, span.start_unix_ms) == (day, ms(start))
    assert day_start_unix_ms(load_zone(zone), date.fromisoformat(day)) == ms(start)


def test_a_jump_from_before_midnight_to_after_it_is_where_the_day_begins() -> None:
    # Clocks jumped from 23:30 to 00:30.
    start = day_start_unix_ms(load_zone("America/Toronto"), date(1919, 3, 31))
    assert start == ms("1919-03-31T00:30-04:00")


def test_an_hour_lived_twice_across_midnight_belongs_to_the_new_day() -> None:
    again = ms("2010-11-06T23:30-03:30")
    assert local_date_at(load_zone("America/St_Johns"), again) == date(2010, 11, 6)
    assert window_at("day", "America/St_Johns", 1, again).period_id == "2010-11-07"


def test_a_skipped_date_has_no_window_and_lends_its_name_to_none() -> None:
    before = window_at("day", "Pacific/Apia", 1, ms("2011-12-29T12:00-10:00"))
    after = window_after("day", "Pacific/Apia", 1, before)
    assert after is not None
    assert (before.period_id, after.period_id) == ("2011-12-29", "2011-12-31")
    month = window_at("month", "Pacific/Apia", 30, ms("2012-01-02T00:00+14:00"))
    assert month.period_id == "2011-12-31"


@pytest.mark.parametrize(
    ("window", "anchor_day", "instant", "period_id"),
    [
        ("month", 31, "2024-02-28T23:59+00:00", "2024-01-31"),
        ("month", 31, "2024-02-29T00:00+00:00", "2024-02-29"),
        ("month", 30, "2023-02-28T00:00+00:00", "2023-02-28"),
        ("month", 29, "2023-03-28T00:00+00:00", "2023-02-28"),
        ("month", 1, "2024-01-01T00:00+00:00", "2024-01-01"),
        ("month", 15, "2024-01-14T12:00+00:00", "2023-12-15"),
        ("week", 1, "2026-11-23T00:00+00:00", "2026-11-23"),
        ("week", 1, "2026-11-22T23:59+00:00", "2026-11-16"),
        ("week", 7, "2026-11-23T00:00+00:00", "2026-11-22"),
        ("day", 1, "2026-11-23T23:59+00:00", "2026-11-23"),
    ],
)
def test_anchor_days(window: Window, anchor_day: int, instant: str, period_id: str) -> None:
    assert window_at(window, "UTC", anchor_day, ms(instant)).period_id == period_id


def test_a_single_window_has_neither_date_nor_end() -> None:
    span = window_at("once", "Europe/Berlin", 1, ms("2026-11-23T12:00+00:00"))
    assert (span.period_id, span.end_unix_ms) == ("once", None)
    assert window_after("once", "Europe/Berlin", 1, span) is None
    assert span.covers(ms("2999-01-01T00:00+00:00"))


def test_a_month_has_the_hours_that_its_zone_gives_it() -> None:
    march = window_at("month", "Europe/Berlin", 1, ms("2026-03-10T00:00+00:00"))
    assert march.end_unix_ms is not None
    assert march.end_unix_ms - march.start_unix_ms == 31 * DAY_MS - HOUR_MS


def test_zones_come_from_the_pinned_package_alone() -> None:
    assert {"Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires"} <= zone_names()
    assert datetime(2026, 7, 1, tzinfo=load_zone("Europe/Berlin")).utcoffset() == timedelta(hours=2)
    for stranger in ("localtime", "posixrules", "../../etc/passwd", "/etc/localtime", "", "europe"):
        with pytest.raises(KeyError):
            load_zone(stranger)
        with pytest.raises(InvalidArgumentError) as caught:
            check_zone(stranger, "time_zone")
        assert caught.value.fields == {"field": "time_zone"}
    assert datetime.fromtimestamp(0, UTC).astimezone(load_zone("UTC")).hour == 0
