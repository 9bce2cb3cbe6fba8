"""The worlds that are part of `make test`, in halves: two cores play a file of tests each."""

from tests.simulation.campaign import run_seeds
from tests.simulation.report import EXPECTED, total

EACH = 50


def hold(part: int) -> None:
    """Nothing breaks in fifty worlds, none of them is weak, and every kind of fault strikes."""
    seeds = range(part * EACH, (part + 1) * EACH)
    outcomes = list(run_seeds(seeds, 1))
    broken = [f"{each.seed}: {each.violation}: {each.words}" for each in outcomes if each.violation]
    assert not broken, "\n".join([*broken, "see it again: make simulate SEED=..."])
    report = total(outcomes)
    missing = [kind for kind in EXPECTED if not report.faults[kind]]
    assert not missing, f"a weak simulation: none of {len(seeds)} runs had {missing}"
