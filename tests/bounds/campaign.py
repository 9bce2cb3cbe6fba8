"""Runs cases from seeds until one breaks its bound."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.bounds.cases import Case
from tests.bounds.proof import Held, held
from tests.bounds.requests import case
from tests.bounds.shrink import smallest

REPORT_EACH = 5_000


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    bounded: Counter[str] = field(default_factory=Counter)
    """Requests whose bound held, by what kind they are."""
    refused: Counter[str] = field(default_factory=Counter)
    """Requests that were refused, mostly because their price lacks a rate or a variant."""
    broken: Held | None = None
    """The smallest request that may be billed more than was held."""
    seed: int = 0
    """Which it was made from."""


def run(
    count: int, first: int, told: Callable[[int], None] | None = None, *, shrink: bool = True
) -> Outcome:
    """Hold so many cases against their bills; ends with the first that breaks its bound."""
    outcome = Outcome()
    for seed in range(first, first + count):
        made = case(seed)
        found = held(made)
        if found is None:
            outcome.refused[made.label] += 1
        elif found.holds:
            outcome.bounded[made.label] += 1
        else:
            outcome.broken = held(smallest(made, breaks)) if shrink else found
            outcome.seed = seed
            return outcome
        done = seed - first + 1
        if told is not None and done % REPORT_EACH == 0:
            told(done)
    return outcome


def breaks(made: Case) -> bool:
    """Whether a case may be billed more than was held for it."""
    found = held(made)
    return found is not None and not found.holds
