"""Whole runs from seeds: nothing that must hold breaks, and a seed always gives the same run."""

import pytest

from tests.simulation.engine import run
from tests.simulation.plan import plan


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_seed_gives_the_same_run_each_time(seed: int) -> None:
    first, second = run(plan(seed), seed), run(plan(seed), seed)
    assert first.digest == second.digest
    assert first.steps == second.steps
