"""A decision about a cap is taken back whole, once, and not too late."""

import pytest

from control_plane import limits
from control_plane.core.budgets import Budget, SetCap
from control_plane.core.raises import proposed_cap_nano_usd
from control_plane.store import budgets as store
from control_plane.usecases import budgets
from protos.values.errors import EtagMismatchError, FailedPreconditionError, NotFoundError
from tests.control_plane.desk import DAY_MS, USD, Desk


def decide(desk: Desk, budget: Budget, usd: int | None, *, period: bool = False) -> int:
    cap = None if usd is None else usd * USD
    wish = SetCap(budget.budget_id, cap, this_period_only=period)
    return desk.do(lambda tx, act: budgets.set_cap(tx, wish, act))[1].cap_version


def undo(desk: Desk, budget: Budget, version: int) -> int:
    return desk.do(lambda tx, act: budgets.undo_cap(tx, budget.budget_id, version, "a slip", act))[
        1
    ].cap_version


def caps(desk: Desk, budget: Budget) -> tuple[int | None, int | None]:
    """The cap of this period and the cap for good, in dollars."""
    period_id = budget.span_at(desk.now).period_id
    now = desk.read(lambda tx: store.cap_in_force(tx, budget.budget_id, period_id))
    kept = desk.read(lambda tx: store.get(tx, budget.budget_id))
    assert kept is not None
    good = kept.cap_nano_usd
    return (None if now is None else now // USD, None if good is None else good // USD)


def test_whatever_was_decided_is_put_back(desk: Desk) -> None:
    _, budget = desk.project()
    for usd, period in ((500, True), (400, False), (100, False), (None, False), (900, False)):
        before = caps(desk, budget)
        undo(desk, budget, decide(desk, budget, usd, period=period))
        assert caps(desk, budget) == before
        if usd is not None and usd < 900:
            decide(desk, budget, usd, period=period)


def test_a_raise_for_good_over_one_for_a_period_gives_both_back(desk: Desk) -> None:
    _, budget = desk.project()
    decide(desk, budget, 500, period=True)
    assert caps(desk, budget) == (500, 300)
    newest = decide(desk, budget, 400)
    assert caps(desk, budget) == (400, 400)
    assert undo(desk, budget, newest) == newest + 2
    assert caps(desk, budget) == (500, 300)


def test_a_second_press_takes_nothing_else_back(desk: Desk) -> None:
    _, budget = desk.project()
    newest = decide(desk, budget, 500)
    undo(desk, budget, newest)
    with pytest.raises(EtagMismatchError, match="changed again since"):
        undo(desk, budget, newest)
    assert caps(desk, budget) == (300, 300)


@pytest.mark.parametrize("late", [limits.UNDO_MS + 1, DAY_MS])
def test_after_ten_minutes_it_stands(desk: Desk, late: int) -> None:
    _, budget = desk.project()
    newest = decide(desk, budget, 500)
    desk.pass_ms(late)
    with pytest.raises(FailedPreconditionError, match="older than 10 minutes"):
        undo(desk, budget, newest)


def test_what_a_budget_began_with_is_no_decision_to_take_back(desk: Desk) -> None:
    _, budget = desk.project()
    with pytest.raises(FailedPreconditionError, match="began with"):
        undo(desk, budget, 1)
    with pytest.raises(NotFoundError):
        undo(desk, budget, 7)


def test_a_decision_for_a_period_that_is_over_stands(desk: Desk) -> None:
    _, budget = desk.project()
    span = budget.span_at(desk.now)
    assert span.end_unix_ms is not None
    desk.pass_ms(span.end_unix_ms - desk.now - 1_000)
    newest = decide(desk, budget, 500, period=True)
    desk.pass_ms(2_000)
    with pytest.raises(FailedPreconditionError, match="which is over"):
        undo(desk, budget, newest)


@pytest.mark.parametrize(
    ("cap", "spent", "forecast", "proposed"),
    [
        (200, 200, 0, 250),
        (1000, 871, 0, 1250),
        (300, 121, 311, 380),
        (200, 200, 261, 290),
        (5, 5, 0, 6.25),
        (0, 0, 0, 10),
        (100, 400, 0, 440),
    ],
)
def test_what_is_proposed_is_round_and_lasts(
    cap: int, spent: int, forecast: int, proposed: float
) -> None:
    found = proposed_cap_nano_usd(cap * USD, spent * USD, forecast * USD)
    assert found == int(proposed * USD)
    assert found * 4 >= cap * USD * 5
    assert found * 10 >= max(spent, forecast) * USD * 11
