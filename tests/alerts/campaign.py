"""Plays seeds: how many quiet months woke somebody, and how early runaways did."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.alerts.months import PROFILES, with_runaway
from tests.alerts.replay import has_false_page, left_when_paged

QUIET_MONTHS: Final = 120
"""Of each seed and profile."""
RUNAWAYS: Final = 30
RUNAWAY_PERCENTS: Final = (10, 20, 50)
"""Percent of the cap that runaways spend in an hour, in turn."""
FALSE_MAX_PERCENT: Final = {"office hours": 5, "nightly batch": 5, "lumpy campaigns": 35}
"""What is allowed, of quiet months."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one profile."""

    profile: str
    quiet: int
    false: int
    """Quiet months in which somebody was woken."""
    runaways: int
    late: int
    """Runaways that were paged when half of what was left was gone."""
    least_left_percent: int
    """The least that was left when a runaway was paged, of what was left when it began."""

    @property
    def holds(self) -> bool:
        """Whether it keeps what is promised."""
        allowed = FALSE_MAX_PERCENT[self.profile]
        return self.false * 100 < allowed * self.quiet and not self.late


def play(seeds: range, *, quiet: int = QUIET_MONTHS, runaways: int = RUNAWAYS) -> Iterator[Played]:
    """Play every profile over some seeds."""
    for profile, make in PROFILES.items():
        false = late = played = 0
        least = 100
        for seed in seeds:
            dice = random.Random(f"{profile} {seed}")
            false += sum(has_false_page(make(dice)) for _ in range(quiet))
            for number in range(runaways):
                percent = RUNAWAY_PERCENTS[number % len(RUNAWAY_PERCENTS)]
                month, begin = with_runaway(make(dice), dice, percent)
                at_begin, at_page = left_when_paged(month, begin)
                played += 1
                late += at_page * 2 < at_begin
                least = min(least, at_page * 100 // at_begin)
        yield Played(profile, quiet * len(seeds), false, played, late, least)
