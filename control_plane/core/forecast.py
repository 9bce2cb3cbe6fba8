"""What a client or a budget will have spent when its period ends, and whether to believe it.

The method: spend has the shape of a week (a profile of 168 local hours, means over the last four
weeks) and a level (the last seven days against that profile). What is still to come is the profile
over the hours that are left, times the level. Before it is believed, the same method is made to
forecast stretches of the past whose end is known, from what was known at their beginning: the worst
of them gives the error by which it is trusted or not, and their spread gives the range.

How to call it from roll-ups: sum `cost_nano_usd` of the client (or of the budget's selector) by
whole UTC hour over the last HISTORY_DAYS, with zeros where nothing was spent, from the first hour
that had any, and leave out the hour that is running:

    history = History(first_hour_unix_ms, tuple(hourly_nano_usd), time_zone="Europe/Berlin")
    seen = forecast(history, span, spent_nano_usd, now_unix_ms)
    if seen.is_trusted: ...  # else seen.trouble says why, and seen.days_known how far it is
    day = runs_out_unix_ms(history, span, spent_nano_usd, cap_nano_usd, now_unix_ms)

`control_plane.store.spending.hourly` makes such a history. A call takes some milliseconds, so it is
made once an hour for each budget and not for each view. Sums are whole nano-dollars; quotients are
rounded down.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from control_plane.core.windows import WindowSpan
from control_plane.core.zones import load_zone

HOUR_MS: Final = 3_600_000
HISTORY_DAYS: Final = 70
"""How far back a history is worth reading: a month to test on, four weeks of profile before it, and
some days to begin the test on."""
_WEEK_HOURS: Final = 168
_PROFILE_HOURS: Final = 4 * _WEEK_HOURS
_LEAST_HOURS: Final = 2 * _WEEK_HOURS
"""With less than two weeks no hour of the week was seen twice."""
_TEST_HOURS: Final = _WEEK_HOURS
"""The shortest stretch that a long forecast is tested on."""
_TESTS: Final = 7
"""Stretches that are forecast again; each begins a day before the one before."""
ERROR_MAX_PPM: Final = 200_000
"""A forecast whose tests were further off is no forecast: a fifth of what the period came to."""
_MILLION: Final = 1_000_000


class Trouble(StrEnum):
    """Why a forecast is not to be believed."""

    NONE = ""
    TOO_SHORT = "TOO_SHORT"
    """Less than two weeks are known: there is no forecast."""
    UNTESTED = "UNTESTED"
    """There is a forecast, and too little history to test it on."""
    IRREGULAR = "IRREGULAR"
    """It was tested, and was too far off."""


@dataclass(frozen=True, slots=True)
class History:
    """What was spent, hour by hour."""

    first_hour_unix_ms: int
    """When the first hour begins; a whole hour in UTC."""
    hourly_nano_usd: tuple[int, ...]
    """What each whole hour cost, oldest first, without gaps."""
    time_zone: str
    """In which the week turns."""

    @property
    def end_unix_ms(self) -> int:
        """When the last hour ends."""
        return self.first_hour_unix_ms + len(self.hourly_nano_usd) * HOUR_MS


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a period will come to."""

    expected_nano_usd: int
    """Spent when the period ends; what is spent already where nothing can be said."""
    low_nano_usd: int
    """By the most favourable of the tests; never less than what is spent."""
    high_nano_usd: int
    """By the least favourable of the tests."""
    trouble: Trouble
    error_ppm: int
    """How far off the worst test was, in millionths of what its period came to."""
    days_known: int
    """Whole days of history."""

    @property
    def is_trusted(self) -> bool:
        """Whether alerts and pages may rest on it."""
        return self.trouble is Trouble.NONE


@dataclass(frozen=True, slots=True)
class _Test:
    """One stretch of the past, forecast from its beginning."""

    forecast_nano_usd: int
    actual_nano_usd: int
    before_nano_usd: int
    """What had been spent of its period when it began."""

    @property
    def error_ppm(self) -> int:
        off = abs(self.forecast_nano_usd - self.actual_nano_usd)
        return off * _MILLION // max(1, self.before_nano_usd + self.actual_nano_usd)

    def apply(self, rest_nano_usd: int) -> int:
        """What would come if it were off as here."""
        if not self.forecast_nano_usd:
            return rest_nano_usd
        return rest_nano_usd * self.actual_nano_usd // self.forecast_nano_usd


def forecast(history: History, span: WindowSpan, spent_nano_usd: int, now_unix_ms: int) -> Forecast:
    """What the period will come to; `spent_nano_usd` is what the ledger has for it now."""
    known = len(history.hourly_nano_usd)
    days = known // 24
    if span.end_unix_ms is None or known < _LEAST_HOURS:
        return _nothing(spent_nano_usd, days)
    ahead = hours_ahead(now_unix_ms, span.end_unix_ms)
    slots = _slots(history, known + ahead + 1)
    rest = _rest(history, slots, known, now_unix_ms, span.end_unix_ms)
    expected = spent_nano_usd + rest
    stretch = min(ahead, known - _LEAST_HOURS)
    if stretch < min(ahead, _TEST_HOURS):
        return Forecast(expected, spent_nano_usd, expected, Trouble.UNTESTED, 0, days)
    elapsed = max(0, now_unix_ms - span.start_unix_ms) // HOUR_MS
    tests = _tests(history, slots, max(1, stretch), elapsed)
    rests = [test.apply(rest) for test in tests]
    error = max(test.error_ppm for test in tests)
    return Forecast(
        expected,
        spent_nano_usd + min(*rests, rest),
        spent_nano_usd + max(*rests, rest),
        Trouble.NONE if error <= ERROR_MAX_PPM else Trouble.IRREGULAR,
        error,
        days,
    )


def runs_out_unix_ms(
    history: History,
    span: WindowSpan,
    spent_nano_usd: int,
    cap_nano_usd: int,
    now_unix_ms: int,
) -> int | None:
    """The hour in which the cap is reached as forecast; None when it is not in this period."""
    if spent_nano_usd >= cap_nano_usd:
        return now_unix_ms
    known = len(history.hourly_nano_usd)
    if span.end_unix_ms is None or known < _LEAST_HOURS:
        return None
    slots = _slots(history, known + hours_ahead(now_unix_ms, span.end_unix_ms) + 1)
    profile = _profile(history, slots, known)
    actual, fitted = _level(history, slots, known, profile)
    if not fitted:
        return None
    left = (cap_nano_usd - spent_nano_usd) * fitted
    for place in range(known, len(slots)):
        begin = history.first_hour_unix_ms + place * HOUR_MS
        left -= (
            profile[slots[place]]
            * actual
            * _lasting(begin, now_unix_ms, span.end_unix_ms)
            // (HOUR_MS)
        )
        if left <= 0:
            return max(begin, now_unix_ms)
    return None


def hours_ahead(now_unix_ms: int, end_unix_ms: int) -> int:
    """Hours until an instant, the one that is running included."""
    return max(0, -(-(end_unix_ms - now_unix_ms) // HOUR_MS))


def _nothing(spent_nano_usd: int, days: int) -> Forecast:
    return Forecast(spent_nano_usd, spent_nano_usd, spent_nano_usd, Trouble.TOO_SHORT, 0, days)


def _slots(history: History, count: int) -> list[int]:
    """The local hour of the week of each hour, from the first of the history on."""
    zone = load_zone(history.time_zone)
    first_s = history.first_hour_unix_ms // 1_000
    found = []
    for place in range(count):
        local = datetime.fromtimestamp(first_s + place * 3_600, UTC).astimezone(zone)
        found.append(local.weekday() * 24 + local.hour)
    return found


def _profile(history: History, slots: list[int], until: int) -> list[int]:
    """Mean spend of each hour of the week, over the four weeks before a place."""
    total = [0] * _WEEK_HOURS
    seen = [0] * _WEEK_HOURS
    for place in range(max(0, until - _PROFILE_HOURS), until):
        slot = slots[place]
        total[slot] += history.hourly_nano_usd[place]
        seen[slot] += 1
    return [amount // count if count else 0 for amount, count in zip(total, seen, strict=True)]


def _level(history: History, slots: list[int], until: int, profile: list[int]) -> tuple[int, int]:
    """What the last seven days cost, and what the profile says of them."""
    begin = until - _WEEK_HOURS
    fitted = sum(profile[slots[place]] for place in range(begin, until))
    return sum(history.hourly_nano_usd[begin:until]), fitted


def _rest(
    history: History, slots: list[int], known: int, now_unix_ms: int, end_unix_ms: int
) -> int:
    """What is still to come; of the hours that the period cuts, only the part that is in it."""
    profile = _profile(history, slots, known)
    actual, fitted = _level(history, slots, known, profile)
    if not fitted:
        return 0
    total = 0
    for place in range(known, len(slots)):
        begin = history.first_hour_unix_ms + place * HOUR_MS
        total += profile[slots[place]] * _lasting(begin, now_unix_ms, end_unix_ms) // HOUR_MS
    return total * actual // fitted


def _lasting(hour_unix_ms: int, now_unix_ms: int, end_unix_ms: int) -> int:
    """How much of an hour is still to come and in the period, in milliseconds."""
    begin, end = max(hour_unix_ms, now_unix_ms), min(hour_unix_ms + HOUR_MS, end_unix_ms)
    return max(0, end - begin)


def _tests(history: History, slots: list[int], stretch: int, elapsed: int) -> list[_Test]:
    """Forecast stretches of the past as one would have then."""
    found = []
    last = len(history.hourly_nano_usd) - stretch
    for origin in range(last, max(_LEAST_HOURS, last - _TESTS * 24) - 1, -24):
        profile = _profile(history, slots, origin)
        actual, fitted = _level(history, slots, origin, profile)
        shape = sum(profile[slots[place]] for place in range(origin, origin + stretch))
        found.append(
            _Test(
                shape * actual // fitted if fitted else 0,
                sum(history.hourly_nano_usd[origin : origin + stretch]),
                sum(history.hourly_nano_usd[max(0, origin - elapsed) : origin]),
            )
        )
    assert found
    return found
