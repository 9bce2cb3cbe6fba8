"""How one seed of the simulation is played for a hunt, and what it found."""

from dataclasses import asdict, dataclass
from typing import Any

from tests.simulation.engine import run
from tests.simulation.plan import plan

CRASH = "crash"
"""What the simulation calls an error of the code itself."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a seed brought to light."""

    seed: int
    invariant: str
    """The invariant that was broken, or that the code stopped itself."""
    words: str
    steps: int
    """After so many steps."""
    outside: bool
    """The outside truth saw it; not an assertion or an error of the code itself."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def play_seed(seed: int) -> Found | None:
    """Play one seed; what it found, if anything."""
    outcome = run(plan(seed), seed)
    if not outcome.violation:
        return None
    return Found(
        seed,
        outcome.violation,
        outcome.words,
        outcome.steps,
        outside=outcome.violation != CRASH,
    )
