"""Client-months of three kinds, and runaways in them, from a seed.

Amounts are nano-dollars for each five minutes of a month of 30 days; the cap is the same for all,
and a quiet month ends below it: from 35 to 97 percent of it, one in five above 80.
"""

import random
from collections.abc import Callable
from typing import Final

STEP_MS: Final = 300_000
STEPS_PER_HOUR: Final = 12
STEPS_PER_DAY: Final = 24 * STEPS_PER_HOUR
DAYS: Final = 30
STEPS: Final = DAYS * STEPS_PER_DAY
CAP_NANO_USD: Final = 300 * 10**9

Month = list[int]
"""What each five minutes cost."""


def office_hours(dice: random.Random) -> Month:
    """People at work: five days a week from eight to eighteen, each five minutes another amount."""
    month = [0] * STEPS
    first_weekday = dice.randrange(7)
    for day in range(DAYS):
        if (first_weekday + day) % 7 >= 5:
            continue
        busy = dice.lognormvariate(0, 0.3)
        for step in range(8 * STEPS_PER_HOUR, 18 * STEPS_PER_HOUR):
            if dice.random() < 0.9:
                cost = busy * dice.lognormvariate(0, 0.7)
                month[day * STEPS_PER_DAY + step] = round(cost * 1_000)
    return _scaled(month, dice)


def nightly_batch(dice: random.Random) -> Month:
    """A job every night that takes one to three hours, and next to nothing by day."""
    month = [0] * STEPS
    start = dice.randrange(0, 4 * STEPS_PER_HOUR)
    length = dice.randrange(STEPS_PER_HOUR, 3 * STEPS_PER_HOUR)
    for day in range(DAYS):
        size = dice.lognormvariate(0, 0.35)
        late = dice.randrange(0, STEPS_PER_HOUR // 2)
        for step in range(start + late, start + late + length):
            month[day * STEPS_PER_DAY + step] = round(
                size * dice.lognormvariate(0, 0.3) * 1_000_000 / length
            )
        for _ in range(10):
            month[day * STEPS_PER_DAY + dice.randrange(STEPS_PER_DAY)] += 200
    return _scaled(month, dice)


def lumpy_campaigns(dice: random.Random) -> Month:
    """Two to eight campaigns a month, of one hour to two days, of very different sizes."""
    month = [0] * STEPS
    for _ in range(dice.randint(2, 8)):
        length = round(dice.uniform(1, 48) * STEPS_PER_HOUR)
        begin = dice.randrange(0, STEPS - length)
        size = dice.lognormvariate(0, 0.8)
        for step in range(begin, begin + length):
            if dice.random() < 0.8:
                month[step] += round(size * dice.lognormvariate(0, 0.5) * 1_000_000 / length)
    return _scaled(month, dice)


PROFILES: Final[dict[str, Callable[[random.Random], Month]]] = {
    "office hours": office_hours,
    "nightly batch": nightly_batch,
    "lumpy campaigns": lumpy_campaigns,
}


def with_runaway(month: Month, dice: random.Random, percent_per_hour: int) -> tuple[Month, int]:
    """A month in which something begins to spend so much of the cap an hour, and never stops.

    It begins in the first 25 days; returns the month and the step in which it begins.
    """
    begin = dice.randrange(STEPS_PER_DAY, 25 * STEPS_PER_DAY)
    more = CAP_NANO_USD * percent_per_hour // 100 // STEPS_PER_HOUR
    return [cost + (more if step >= begin else 0) for step, cost in enumerate(month)], begin


def _scaled(month: Month, dice: random.Random) -> Month:
    use = min(0.97, max(0.35, dice.gauss(0.70, 0.13)))
    total = max(1, sum(month))
    wanted = int(CAP_NANO_USD * use)
    return [cost * wanted // total for cost in month]
