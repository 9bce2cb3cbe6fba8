"""How one seed of the simulation is played for a hunt, and what it found."""

import tempfile
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.sidecar.builders import DOLLAR
from tests.simulation.test_money import check_ledger, played
from tests.simulation.world import play


@dataclass(frozen=True, slots=True)
class Found:
    """What a seed brought to light."""

    seed: int
    invariant: str
    """The invariant that was broken, or where the code stopped itself."""
    words: str
    steps: int
    """After so many steps."""
    outside: bool
    """The outside truth saw it; not an assertion or an error of the code itself."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def play_seed(seed: int) -> Found | None:
    """Play one seed; what it found, if anything."""
    with tempfile.TemporaryDirectory() as name:

        async def story() -> None:
            simulation = await played(
                Path(name), seed, calls=200, sidecars=3, agency=5 * DOLLAR, client=2 * DOLLAR,
                storm=True,
            )
            check_ledger(simulation)

        try:
            play(story, seed)
        except BaseException as error:
            return Found(seed, _place(error), str(error)[:200], 0, outside=False)
    return None


def _place(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).stem}.{last.name}"
