"""When the demo's calls come, and what each uses: dice from a seed, nothing else.

An hour's expected calls are the day's share of its shape, times growth, times the day's own luck.
Lengths are spread around the usual by a third, long ones farther, as those of real prompts are.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from control_plane.demo.clients import DemoClient, Shape, Work

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
_MONTH_DAYS: Final = 30
_WEEKDAYS: Final = 5
_RUNAWAY_TIMES: Final = 100
"""How many times its usual rate a workflow calls that loops."""

_OFFICE: Final = (0, 0, 0, 0, 0, 0, 1, 4, 9, 12, 12, 11, 7, 10, 12, 10, 7, 3, 1, 1, 0, 0, 0, 0)
_STEADY: Final = (2, 1, 1, 1, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 5, 5, 6, 6, 7, 7, 6, 5, 4, 3)
_NIGHTLY: Final = (0, 0, 40, 60, *([0] * 20))
_HOURS: Final = {
    "office": _OFFICE,
    "campaign": _OFFICE,
    "steady": _STEADY,
    "nightly": _NIGHTLY,
}


@dataclass(frozen=True, slots=True)
class Moment:
    """One call that comes."""

    at_unix_ms: int
    input_tokens: int
    cached_tokens: int
    """Of the input, those that the provider had read before."""
    output_tokens: int
    first_byte_ms: int
    duration_ms: int
    fails: bool
    execution: str


def moments_of(
    client: DemoClient, work: Work, seed: int, start_unix_ms: int, hour: datetime, *, loops: bool
) -> Iterator[Moment]:
    """The calls of one workflow within an hour, in no order; `hour` is its local begin."""
    dice = random.Random(f"{seed} {client.name} {work.name} {hour.isoformat()}")  # noqa: S311 - a demo, no secret
    expected = expected_calls(work, seed, start_unix_ms, hour)
    if loops:
        expected += work.daily_calls * _RUNAWAY_TIMES / 24
    count = int(expected) + (dice.random() < expected % 1)
    begin = int(hour.timestamp() * 1000)
    for number in range(count):
        output = _about(dice, work.output_tokens)
        first = dice.randrange(180, 900)
        fails = dice.randrange(1_000_000) < work.failing_ppm
        asked = _about(dice, work.input_tokens)
        yield Moment(
            at_unix_ms=begin + dice.randrange(HOUR_MS - 60_000),
            input_tokens=asked,
            cached_tokens=asked // 2 if dice.random() < 0.3 else 0,
            output_tokens=0 if fails else output,
            first_byte_ms=first,
            duration_ms=first + output * dice.randrange(6, 14),
            fails=fails,
            execution=f"{begin // HOUR_MS % 100_000}-{number}",
        )


def expected_calls(work: Work, seed: int, start_unix_ms: int, hour: datetime) -> float:
    """How many calls an hour has on average."""
    hours = _HOURS[work.shape]
    if work.shape in {"office", "campaign"} and hour.weekday() >= _WEEKDAYS:
        return 0.0
    days = (hour.timestamp() * 1000 - start_unix_ms) / DAY_MS
    growth: float = (1 + work.growth_percent / 100) ** (days / _MONTH_DAYS)
    dice = random.Random(f"{seed} {work.name} {hour.date()}")  # noqa: S311 - a demo, no secret
    luck = dice.uniform(0.8, 1.2)
    share = hours[hour.hour] / sum(hours)
    return work.daily_calls * share * growth * luck * _campaign(work.shape, seed, hour)


def _campaign(shape: Shape, seed: int, hour: datetime) -> float:
    """A week of three times the usual, in one of three; little in the others."""
    if shape != "campaign":
        return 1.0
    week = hour.isocalendar().week
    runs = random.Random(f"{seed} {week}").random() < 1 / 3  # noqa: S311 - a demo, no secret
    return 3.0 if runs else 0.3


def _about(dice: random.Random, usual: int) -> int:
    return max(8, int(usual * dice.lognormvariate(-0.06, 0.35)))
