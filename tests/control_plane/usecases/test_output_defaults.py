"""Defaults of output are set by people, or from what the ledger shows, and told to sidecars."""

import pytest

from control_plane import limits
from control_plane.core.output_defaults import OutputDefault, Scope
from control_plane.core.pages import Asked
from control_plane.usecases import output_defaults, policy, projects
from protos.values.errors import FailedPreconditionError, LimitExceededError, NotFoundError
from tests.control_plane.desk import Desk
from tests.control_plane.leasing_world import CENT, USD, World
from tests.control_plane.usecases.test_rate_cards import booked

ALL = Scope("", "", "")


def put(desk: Desk, scope: Scope, limit: int) -> OutputDefault:
    wanted = OutputDefault(scope, limit)
    return desk.do(lambda tx, act: output_defaults.set_output_default(tx, wanted, "why", act))


def listed(desk: Desk, project_id: str = "") -> list[tuple[Scope, int]]:
    page = desk.read(lambda tx: output_defaults.list_output_defaults(tx, Asked(), project_id))
    return [(each.scope, each.limit_count) for each in page.items]


def told(desk: Desk, *projects_of_sidecar: str) -> list[tuple[Scope, int]]:
    sidecar = desk.sidecar(f"host {desk.now}", projects_of_sidecar)
    snapshot = desk.read(lambda tx: policy.snapshot(tx, sidecar, desk.vault, desk.now))
    return [(each.scope, each.limit_count) for each in snapshot.output_defaults]


def test_a_default_is_set_replaced_told_and_taken_away(desk: Desk) -> None:
    project, _ = desk.project()
    own = Scope(project.project_id, "leads", "gpt-5")
    version = desk.policy_version()
    put(desk, own, 1_000)
    put(desk, own, 2_000)
    put(desk, ALL, 8_000)
    assert desk.policy_version() == version + 3
    assert listed(desk) == [(ALL, 8_000), (own, 2_000)]
    assert listed(desk, project.project_id) == [(own, 2_000)]
    assert '"limit_count": 8000' in desk.last_entry().detail_json
    desk.do(lambda tx, act: output_defaults.delete_output_default(tx, ALL, "", act))
    assert listed(desk) == told(desk) == [(own, 2_000)]
    with pytest.raises(NotFoundError):
        desk.do(lambda tx, act: output_defaults.delete_output_default(tx, ALL, "", act))


def test_a_sidecar_hears_of_its_own_clients_alone(desk: Desk) -> None:
    acme, _ = desk.project("Acme")
    beta, _ = desk.project("Beta")
    put(desk, Scope(acme.project_id, "", ""), 100)
    put(desk, Scope(beta.project_id, "", ""), 200)
    put(desk, ALL, 300)
    assert [limit for _, limit in told(desk, beta.project_id)] == [300, 200]


def test_defaults_are_bounded_and_need_a_client_that_lives(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = desk.project()
    monkeypatch.setattr(limits, "SCOPE_OUTPUT_DEFAULTS_MAX", 1)
    own = Scope(project.project_id, "", "")
    put(desk, own, 100)
    put(desk, own, 200)
    put(desk, ALL, 100)
    with pytest.raises(LimitExceededError):
        put(desk, own._replace(workflow="leads"), 100)
    desk.do(lambda tx, act: projects.archive_project(tx, project.project_id, "", act))
    with pytest.raises(FailedPreconditionError):
        put(desk, own, 300)
    with pytest.raises(NotFoundError):
        put(desk, Scope("prj_" + "0" * 26, "", ""), 300)


def test_what_the_ledger_shows_is_proposed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PROPOSAL_ANSWERS_MIN", 3)
    ref, sidecar = world.budget("b", 10 * USD), world.sidecar("a")
    common = {"workflow": "leads", "requested_model": "gpt-5"}
    for output in (300, 500, 400):
        booked(world, sidecar, ref, CENT, quantities={"output": output, "reasoning": 50}, **common)
    # Neither what is estimated nor what failed says how long answers are.
    booked(world, sidecar, ref, CENT, quantities={"output": 9_000}, estimated=True, **common)
    booked(world, sidecar, ref, CENT, quantities={"output": 9_000}, outcome="broken", **common)

    def ask(margin: int = 0, start: int | None = None) -> output_defaults.Proposals:
        return world.store.read(
            lambda tx: output_defaults.query_output_default_proposals(
                tx, "", start, margin, world.now
            )
        ).result()

    [found] = ask().items
    assert (found.scope.workflow, found.scope.model) == ("leads", "gpt-5")
    assert (found.answer_count, found.longest_count, found.limit_count) == (3, 500, 768)
    assert ask(300).items[0].limit_count == 1_536
    assert ask().call_count == 5
    assert not ask().cut
    assert ask(start=world.now + 1).items == ()
    monkeypatch.setattr(limits, "PROPOSAL_CALLS_MAX", 5)
    assert ask().cut
