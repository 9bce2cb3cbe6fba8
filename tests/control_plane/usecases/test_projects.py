"""Projects: made with a budget, unique by name, ended for good."""

import json

import pytest

from control_plane import limits
from control_plane.core.budgets import NewBudget
from control_plane.core.pages import Asked
from control_plane.core.projects import NewProject, ProjectChange, ProjectState, WhenTooLarge
from control_plane.store import budgets, keys
from control_plane.usecases import policy, projects
from protos.values.errors import (
    AlreadyExistsError,
    EtagMismatchError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from protos.values.selectors import Selector
from tests.control_plane.desk import USD, Desk


def test_a_project_is_made_with_a_monthly_budget_in_its_zone(desk: Desk) -> None:
    before = desk.policy_version()
    project, budget = desk.project("Acme Dental", 300 * USD)
    assert (project.time_zone, project.patience_ms) == ("Europe/Berlin", 20_000)
    assert budget.selector == Selector(project_id=project.project_id)
    assert (budget.window, budget.time_zone, budget.anchor_day) == ("month", "Europe/Berlin", 1)
    assert (budget.cap_nano_usd, budget.cap_version) == (300 * USD, 1)
    assert desk.policy_version() == before + 1
    entry = desk.last_entry()
    assert (entry.actor, entry.resource) == (desk.owner.principal_id, project.project_id)
    assert json.loads(entry.detail_json)["cap_nano_usd"] == 300 * USD


def test_a_project_is_found_by_id_and_by_name_in_any_case(desk: Desk) -> None:
    project, _ = desk.project("Zahnärzte Süd")
    for text in (project.project_id, "Zahnärzte Süd", "ZAHNÄRZTE SÜD"):
        assert desk.read(lambda tx, text=text: projects.get_project(tx, text)) == project  # type: ignore[misc]  # bound now
    with pytest.raises(NotFoundError):
        desk.read(lambda tx: projects.get_project(tx, "Zahnärzte"))


def test_a_name_is_free_again_when_its_project_is_archived(desk: Desk) -> None:
    first, _ = desk.project("Acme")
    with pytest.raises(AlreadyExistsError):
        desk.project("ACME")
    desk.do(lambda tx, act: projects.archive_project(tx, first.project_id, "left", act))
    second, _ = desk.project("Acme")
    assert second.project_id != first.project_id


def test_a_failed_change_leaves_nothing_behind(desk: Desk) -> None:
    desk.project("Acme")
    version, last = desk.policy_version(), desk.last_entry()
    with pytest.raises(AlreadyExistsError):
        desk.project("Acme")
    assert (desk.policy_version(), desk.last_entry()) == (version, last)
    assert len(desk.read(budgets.active)) == 1


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (NewProject(""), "project.display_name"),
        (NewProject(" Acme"), "project.display_name"),
        (NewProject("Ac\nme"), "project.display_name"),
        (NewProject("Ac\u202eme"), "project.display_name"),
        (NewProject("x" * 101), "project.display_name"),
        (NewProject("Acme", time_zone="Europe/Berlni"), "project.time_zone"),
        (NewProject("Acme", patience_ms=-1), "project.patience_ms"),
        (NewProject("Acme", patience_ms=600_001), "project.patience_ms"),
    ],
)
def test_bad_fields_are_named(desk: Desk, asked: NewProject, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        desk.do(lambda tx, act: projects.create_project(tx, asked, NewBudget(), act))
    assert caught.value.fields["field"] == field


@pytest.mark.parametrize(
    ("first", "field"),
    [
        (NewBudget(cap_nano_usd=-1), "budget.cap_nano_usd"),
        (NewBudget(window="year"), "budget.window"),
        (NewBudget(anchor_day=32), "budget.anchor_day"),
        (NewBudget(window="week", anchor_day=8), "budget.anchor_day"),
        (NewBudget(selector=Selector(workflow="x")), "budget"),
        (NewBudget(max_offline_ms=14_999), "budget.max_offline_ms"),
        (NewBudget(time_zone="Mars/Base"), "budget.time_zone"),
    ],
)
def test_bad_first_budgets_are_named(desk: Desk, first: NewBudget, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        desk.do(lambda tx, act: projects.create_project(tx, NewProject("A"), first, act))
    assert caught.value.fields["field"] == field


def test_an_update_needs_the_etag_that_was_read(desk: Desk) -> None:
    project, _ = desk.project()
    change = ProjectChange(display_name="Acme", patience_ms=5_000)
    changed = desk.do(
        lambda tx, act: projects.update_project(tx, project.project_id, project.etag, change, act)
    )
    assert (changed.display_name, changed.patience_ms) == ("Acme", 5_000)
    assert changed.time_zone == project.time_zone
    assert changed.etag != project.etag
    for etag, error in ((project.etag, EtagMismatchError), ("", InvalidArgumentError)):
        with pytest.raises(error):
            desk.do(
                lambda tx, act, etag=etag: projects.update_project(  # type: ignore[misc]  # bound now
                    tx, project.project_id, etag, change, act
                )
            )


def test_states_move_as_the_table_says(desk: Desk) -> None:
    project, _ = desk.project()
    name = project.project_id
    for move, state in (
        (projects.suspend_project, ProjectState.SUSPENDED),
        (projects.suspend_project, ProjectState.SUSPENDED),
        (projects.resume_project, ProjectState.ACTIVE),
        (projects.archive_project, ProjectState.ARCHIVED),
        (projects.archive_project, ProjectState.ARCHIVED),
    ):
        done = desk.do(lambda tx, act, move=move: move(tx, name, "because", act))  # type: ignore[misc]  # bound now
        assert done.state is state
    for move in (projects.suspend_project, projects.resume_project):
        with pytest.raises(FailedPreconditionError):
            desk.do(lambda tx, act, move=move: move(tx, name, "", act))  # type: ignore[misc]  # bound now


def test_an_archived_project_has_neither_keys_nor_budgets(desk: Desk) -> None:
    project, budget = desk.project()
    key, _ = desk.key(project)
    desk.do(lambda tx, act: projects.archive_project(tx, project.project_id, "left", act))
    ended_key = desk.read(lambda tx: keys.get(tx, key.key_id))
    ended_budget = desk.read(lambda tx: budgets.get(tx, budget.budget_id))
    assert ended_key is not None
    assert ended_key.revoked_unix_ms is not None
    assert ended_budget is not None
    assert ended_budget.archived_unix_ms is not None
    with pytest.raises(FailedPreconditionError):
        desk.key(project)


def test_pages_follow_each_other_and_belong_to_their_question(desk: Desk) -> None:
    names = [f"Client {number:02d}" for number in range(7)]
    for name in reversed(names):
        desk.project(name)
    seen: list[str] = []
    token = ""
    while True:
        page = desk.read(
            lambda tx, token=token: projects.list_projects(  # type: ignore[misc]  # bound now
                tx, Asked(3, token), show_archived=False
            )
        )
        seen += [project.display_name for project in page.items]
        token = page.next_token
        if not token:
            break
    assert seen == names
    first = desk.read(lambda tx: projects.list_projects(tx, Asked(3), show_archived=False))
    for bad in (first.next_token[:-4], "x", "W10=", first.next_token + "AAAA"):
        with pytest.raises(InvalidArgumentError):
            desk.read(
                lambda tx, bad=bad: projects.list_projects(  # type: ignore[misc]  # bound now
                    tx, Asked(3, bad), show_archived=False
                )
            )
    with pytest.raises(InvalidArgumentError) as caught:
        desk.read(
            lambda tx: projects.list_projects(tx, Asked(3, first.next_token), show_archived=True)
        )
    assert "another question" in caught.value.message


def test_what_becomes_of_calls_that_do_not_fit_is_told_to_sidecars(desk: Desk) -> None:
    project, _ = desk.project()
    assert (project.when_too_large, project.hosted_calls) == (WhenTooLarge.CLAMP, 0)
    change = ProjectChange(when_too_large=WhenTooLarge.COUNT, hosted_calls=3)
    version = desk.policy_version()
    changed = desk.do(
        lambda tx, act: projects.update_project(tx, project.project_id, project.etag, change, act)
    )
    assert desk.policy_version() == version + 1
    assert '"when_too_large": "COUNT"' in desk.last_entry().detail_json
    sidecar = desk.sidecar()
    told = desk.read(lambda tx: policy.snapshot(tx, sidecar, desk.vault, desk.now)).projects[0]
    assert (told.when_too_large, told.hosted_calls) == (WhenTooLarge.COUNT, 3)
    kept = ProjectChange(patience_ms=5_000)
    changed = desk.do(
        lambda tx, act: projects.update_project(tx, project.project_id, changed.etag, kept, act)
    )
    assert (changed.when_too_large, changed.hosted_calls) == (WhenTooLarge.COUNT, 3)
    too_many = ProjectChange(hosted_calls=limits.HOSTED_CALLS_MAX + 1)
    with pytest.raises(InvalidArgumentError) as refused:
        desk.do(
            lambda tx, act: projects.update_project(
                tx, project.project_id, changed.etag, too_many, act
            )
        )
    assert refused.value.fields["field"] == "project.hosted_call_count"
