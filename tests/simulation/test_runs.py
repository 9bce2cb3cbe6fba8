"""Whole runs from seeds: nothing that must hold breaks, and a seed always gives the same run."""

import os
import subprocess
import sys

import pytest

from tests.simulation.engine import Outcome, run
from tests.simulation.plan import in_words, plan
from tests.simulation.report import EXPECTED, Report
from tests.simulation.worlds import hold

_DIGEST = """
import sys
from tests.simulation.engine import run
from tests.simulation.plan import plan
print(run(plan(int(sys.argv[1])), int(sys.argv[1])).digest)
"""


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, 1])
def test_nothing_breaks_under_any_fault(part: int) -> None:
    hold(part)


@pytest.mark.slow
def test_a_seed_gives_the_same_run_in_another_process_with_other_hashes() -> None:
    here = run(plan(5), 5).digest
    for hashes in ("0", "4711"):
        there = subprocess.run(
            [sys.executable, "-c", _DIGEST, "5"],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == here


def test_a_plan_is_made_from_its_seed_alone() -> None:
    assert plan(7) == plan(7)
    assert plan(7) != plan(8)
    assert all(in_words(step) for step in plan(7))


def test_a_campaign_that_lacks_a_kind_of_fault_says_so() -> None:
    report = Report()
    report.add(_outcome({kind: 1 for kind in EXPECTED if kind != "clock step"}))
    assert report.weak() == ["clock step"]
    assert any("clock step" in line and "too few" in line for line in report.lines())
    assert '"weak": [\n  "clock step"\n ]' in report.json()


def _outcome(faults: dict[str, int]) -> Outcome:
    made = run((), 1)
    made.faults.clear()
    made.faults.update(faults)
    return made
