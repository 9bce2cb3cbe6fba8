"""Forecasts: what a regular client comes to, what is not believed, where a period cuts hours."""

import random
from datetime import UTC, datetime

import pytest

from control_plane.core.forecast import (
    HOUR_MS,
    Forecast,
    History,
    Trouble,
    forecast,
    runs_out_unix_ms,
)
from control_plane.core.windows import WindowSpan, window_at
from control_plane.core.zones import load_zone

CENT = 10_000_000
NOON = 1_795_435_200_000
"""2026-11-23T12:00:00Z, a Monday."""
BERLIN = "Europe/Berlin"


def office(hour_unix_ms: int) -> int:
    """Ten cents in each hour from eight to eighteen in Berlin, on days of work."""
    local = datetime.fromtimestamp(hour_unix_ms // 1_000, UTC).astimezone(load_zone(BERLIN))
    return 10 * CENT if local.weekday() < 5 and 8 <= local.hour < 18 else 0


def history(days: int, end_unix_ms: int = NOON, *, noise: int = 0, zone: str = BERLIN) -> History:
    first = end_unix_ms - days * 24 * HOUR_MS
    dice = random.Random(days)
    hourly = tuple(
        office(first + place * HOUR_MS) * (100 + dice.randint(-noise, noise)) // 100
        for place in range(days * 24)
    )
    return History(first, hourly, zone)


def november() -> WindowSpan:
    return window_at("month", BERLIN, 1, NOON)


def spent_of(past: History, span: WindowSpan) -> int:
    return sum(
        amount
        for place, amount in enumerate(past.hourly_nano_usd)
        if past.first_hour_unix_ms + place * HOUR_MS >= span.start_unix_ms
    )


def seen(past: History, span: WindowSpan | None = None, now: int = NOON) -> Forecast:
    span = span or november()
    return forecast(past, span, spent_of(past, span), now)


def test_a_regular_client_is_forecast_to_the_nano_dollar() -> None:
    past = history(60)
    found = seen(past)
    # Five hours of Monday are left, and Tuesday to Friday, and Monday the 30th.
    assert found.expected_nano_usd == spent_of(past, november()) + (5 + 50) * 10 * CENT
    assert (found.low_nano_usd, found.high_nano_usd) == (found.expected_nano_usd,) * 2
    assert (found.trouble, found.error_ppm, found.days_known) == (Trouble.NONE, 0, 60)


def test_the_hour_that_runs_and_the_hour_that_the_period_cuts_count_in_part() -> None:
    past = history(60)
    span = WindowSpan("x", NOON - 10 * HOUR_MS, NOON + 2 * HOUR_MS + HOUR_MS // 4)
    assert seen(past, span).expected_nano_usd == spent_of(past, span) + 225 * CENT // 10
    later = forecast(past, span, 0, NOON + HOUR_MS // 2)
    assert later.expected_nano_usd == 175 * CENT // 10


def test_a_level_that_rose_is_carried_on() -> None:
    past = history(60)
    doubled = tuple(
        amount * 2 if place >= len(past.hourly_nano_usd) - 168 else amount
        for place, amount in enumerate(past.hourly_nano_usd)
    )
    rest = 55 * 10 * CENT
    found = forecast(History(past.first_hour_unix_ms, doubled, BERLIN), november(), 0, NOON)
    assert rest * 19 // 10 < found.expected_nano_usd <= rest * 2


@pytest.mark.parametrize(
    ("days", "trouble"),
    [(13, Trouble.TOO_SHORT), (14, Trouble.UNTESTED), (20, Trouble.UNTESTED), (21, Trouble.NONE)],
)
def test_what_is_known_decides_what_can_be_said(days: int, trouble: Trouble) -> None:
    found = seen(history(days))
    assert (found.trouble, found.days_known) == (trouble, days)
    assert found.is_trusted == (trouble is Trouble.NONE)
    if trouble is Trouble.TOO_SHORT:
        assert found.expected_nano_usd == spent_of(history(days), november())


def test_a_little_noise_widens_the_range_around_what_is_expected() -> None:
    past = history(60, noise=30)
    found = seen(past)
    assert found.is_trusted
    assert found.low_nano_usd <= found.expected_nano_usd < found.high_nano_usd
    assert found.low_nano_usd >= spent_of(past, november())


def test_what_comes_in_campaigns_is_not_believed() -> None:
    past = history(60)
    dice = random.Random(1)
    lumpy = tuple(500 * CENT if dice.random() < 0.01 else 0 for _ in past.hourly_nano_usd)
    assert seen(History(past.first_hour_unix_ms, lumpy, BERLIN)).trouble is Trouble.IRREGULAR


def test_the_profile_turns_with_the_clocks() -> None:
    """Clocks went back on 25 October: the local hours of work moved in UTC, not in the profile."""
    sunday_after = 1_793_574_000_000  # 2026-11-01T23:00:00Z, a local midnight
    first = sunday_after - 35 * 24 * HOUR_MS
    hourly = tuple(office(hour) for hour in range(first, sunday_after, HOUR_MS))
    span = WindowSpan("day", sunday_after, sunday_after + 24 * HOUR_MS)
    found = forecast(History(first, hourly, BERLIN), span, 0, sunday_after)
    assert found.expected_nano_usd == 100 * CENT


def test_the_day_on_which_the_cap_is_reached() -> None:
    past, span = history(60), november()
    spent = spent_of(past, span)
    monday_left = 5 * 10 * CENT
    cases = [
        (spent, NOON),
        (spent + 1, NOON),
        (spent + monday_left, NOON + 4 * HOUR_MS),
        (spent + monday_left + 1, NOON + 19 * HOUR_MS),
        (spent + 55 * 10 * CENT + 1, None),
    ]
    for cap, expected in cases:
        assert runs_out_unix_ms(past, span, spent, cap, NOON) == expected


def test_a_period_without_an_end_has_no_forecast() -> None:
    once = window_at("once", "UTC", 1, NOON)
    found = forecast(history(60), once, 7, NOON)
    assert (found.expected_nano_usd, found.trouble) == (7, Trouble.TOO_SHORT)
    assert runs_out_unix_ms(history(60), once, 7, 8, NOON) is None
