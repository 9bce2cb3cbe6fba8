"""What people do: they set up clients and budgets, change caps, revoke keys and sidecars."""

from control_plane.core.budgets import BudgetChange, NewBudget, SetCap
from control_plane.core.keys import NewKey
from control_plane.core.projects import NewProject
from control_plane.store import budgets as budget_store
from control_plane.store.engine import Tx
from control_plane.usecases import budgets, keys, projects, sidecars
from control_plane.usecases.acts import Act
from protos.values.selectors import Selector, SplitBy
from tests.simulation.plan import Step
from tests.simulation.stage import Client, Stage, action


@action("client")
async def _client(stage: Stage, step: Step) -> None:
    headquarters = stage.simulation.headquarters
    first = NewBudget(cap_nano_usd=step.amount, window=step.how, max_offline_ms=step.ms)
    asked = NewProject(f"client {step.part}")
    project, budget = headquarters.act(
        lambda tx, act: projects.create_project(tx, asked, first, act)
    )
    client = stage.clients[step.part] = Client(project.project_id)
    stage.budgets.append(budget.budget_id)
    for _ in range(2):
        key, _ = headquarters.act(
            lambda tx, act: keys.create_key(tx, NewKey(project.project_id), act)
        )
        client.keys.append((key.key_id, key.secrets[0].secret_id))


@action("budget")
async def _budget(stage: Stage, step: Step) -> None:
    words = step.how.split()
    client = stage.clients.get(step.part)
    if step.part >= 0 and client is None:
        return
    split: SplitBy = ""
    if "split" in words:
        split = "key" if words[-1] == "key" else "workflow"
    asked = NewBudget(
        selector=Selector(
            project_id=client.project_id if client else "",
            workflow="mail" if "mail" in words else "",
        ),
        split_by=split,
        window=words[0] if words else "month",
        cap_nano_usd=step.amount if step.amount >= 0 else None,
        max_offline_ms=step.ms,
    )
    made = stage.simulation.headquarters.act(
        lambda tx, act: budgets.create_budget(tx, asked, "test", act)
    )
    stage.budgets.append(made.budget.budget_id)
    stage.simulation.policy_changed()


@action("cap")
async def _cap(stage: Stage, step: Step) -> None:
    if step.part >= len(stage.budgets) or not stage.simulation.headquarters.up:
        return
    simulation, budget_id = stage.simulation, stage.budgets[step.part]
    before = simulation.headquarters.read(lambda tx: budget_store.get(tx, budget_id))
    assert before is not None
    if before.cap_nano_usd is None:
        return
    wish = SetCap(
        budget_id,
        before.cap_nano_usd * step.amount // 1_000,
        this_period_only=step.how == "this period",
        reason="test",
    )
    _, change, reach = simulation.headquarters.act(lambda tx, act: budgets.set_cap(tx, wish, act))
    lower = (change.new_cap_nano_usd or 0) < (change.old_cap_nano_usd or 0)
    simulation.count("cap lowered" if lower else "cap raised")
    if lower:
        simulation.promised("cap", budget_id, reach.policy_version, reach.guaranteed_unix_ms)
    simulation.check_books("cap set", step.part)
    simulation.policy_changed()


@action("offline")
async def _offline(stage: Stage, step: Step) -> None:
    if step.part >= len(stage.budgets) or not stage.simulation.headquarters.up:
        return
    simulation, budget_id = stage.simulation, stage.budgets[step.part]

    def change(tx: Tx, act: Act) -> None:
        found = budgets.found(tx, budget_id)
        asked = BudgetChange(max_offline_ms=step.ms)
        budgets.update_budget(tx, budget_id, found.etag, asked, act)

    simulation.headquarters.act(change)
    simulation.check_books("max_offline changed", step.part)
    simulation.policy_changed()


@action("revoke key")
async def _revoke_key(stage: Stage, step: Step) -> None:
    client = stage.clients.get(step.part)
    if client is None or not stage.simulation.headquarters.up:
        return
    simulation, key_id = stage.simulation, client.keys[0][0]
    _, reach = simulation.headquarters.act(
        lambda tx, act: keys.revoke_key(tx, key_id, "", "test", act)
    )
    simulation.count("key revoked")
    simulation.promised("key", key_id, reach.policy_version, reach.guaranteed_unix_ms)
    simulation.check_books("key revoked", step.part)
    simulation.policy_changed()


@action("revoke sidecar")
async def _revoke_sidecar(stage: Stage, step: Step) -> None:
    host, simulation = stage.host(step), stage.simulation
    if host is None or not simulation.headquarters.up or len(stage.hosts) < 3:
        return

    levels = simulation.headquarters.main.levels

    def revoke(tx: Tx, act: Act) -> int:
        revoked = sidecars.revoke_sidecar(tx, host.sidecar_id, "test", act, levels)
        return revoked.reach.guaranteed_unix_ms

    ends = simulation.headquarters.act(revoke)
    host.revoked = True
    simulation.count("sidecar revoked")
    simulation.promised("sidecar", host.sidecar_id, 2**62, ends)
    simulation.check_books("sidecar revoked", host.name)
    simulation.policy_changed()
