"""How long calls took, counted in steps, so that any span of time has its median and its tail.

A step is a quarter of an octave: each begins where the one before it times the fourth root of two
does. A quantile is told as the middle of its step, so it is within a tenth of the true one. Counted
are calls that ended well, from admission to the last byte: what a caller waited for.
"""

from bisect import bisect_right
from collections.abc import Mapping
from math import isqrt
from typing import Final

STEPS_PER_OCTAVE: Final = 4
"""How many steps lie between a time and its double."""
_FIRST, _LAST = 4 * STEPS_PER_OCTAVE, 20 * STEPS_PER_OCTAVE
BOUNDS_MS: Final = (0, *(isqrt(isqrt(1 << step)) for step in range(_FIRST, _LAST + 1)))
"""Where each step begins: 0, 16, 19, 22, 26, 32 … up to 17 minutes, which the last is open from."""

Counts = Mapping[int, int]
"""Calls by step."""


def step_of(duration_ms: int) -> int:
    """The step that a duration falls in."""
    return bisect_right(BOUNDS_MS, max(0, duration_ms)) - 1


def middle_ms(step: int) -> int:
    """What a step is told as; the last, which has no end, as its begin."""
    if step + 1 == len(BOUNDS_MS):
        return BOUNDS_MS[step]
    return (BOUNDS_MS[step] + BOUNDS_MS[step + 1]) // 2


def quantile_ms(counts: Counts, percent: int) -> int | None:
    """The least duration that so many percent of the calls did not pass; None without calls."""
    assert 0 < percent <= 100
    total = sum(counts.values())
    if not total:
        return None
    rank = -(-total * percent // 100)
    seen = 0
    for step in sorted(counts):
        seen += counts[step]
        if seen >= rank:
            return middle_ms(step)
    raise AssertionError
