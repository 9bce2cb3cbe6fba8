"""The quick part of the benchmark: no cap is passed, by ours never and by others as they say."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.leasing import report, rivals
from tests.leasing.figures import OURS, Figures, Job, measure
from tests.leasing.workloads import CENT, USD, calls, cases, even, of_clients, zipf
from tests.leasing.world import Case, World


@pytest.mark.parametrize("loss", [0, 10])
@pytest.mark.parametrize(
    ("name", "seconds"), [("50-cents-on-5", 25), ("three-budgets", 8), ("200-on-5", 12)]
)
def test_no_cap_is_passed_at_any_instant(name: str, seconds: int, loss: int) -> None:
    world = World(cases()[name], seed=loss, loss_percent=loss)
    run = world.play(seconds)
    assert run.truth.passed
    assert run.truth.most_over == 0
    assert run.truth.most_committed_over == 0
    for period in world.ledger.periods.values():
        assert period.cap_nano_usd is not None
        outstanding = sum(
            lease.outstanding_nano_usd for lease in world.ledger.leases[period.key].values()
        )
        assert period.allocated_nano_usd == period.spent_nano_usd + outstanding
        assert period.allocated_nano_usd <= period.cap_nano_usd


def small() -> Case:
    """Four sidecars empty one dollar within seconds."""
    load = calls(count=400, rate=40, worst=even(CENT // 2, CENT), sidecar=zipf(4, 0.5), lasts_s=0.5)
    return replace(cases()["20-on-100"], caps={"a-client": USD}, sidecars=4, arrivals=load)


def test_a_cap_is_spent_to_the_last_cent_and_no_payable_call_is_refused() -> None:
    truth = World(small(), seed=1, loss_percent=0).play().truth
    assert truth.most_over == 0
    assert not [each for each in truth.refused if each.payable]
    assert truth.billed["a-client"] > 0.99 * USD


def turning() -> Case:
    """Two sidecars, three clients, and a month that turns after half a minute."""
    known = cases()["agency-30-turn"]
    load = partial(calls, worst=even(CENT, 2 * CENT), sidecar=zipf(2, 0), target=of_clients(3))
    return replace(
        known,
        sidecars=2,
        arrivals=load(count=60, rate=20),
        before=load(count=600, rate=20, first=60),
        turns_s=30,
    )


def test_at_the_turn_of_a_month_nobody_asks_for_clients_it_knows() -> None:
    run = World(turning(), seed=1, loss_percent=0).play()
    assert len(run.truth.passed) == 60
    assert run.turned.passed == 600 - len(run.truth.refused_before)
    assert not [call for call in run.truth.passed if call.opened_us > call.came_us]
    assert run.truth.most_over == 0


@pytest.mark.parametrize("rival", ["LiteLLM < 1.84", "LiteLLM >= 1.84", "Bifrost"])
def test_check_then_charge_passes_the_cap(rival: str) -> None:
    truth, _ = rivals.play(small(), rival, seed=1)
    assert truth.most_over > 0


def test_leases_of_one_size_keep_the_cap_but_refuse_what_could_be_paid() -> None:
    truth, idle = rivals.play(small(), "fixed leases", seed=1)
    assert truth.most_over == 0
    assert idle > 0
    assert [each for each in truth.refused if each.payable]


def figures(**more: Any) -> Figures:
    plain = measure(Job("50-cents-on-5", "fixed leases", 0, 1))
    shown = replace(plain, job=Job("20-on-100", OURS, 0, 1), overshoot=0, payable=0, end=1.0)
    return replace(replace(shown, first_refusal=0.99, far=0.01, near=1.0, near_asked=1.0), **more)


def failed(found: Sequence[Figures]) -> list[str]:
    return [target.claim for target in report.targets(found) if not target.held]


def test_a_target_that_is_missed_is_named() -> None:
    assert failed([figures()]) == []
    assert len(failed([figures(overshoot=1)])) == 1
    assert len(failed([figures(payable=1)])) == 1
    assert len(failed([figures(end=0.998)])) == 1
    assert len(failed([figures(near=1.6)])) == 1
    assert len(failed([figures(near_asked=1.6)])) == 1
    cold = figures(far=0.3)
    assert failed([replace(cold, job=Job("agency-30", OURS, 0, 1))]) == []
    assert len(failed([replace(cold, job=Job("agency-30-turn", OURS, 0, 1))])) == 1
    lossy = replace(figures(payable=1), job=Job("20-on-100", OURS, 1, 1), calls=1_000)
    assert failed([lossy]) == []
    assert len(failed([replace(lossy, calls=999)])) == 1
    early = figures()
    assert len(failed([replace(early, first_refusal=0.93)])) == 1
