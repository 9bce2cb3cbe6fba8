"""A snapshot holds what a sidecar's scope needs to decide alone, and nothing of anybody else."""

from control_plane.core.budgets import NewBudget
from control_plane.core.policy import Policy
from control_plane.core.sidecars import Sidecar
from control_plane.usecases import budgets, keys, policy, prices, projects
from protos.values.selectors import Selector
from tests.control_plane.desk import DAY_MS, HOUR_MS, USD, Desk
from tests.control_plane.usecases.test_prices import price


def told(desk: Desk, sidecar: Sidecar) -> Policy:
    return desk.read(lambda tx: policy.snapshot(tx, sidecar, desk.vault, desk.now))


def test_a_scope_sees_its_projects_and_the_agency_alone(desk: Desk) -> None:
    mine, my_budget = desk.project("Mine")
    theirs, their_budget = desk.project("Theirs")
    my_key, _ = desk.key(mine, workflow="w", models=("gpt-4o",))
    desk.key(theirs)
    agency = desk.do(
        lambda tx, act: budgets.create_budget(tx, NewBudget(cap_nano_usd=USD), "", act)
    ).budget
    snapshot = told(desk, desk.sidecar("host", (mine.project_id,)))
    assert [project.project_id for project in snapshot.projects] == [mine.project_id]
    assert [key.key_id for key in snapshot.keys] == [my_key.key_id]
    assert (snapshot.keys[0].workflow, snapshot.keys[0].models) == ("w", ("gpt-4o",))
    assert {budget.budget_id for budget in snapshot.budgets} == {
        my_budget.budget_id,
        agency.budget_id,
    }
    assert "Theirs" not in repr(snapshot)
    everything = told(desk, desk.sidecar("all"))
    assert len(everything.projects) == 2
    assert their_budget.budget_id in {budget.budget_id for budget in everything.budgets}
    assert everything.version == desk.policy_version()


def test_an_ended_secret_is_told_of_for_a_while(desk: Desk) -> None:
    project, _ = desk.project()
    sidecar = desk.sidecar()
    key, _ = desk.key(project)
    desk.do(lambda tx, act: keys.rotate_key(tx, key.key_id, HOUR_MS, None, act))
    assert [secret.revoked for secret in told(desk, sidecar).keys] == [False, False]
    desk.pass_ms(2 * HOUR_MS)
    overlapped = told(desk, sidecar).keys[1]
    assert 0 < overlapped.expires_unix_ms < desk.now
    desk.do(lambda tx, act: keys.revoke_key(tx, key.key_id, "", "", act))
    assert [secret.revoked for secret in told(desk, sidecar).keys] == [True, True]
    desk.pass_ms(8 * DAY_MS)
    assert told(desk, sidecar).keys == ()


def test_suspended_and_archived_projects_are_told_of_as_what_they_are(desk: Desk) -> None:
    project, _ = desk.project()
    sidecar = desk.sidecar()
    desk.key(project)
    desk.do(lambda tx, act: projects.suspend_project(tx, project.project_id, "", act))
    assert told(desk, sidecar).projects[0].state.value == "SUSPENDED"
    desk.do(lambda tx, act: projects.archive_project(tx, project.project_id, "", act))
    snapshot = told(desk, sidecar)
    assert snapshot.projects[0].state.value == "ARCHIVED"
    assert snapshot.keys[0].revoked
    assert snapshot.budgets == ()
    desk.pass_ms(8 * DAY_MS)
    assert told(desk, sidecar).projects == ()


def test_prices_to_come_are_there_so_that_a_cut_off_sidecar_changes_over(desk: Desk) -> None:
    sidecar = desk.sidecar()
    later = desk.now + 30 * DAY_MS
    desk.do(lambda tx, act: prices.set_price(tx, price(), None, "", act))
    desk.do(lambda tx, act: prices.set_price(tx, price(rate_pico_usd=9), later, "", act))

    def rates() -> list[int]:
        return [
            found.model_price.tiers[0].rates_pico_usd["input"]
            for found in told(desk, sidecar).prices
            if found.model_price.model == "house-model"
        ]

    assert rates() == [1_000, 9]
    desk.clock.now_unix_ms = later + 60_000
    assert rates() == [1_000, 9]
    desk.clock.now_unix_ms = later + 2 * HOUR_MS
    assert rates() == [9]


def test_an_ended_budget_is_gone(desk: Desk) -> None:
    project, first = desk.project()
    wanted = NewBudget(selector=Selector(project_id=project.project_id), cap_nano_usd=USD)
    second = desk.do(lambda tx, act: budgets.create_budget(tx, wanted, "", act)).budget
    desk.do(lambda tx, act: budgets.archive_budget(tx, first.budget_id, "", act))
    snapshot = told(desk, desk.sidecar())
    assert [budget.budget_id for budget in snapshot.budgets] == [second.budget_id]
