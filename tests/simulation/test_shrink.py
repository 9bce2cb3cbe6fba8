"""A failing run is cut to what it takes to fail."""

import itertools

import pytest

from sidecar.runtime import recovery
from tests.simulation import campaign
from tests.simulation.engine import Outcome, run
from tests.simulation.plan import Plan, Step, plan
from tests.simulation.shrink import as_source, shrink

PATIENCE_S = 400
"""Far more than it takes, on a busy machine too: what is cut in haste is not cut to the end."""
SCENE = (Step(0, "midnight", ms=1_000), Step(0, "sidecar", amount=1_000))


def test_only_the_steps_that_it_takes_are_left() -> None:
    acts = tuple(Step(1_000 + number, "kill", who=number) for number in range(40))
    wanted = {SCENE[1], acts[7], acts[31]}
    asked = itertools.count()

    def fails(part: Plan) -> bool:
        next(asked)
        return wanted <= set(part)

    assert set(shrink(SCENE + acts, fails, seconds=PATIENCE_S)) == wanted
    assert next(asked) < 150


def test_a_plan_that_fails_anyway_is_cut_to_nothing() -> None:
    acts = tuple(Step(1_000 + number, "kill") for number in range(5))
    assert shrink(acts, lambda _: True, seconds=PATIENCE_S) == ()


def test_without_time_the_plan_stays_as_it_is() -> None:
    acts = tuple(Step(1_000 + number, "kill") for number in range(5))
    assert shrink(acts, lambda _: True, seconds=0) == acts


@pytest.mark.slow
def test_a_planted_bug_is_found_cut_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(number: int, body: bytes, *_: object) -> None:
        """A hold that a crash left open is simply forgotten."""

    monkeypatch.setattr(recovery, "_charge", forget)
    failed = next(found for seed in range(20) if (found := run(plan(seed), seed)).violation)
    assert failed.violation in {"I1 proof", "I2 ledger"}
    smallest = campaign.cut(failed, seconds=PATIENCE_S)
    assert 0 < sum(step.action in ("call", "encore") for step in smallest) < 10
    told = "\n".join(campaign.story(failed, smallest))
    assert f"broke {failed.violation}" in told
    assert f"make simulate SEED={failed.seed}" in told
    again = run(eval(as_source(smallest), {"Step": Step}), failed.seed)  # noqa: S307 - made above
    assert again.violation == failed.violation


def test_a_story_of_no_steps_is_a_run_too() -> None:
    quiet: Outcome = run((), 1)
    assert not quiet.violation
