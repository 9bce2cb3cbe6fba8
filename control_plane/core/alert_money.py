"""Rules about money: how much of a cap is used, how soon it is reached, what stopped, what is lost.

A page (P1) is for what cannot wait: a client that is stopped, or one whose cap is reached so soon
that nobody would read of it in time. Both paces, of the last hour and of the last five minutes,
must agree on that: the first alone is late to see that a burst is over, the second alone takes
every burst for a runaway. The burn rates of service objectives do not fit here: work that is done
in a nightly batch burns a month's even pace a hundredfold each night. See `tests/alerts` for how
often each rule is wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from control_plane.core.alerts import HOUR_MS, MINUTE_MS, Finding, Rule, Severity
from control_plane.core.forecast import Forecast
from control_plane.core.leases import PeriodKey

THRESHOLDS: Final = (
    (50, Severity.P4),
    (80, Severity.P2),
    (95, Severity.P2),
    (100, Severity.P2),
)
"""Percent of a cap, and how grave it is to have used so much."""
SHORT_PACE_MS: Final = 5 * MINUTE_MS
LONG_PACE_MS: Final = HOUR_MS
PAGE_TO_CAP_MS: Final = 2 * HOUR_MS
"""A cap that is reached sooner wakes somebody."""
NOTICE_TO_CAP_MS: Final = 6 * HOUR_MS
"""A cap that is reached sooner is told of."""
RUNAWAY_CAP_PARTS: Final = 12
"""An hour that took one part in so many of the whole cap is a runaway: it pages at the longer time,
because a fast one is noticed when half of the money is still there."""
FORECAST_ABOVE_PERCENT: Final = 105
FORECAST_BELOW_PERCENT: Final = 98
"""A forecast alert stays until less is expected."""
FORECAST_AFTER_MS: Final = 3 * 24 * HOUR_MS
"""So far into a period nothing is said of its end."""

_RANK_THRESHOLD: Final = {50: 1, 80: 3, 95: 4, 100: 5}
_RANK_TO_CAP: Final = {Severity.P2: 2, Severity.P1: 6}
_RANK_STOPPED: Final = 7
_MONTH_HOURS: Final = 24 * 30


@dataclass(frozen=True, slots=True)
class Pace:
    """What was spent lately."""

    short_nano_usd: int = 0
    short_ms: int = SHORT_PACE_MS
    """Over how long: five minutes, or a little more where nobody looked just then."""
    long_nano_usd: int = 0
    """In the last hour."""


@dataclass(frozen=True, slots=True)
class BudgetSeen:
    """A capped period as it stands at an instant."""

    key: PeriodKey
    project_id: str
    client: str
    """The client's name; empty for a budget of the whole agency."""
    budget: str
    """The budget's name."""
    cap_nano_usd: int
    cap_version: int
    spent_nano_usd: int
    start_unix_ms: int
    end_unix_ms: int | None
    pace: Pace = Pace()
    refused_count: int = 0
    """Calls refused for want of money since the cap was last decided."""
    refused_unix_ms: int = 0
    """When the first of them was."""
    still_refused: bool = False
    """Whether the budget is used up still: the next call would be refused."""
    forecast: Forecast | None = None
    forecast_was_above: bool = False
    """Whether an alert of its forecast goes on."""

    @property
    def left_nano_usd(self) -> int:
        return max(0, self.cap_nano_usd - self.spent_nano_usd)

    @property
    def group(self) -> str:
        return f"{self.key.budget_id}/{self.key.partition}/{self.key.period_id}"

    @property
    def facts(self) -> dict[str, str | int]:
        """What every alert of a budget tells."""
        return {
            "client": self.client,
            "budget": self.budget,
            "budget_id": self.key.budget_id,
            "partition": self.key.partition,
            "period_id": self.key.period_id,
            "cap_version": self.cap_version,
            "cap_nano_usd": self.cap_nano_usd,
            "spent_nano_usd": self.spent_nano_usd,
            "end_unix_ms": self.end_unix_ms or 0,
        }


def judge(seen: BudgetSeen, now_unix_ms: int) -> Iterator[Finding]:
    """What the rules find in one budget's period."""
    yield from _thresholds(seen)
    yield from _stopped(seen)
    yield from _time_to_cap(seen, now_unix_ms)
    yield from _forecast(seen, now_unix_ms)


def time_to_cap_ms(seen: BudgetSeen) -> int | None:
    """When the cap is reached at the slower of both paces; None when one of them is nothing."""
    pace = seen.pace
    if pace.short_nano_usd <= 0 or pace.long_nano_usd <= 0:
        return None
    left = seen.left_nano_usd
    return max(
        left * pace.short_ms // pace.short_nano_usd, left * LONG_PACE_MS // pace.long_nano_usd
    )


def percent_used(seen: BudgetSeen) -> int:
    """Of the cap, rounded down; 100 where the cap is nothing."""
    return seen.spent_nano_usd * 100 // seen.cap_nano_usd if seen.cap_nano_usd else 100


def to_cap_severity(seen: BudgetSeen, now_unix_ms: int) -> Severity | None:
    """How grave it is that the cap is near; None when it is not, or the window ends before."""
    soon = time_to_cap_ms(seen)
    if soon is None or soon > NOTICE_TO_CAP_MS or not seen.left_nano_usd:
        return None
    if seen.end_unix_ms is None:
        is_runaway = False
    elif now_unix_ms + soon >= seen.end_unix_ms:
        return None
    else:
        # What is a runaway for a month may be the plan for a day.
        hours = max(1, (seen.end_unix_ms - seen.start_unix_ms) // HOUR_MS)
        is_runaway = (
            seen.pace.long_nano_usd * hours * RUNAWAY_CAP_PARTS >= seen.cap_nano_usd * _MONTH_HOURS
        )
    return Severity.P1 if soon <= PAGE_TO_CAP_MS or is_runaway else Severity.P2


def _thresholds(seen: BudgetSeen) -> Iterator[Finding]:
    used = percent_used(seen)
    for percent, severity in THRESHOLDS:
        if used >= percent and seen.cap_nano_usd:
            yield Finding(
                Rule.THRESHOLD,
                f"{seen.group}/v{seen.cap_version}/{percent}",
                seen.project_id,
                severity,
                measure=used,
                facts={**seen.facts, "percent": percent},
                group=seen.group,
                rank=_RANK_THRESHOLD[percent],
            )


def _stopped(seen: BudgetSeen) -> Iterator[Finding]:
    if seen.refused_count and seen.still_refused:
        yield Finding(
            Rule.STOPPED,
            f"{seen.group}/v{seen.cap_version}",
            seen.project_id,
            Severity.P1,
            measure=seen.refused_count,
            facts={
                **seen.facts,
                "refused_count": seen.refused_count,
                "refused_unix_ms": seen.refused_unix_ms,
            },
            group=seen.group,
            rank=_RANK_STOPPED,
        )


def _time_to_cap(seen: BudgetSeen, now_unix_ms: int) -> Iterator[Finding]:
    severity = to_cap_severity(seen, now_unix_ms)
    soon = time_to_cap_ms(seen)
    if severity is not None and soon is not None:
        yield Finding(
            Rule.TIME_TO_CAP,
            seen.group,
            seen.project_id,
            severity,
            measure=percent_used(seen),
            facts={
                **seen.facts,
                "time_to_cap_ms": soon,
                "last_hour_nano_usd": seen.pace.long_nano_usd,
            },
            group=seen.group,
            rank=_RANK_TO_CAP[severity],
        )


def _forecast(seen: BudgetSeen, now_unix_ms: int) -> Iterator[Finding]:
    what = seen.forecast
    if what is None or not what.is_trusted or not seen.cap_nano_usd:
        return
    if now_unix_ms - seen.start_unix_ms < FORECAST_AFTER_MS:
        return
    limit = FORECAST_BELOW_PERCENT if seen.forecast_was_above else FORECAST_ABOVE_PERCENT
    if what.expected_nano_usd * 100 > seen.cap_nano_usd * limit:
        yield Finding(
            Rule.FORECAST,
            f"{seen.group}/v{seen.cap_version}",
            seen.project_id,
            Severity.P3,
            measure=what.expected_nano_usd * 100 // seen.cap_nano_usd,
            facts={
                **seen.facts,
                "expected_nano_usd": what.expected_nano_usd,
                "low_nano_usd": what.low_nano_usd,
                "high_nano_usd": what.high_nano_usd,
            },
            group=seen.group,
        )
