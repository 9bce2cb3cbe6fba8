"""Budgets: selector and window for ever, the cap by numbered decisions, usage never reset."""

from dataclasses import replace
from functools import partial

import pytest

from control_plane.core.budgets import Budget, BudgetChange, CapChange, NewBudget, SetCap
from control_plane.core.leases import PeriodKey
from control_plane.core.pages import Asked
from control_plane.store import budgets as store
from control_plane.store import periods
from control_plane.store.engine import Tx
from control_plane.usecases import budgets
from control_plane.usecases.budgets import ShownBudget
from protos.values.errors import (
    EtagMismatchError,
    FailedPreconditionError,
    InvalidArgumentError,
    LimitExceededError,
    NotFoundError,
)
from protos.values.selectors import Selector
from tests.control_plane.desk import DAY_MS, USD, Desk


def make(desk: Desk, **fields: object) -> Budget:
    asked = NewBudget(**fields)  # type: ignore[arg-type]  # a test's own fields
    return desk.do(lambda tx, act: budgets.create_budget(tx, asked, "made", act)).budget


def decide(desk: Desk, wish: SetCap) -> tuple[ShownBudget, CapChange]:
    shown, change, _ = desk.do(lambda tx, act: budgets.set_cap(tx, wish, act))
    return shown, change


def cap_of(desk: Desk, budget: Budget, partition: str = "") -> tuple[int | None, int]:
    """The cap and its number in the period that is now."""
    state = desk.do_alone(lambda tx: periods.ensure(tx, budget.budget_id, partition, desk.now))
    assert state is not None
    return state.cap_nano_usd, state.cap_version


def spend(desk: Desk, budget: Budget, amount_nano_usd: int) -> PeriodKey:
    def book(tx: Tx) -> PeriodKey:
        state = periods.ensure(tx, budget.budget_id, "", desk.now)
        assert state is not None
        assert periods.grant(tx, state.key, amount_nano_usd) is not None
        periods.move(tx, state.key, spent_nano_usd=amount_nano_usd)
        return state.key

    return desk.do_alone(book)


def test_a_cap_for_good_is_in_force_now_and_later(desk: Desk) -> None:
    _, budget = desk.project(cap_nano_usd=300 * USD)
    assert cap_of(desk, budget) == (300 * USD, 1)
    spend(desk, budget, 40 * USD)
    shown, change = decide(desk, SetCap(budget.budget_id, 500 * USD, reason="more leads"))
    assert (change.old_cap_nano_usd, change.new_cap_nano_usd) == (300 * USD, 500 * USD)
    assert (change.cap_version, change.period_id, change.reason) == (2, "", "more leads")
    assert change.actor == desk.owner.principal_id
    assert shown.period is not None
    assert shown.period.spent_nano_usd == 40 * USD
    assert cap_of(desk, budget) == (500 * USD, 2)
    desk.pass_ms(40 * DAY_MS)
    assert cap_of(desk, budget) == (500 * USD, 2)


def test_a_cap_for_this_period_is_gone_with_it(desk: Desk) -> None:
    _, budget = desk.project(cap_nano_usd=300 * USD)
    wish = SetCap(budget.budget_id, 900 * USD, this_period_only=True)
    shown, change = decide(desk, wish)
    assert change.period_id == "2026-11-01"
    assert shown.budget.cap_nano_usd == 300 * USD
    assert shown.period is not None
    assert shown.period.cap_nano_usd == 900 * USD
    # The period's row is made after the decision, and still knows it.
    assert cap_of(desk, budget) == (900 * USD, 2)
    desk.pass_ms(40 * DAY_MS)
    assert cap_of(desk, budget) == (300 * USD, 2)


def test_the_newest_decision_wins_whichever_kind_it_is(desk: Desk) -> None:
    _, budget = desk.project(cap_nano_usd=300 * USD)
    decide(desk, SetCap(budget.budget_id, 900 * USD, this_period_only=True))
    decide(desk, SetCap(budget.budget_id, 200 * USD))
    assert cap_of(desk, budget) == (200 * USD, 3)
    decide(desk, SetCap(budget.budget_id, 250 * USD, this_period_only=True))
    assert cap_of(desk, budget) == (250 * USD, 4)
    desk.pass_ms(40 * DAY_MS)
    assert cap_of(desk, budget) == (200 * USD, 4)


def test_a_next_period_that_is_open_already_keeps_its_cap_and_learns_the_number(
    desk: Desk,
) -> None:
    _, budget = desk.project(cap_nano_usd=300 * USD)
    cap_of(desk, budget)
    following = desk.do_alone(
        lambda tx: periods.ensure(tx, budget.budget_id, "", desk.now + 20 * DAY_MS)
    )
    assert following is not None
    decide(desk, SetCap(budget.budget_id, 900 * USD, this_period_only=True))
    later = desk.read(lambda tx: periods.get(tx, following.key))
    assert later is not None
    assert (later.cap_nano_usd, later.cap_version) == (300 * USD, 2)
    decide(desk, SetCap(budget.budget_id, 100 * USD))
    later = desk.read(lambda tx: periods.get(tx, following.key))
    assert later is not None
    assert (later.cap_nano_usd, later.cap_version) == (100 * USD, 3)


def test_a_decision_reaches_every_partition(desk: Desk) -> None:
    project, _ = desk.project()
    selector = Selector(project_id=project.project_id)
    budget = make(desk, selector=selector, split_by="workflow", cap_nano_usd=USD)
    assert cap_of(desk, budget, "one") == cap_of(desk, budget, "two") == (USD, 1)
    decide(desk, SetCap(budget.budget_id, 2 * USD))
    assert cap_of(desk, budget, "one") == cap_of(desk, budget, "two") == (2 * USD, 2)
    assert cap_of(desk, budget, "three") == (2 * USD, 2)
    assert (
        desk.read(lambda tx: budgets.get_budget(tx, budget.budget_id, desk.now, desk.levels)).period
        is None
    )


def test_a_cap_may_fall_below_what_is_spent_and_leased(desk: Desk) -> None:
    _, budget = desk.project(cap_nano_usd=300 * USD)
    key = spend(desk, budget, 100 * USD)
    shown, _ = decide(desk, SetCap(budget.budget_id, 50 * USD))
    assert shown.period is not None
    assert (shown.period.cap_nano_usd, shown.period.spent_nano_usd) == (50 * USD, 100 * USD)
    assert desk.do_alone(lambda tx: periods.grant(tx, key, 1)) is None


def test_a_cap_can_be_taken_away_and_come_back(desk: Desk) -> None:
    _, budget = desk.project(cap_nano_usd=300 * USD)
    shown, _ = decide(desk, SetCap(budget.budget_id, None))
    assert not shown.budget.is_capped
    assert cap_of(desk, budget) == (None, 2)
    with pytest.raises(FailedPreconditionError):
        decide(desk, SetCap(budget.budget_id, USD, this_period_only=True))
    shown, _ = decide(desk, SetCap(budget.budget_id, USD))
    assert cap_of(desk, budget) == (USD, 3)
    with pytest.raises(InvalidArgumentError):
        decide(desk, SetCap(budget.budget_id, None, this_period_only=True))


def test_a_decision_on_an_older_budget_is_refused(desk: Desk) -> None:
    _, budget = desk.project()
    decide(desk, SetCap(budget.budget_id, USD, etag=budget.etag))
    with pytest.raises(EtagMismatchError):
        decide(desk, SetCap(budget.budget_id, 2 * USD, etag=budget.etag))
    assert cap_of(desk, budget)[0] == USD


def test_the_history_of_a_cap_is_complete_and_newest_first(desk: Desk) -> None:
    _, budget = desk.project(cap_nano_usd=1)
    for cap in range(2, 6):
        decide(desk, SetCap(budget.budget_id, cap))
    seen: list[int] = []
    token = ""
    while True:
        page = desk.read(
            partial(budgets.list_cap_changes, asked=Asked(2, token), budget_id=budget.budget_id)
        )
        seen += [change.cap_version for change in page.items]
        token = page.next_token
        if not token:
            break
    assert seen == [5, 4, 3, 2, 1]


def test_reach_tells_by_when_a_cap_binds(desk: Desk) -> None:
    _, budget = desk.project()
    now = desk.now
    _, _, reach = desk.do(lambda tx, act: budgets.set_cap(tx, SetCap(budget.budget_id, 1), act))
    assert reach.guaranteed_unix_ms == now + 375_000 + 1_000


def test_a_first_cap_binds_when_the_authority_without_it_ends(desk: Desk) -> None:
    project, own = desk.project(cap_nano_usd=USD)
    narrow = Selector(project_id=project.project_id, workflow="slow")
    inside, agency = make(desk, selector=narrow, max_offline_ms=15_000), make(desk)

    def binds_after_ms(budget: Budget) -> int:
        wish = SetCap(budget.budget_id, USD)
        _, decided, reach = desk.do(lambda tx, act: budgets.set_cap(tx, wish, act))
        return reach.guaranteed_unix_ms - decided.changed_unix_ms

    change = BudgetChange(max_offline_ms=DAY_MS)
    desk.do(lambda tx, act: budgets.update_budget(tx, own.budget_id, own.etag, change, act))
    # Every call inside needs a lease of the project's budget too, which lasts for a day.
    assert binds_after_ms(inside) == DAY_MS + DAY_MS // 4 + 1_000
    # The calls of the agency are those of its projects.
    assert binds_after_ms(agency) == DAY_MS + DAY_MS // 4 + 1_000


def test_a_first_cap_of_a_project_without_any_binds_as_if_by_a_lease(desk: Desk) -> None:
    _, budget = desk.project(cap_nano_usd=None)
    now = desk.now
    _, _, reach = desk.do(lambda tx, act: budgets.set_cap(tx, SetCap(budget.budget_id, 1), act))
    assert reach.guaranteed_unix_ms == now + 375_000 + 1_000


def test_a_shorter_max_offline_does_not_shorten_what_was_promised_before(desk: Desk) -> None:
    _, budget = desk.project()

    def renamed(max_offline_ms: int, etag: str) -> Budget:
        change = BudgetChange(max_offline_ms=max_offline_ms)
        return desk.do(
            lambda tx, act: budgets.update_budget(tx, budget.budget_id, etag, change, act)
        ).budget

    longer = renamed(DAY_MS, budget.etag)
    changed_at = desk.now
    shorter = renamed(15_000, longer.etag)
    _, _, reach = desk.do(lambda tx, act: budgets.set_cap(tx, SetCap(budget.budget_id, 1), act))
    assert shorter.max_offline_ms == 15_000
    assert reach.guaranteed_unix_ms == changed_at + DAY_MS + DAY_MS // 4 + 1_000


def test_the_last_budget_of_a_project_cannot_end(desk: Desk) -> None:
    project, first = desk.project()
    with pytest.raises(FailedPreconditionError):
        desk.do(lambda tx, act: budgets.archive_budget(tx, first.budget_id, "", act))
    second = make(desk, selector=Selector(project_id=project.project_id), cap_nano_usd=USD)
    key = spend(desk, first, USD)
    ended = desk.do(lambda tx, act: budgets.archive_budget(tx, first.budget_id, "", act)).budget
    assert ended.archived_unix_ms is not None
    assert desk.do_alone(lambda tx: periods.grant(tx, key, 1)) is None
    assert [b.budget_id for b in desk.read(store.active)] == [second.budget_id]
    with pytest.raises(FailedPreconditionError):
        decide(desk, SetCap(first.budget_id, USD))


def test_an_agency_budget_counts_every_project_and_may_end(desk: Desk) -> None:
    agency = make(desk, window="once", cap_nano_usd=USD)
    assert agency.selector == Selector()
    assert agency.time_zone == "Europe/Berlin"
    shown = desk.read(lambda tx: budgets.get_budget(tx, agency.budget_id, desk.now, desk.levels))
    assert shown.period is not None
    assert (shown.period.span.period_id, shown.period.span.end_unix_ms) == ("once", None)
    desk.do(lambda tx, act: budgets.archive_budget(tx, agency.budget_id, "", act))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"selector": Selector(key_id="key_" + "0" * 26)}, "budget.key_id"),
        ({"selector": Selector(model="gpt-9")}, "budget.model"),
        ({"selector": Selector(region="-")}, "budget.region"),
        ({"selector": Selector(workflow="w"), "split_by": "workflow"}, "budget.split_by"),
        ({"cap_nano_usd": -1}, "budget.cap_nano_usd"),
        ({"cap_nano_usd": 2**63}, "budget.cap_nano_usd"),
        ({"window": "day", "anchor_day": 2}, "budget.anchor_day"),
        ({"selector": Selector(project_id="prj_x")}, "budget.project_id"),
    ],
)
def test_bad_fields_are_named(desk: Desk, fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        make(desk, **fields)
    assert caught.value.fields["field"] == field


def test_a_budget_of_a_strange_key_is_refused(desk: Desk) -> None:
    project, _ = desk.project()
    other, _ = desk.project("Other")
    key, _ = desk.key(other)
    with pytest.raises(NotFoundError):
        make(desk, selector=Selector(project_id=project.project_id, key_id=key.key_id))


def test_a_model_is_kept_by_its_id(desk: Desk) -> None:
    assert make(desk, selector=Selector(model="gpt-4o-2024-08-06")).selector.model == "gpt-4o"


def test_no_call_can_match_more_budgets_than_fit_on_a_call(desk: Desk) -> None:
    project, _ = desk.project()
    own = Selector(project_id=project.project_id)
    for number in range(40):
        make(desk, selector=replace(own, workflow=f"w{number}"), cap_nano_usd=USD)
    for _ in range(30):
        make(desk, selector=own, cap_nano_usd=USD)
    with pytest.raises(LimitExceededError):
        make(desk, selector=own, cap_nano_usd=USD)
    with pytest.raises(LimitExceededError):
        make(desk, cap_nano_usd=USD)
    make(desk, selector=replace(own, workflow="another"), cap_nano_usd=USD)


def test_periods_are_listed_newest_first_with_what_is_held(desk: Desk) -> None:
    _, budget = desk.project(cap_nano_usd=300 * USD)
    for _ in range(3):
        spend(desk, budget, USD)
        desk.pass_ms(31 * DAY_MS)
    seen: list[str] = []
    token = ""
    while True:
        page = desk.read(
            partial(
                budgets.list_periods,
                asked=Asked(2, token),
                budget_id=budget.budget_id,
                partition="",
                levels=desk.levels,
            )
        )
        seen += [period.span.period_id for period in page.items]
        token = page.next_token
        if not token:
            break
    assert seen == ["2027-01-01", "2026-12-01", "2026-11-01"]
