"""Whole runs from seeds: nothing that must hold breaks, and a seed always gives the same run."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation.campaign import judged
from tests.simulation.engine import Outcome, run
from tests.simulation.plan import STEPS_MIN, in_words, plan
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


@pytest.mark.slow
def test_the_command_plays_worlds_in_processes_of_their_own(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.simulation", "--seeds", "2", "--workers", "2"]
    subprocess.run([*command, "--json", str(figures)], capture_output=True, check=True)
    told = json.loads(figures.read_text())
    assert (told["seeds"], told["violations"]) == (2, [])


def test_a_plan_is_made_from_its_seed_alone() -> None:
    assert plan(7) == plan(7)
    assert plan(7) != plan(8)
    assert all(in_words(step) for step in plan(7))


def test_what_chance_alone_seldom_meets_is_told_in_many_plans() -> None:
    plans = [{step.action for step in plan(seed)} for seed in range(200)]
    assert sum("housekeeping" in actions for actions in plans) > 12
    assert sum("restore" in actions for actions in plans) > 24
    assert not any({"housekeeping", "restore"} <= actions for actions in plans)


def test_a_campaign_that_lacks_a_kind_of_fault_says_so() -> None:
    report = Report()
    report.add(_outcome({kind: 1 for kind in EXPECTED if kind != "clock step"}))
    assert report.weak() == ["clock step"]
    assert any("clock step" in line and "too few" in line for line in report.lines())
    assert '"weak": [\n  "clock step"\n ]' in report.json()


def test_what_came_of_the_faults_is_told_beside_them_and_judged_by_nobody() -> None:
    report = Report()
    report.add(_outcome({**dict.fromkeys(EXPECTED, 1), "journal unreadable": 1}))
    lines = report.lines()
    assert [line.split()[:2] for line in lines[lines.index("what came of them:") + 1 :]] == [
        ["journal", "unreadable"]
    ]
    assert not report.weak()


def test_a_world_in_which_nobody_calls_goes_on_until_enough_has_happened() -> None:
    scene = ("midnight", "budget", "client", "sidecar")
    poor = tuple(step for step in plan(3) if step.action in scene)
    outcome = run(poor, 3)
    assert not outcome.violation
    assert outcome.steps >= STEPS_MIN


def test_a_run_of_few_steps_is_a_failure_of_its_own() -> None:
    weak = judged(run((), 1))
    assert (weak.violation, weak.steps < STEPS_MIN) == ("weak", True)
    report = Report()
    report.add(weak)
    assert [each.seed for each in report.failed] == [1]
    assert report.steps == [weak.steps]
    assert judged(replace(weak, violation="", steps=STEPS_MIN)).violation == ""


def _outcome(faults: dict[str, int]) -> Outcome:
    made = run((), 1)
    made.faults.clear()
    made.faults.update(faults)
    return made
