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
    try:
        outcome = run(plan(seed), seed)
    except Exception as error:  # noqa: BLE001 - a planted bug may end in anything
        return Found(seed, CRASH, _last(error), 0, outside=False)
    if not outcome.violation:
        return None
    return Found(
        seed,
        outcome.violation,
        outcome.words,
        outcome.steps,
        outside=outcome.violation != CRASH,
    )


def _last(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
