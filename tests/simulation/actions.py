"""What each step of a plan does to the world."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from dataclasses import replace as with_changes
from pathlib import Path

import trio

from control_plane.core.budgets import BudgetChange, NewBudget, SetCap
from control_plane.core.keys import NewKey
from control_plane.core.projects import NewProject
from control_plane.store import budgets as budget_store
from control_plane.store.engine import Tx
from control_plane.usecases import budgets, keys, projects, sidecars
from control_plane.usecases.acts import Act
from protos.values.selectors import Selector, SplitBy
from tests.simulation.calls import Order, call
from tests.simulation.disk import Disk
from tests.simulation.history import delivered
from tests.simulation.host import Life, SimulatedHost
from tests.simulation.plan import Step
from tests.simulation.simulation import Promise, Simulation


@dataclass(slots=True)
class Client:
    """One client of the agency, with the keys that its calls come with."""

    project_id: str
    keys: list[tuple[str, str]] = field(default_factory=list)
    """Key and secret."""


@dataclass(slots=True)
class Stage:
    """What the steps of a run have made so far."""

    simulation: Simulation
    clients: dict[int, Client] = field(default_factory=dict)
    budgets: list[str] = field(default_factory=list)
    hosts: dict[int, SimulatedHost] = field(default_factory=dict)
    chance: random.Random = field(default_factory=random.Random)

    def host(self, step: Step) -> SimulatedHost | None:
        return self.hosts.get(step.who)


Action = Callable[[Stage, Step], Awaitable[None]]
ACTIONS: dict[str, Action] = {}


def _action(name: str) -> Callable[[Action], Action]:
    def keep(function: Action) -> Action:
        ACTIONS[name] = function
        return function

    return keep


# --- The scene ------------------------------------------------------------------------------------


@_action("midnight")
async def _midnight(stage: Stage, step: Step) -> None:
    """The world began so long before midnight."""


@_action("client")
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


@_action("budget")
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


@_action("sidecar")
async def _sidecar(stage: Stage, step: Step) -> None:
    name = f"sidecar-{step.who}"
    stage.hosts[step.who] = stage.simulation.add_sidecar(name, rate_permille=step.amount)
    if step.amount != 1_000:
        stage.simulation.count("clock rate")


@_action("call")
async def _call(stage: Stage, step: Step) -> None:
    host, client = stage.host(step), stage.clients.get(step.part)
    if host is None or client is None or host.life is None:
        return
    ends, _, workflow = step.how.partition(" ")
    key_id, secret_id = client.keys[step.more % 2]
    order = Order(
        project_id=client.project_id,
        key_id=key_id,
        secret_id=secret_id,
        workflow=workflow,
        worst_nano_usd=step.amount,
        ends=ends,
        share_permille=step.more,
        lasts_ms=step.ms,
    )
    stage.simulation.nursery.start_soon(call, stage.simulation, host, order)


# --- The network ----------------------------------------------------------------------------------


@_action("weather")
async def _weather(stage: Stage, step: Step) -> None:
    network = stage.simulation.network
    network.become(
        with_changes(
            network.conditions,
            loss=step.amount / 1_000,
            duplication=step.more / 1_000,
            delay_s=step.ms / 1_000,
        )
    )


async def _partition(stage: Stage, step: Step, kind: str) -> None:
    host, network = stage.host(step), stage.simulation.network
    if host is None:
        return
    stage.simulation.count("one-way partition" if kind == "deaf" else "partition")
    names: set[str] = getattr(network.conditions, kind)
    names.add(host.name)
    network.become(network.conditions)
    stage.simulation.nursery.start_soon(_mend, stage, host, kind, step.ms / 1_000)


async def _mend(stage: Stage, host: SimulatedHost, kind: str, after_s: float) -> None:
    await trio.sleep(after_s)
    network = stage.simulation.network
    names: set[str] = getattr(network.conditions, kind)
    names.discard(host.name)
    network.become(network.conditions)


@_action("cut")
async def _cut(stage: Stage, step: Step) -> None:
    await _partition(stage, step, "cut")


@_action("deafen")
async def _deafen(stage: Stage, step: Step) -> None:
    await _partition(stage, step, "deaf")


# --- Processes and machines -----------------------------------------------------------------------


async def _end(stage: Stage, step: Step, *, power_loss: bool) -> None:
    host = stage.host(step)
    if host is None:
        return
    if step.how:
        host.armed = (step.how, power_loss)
    else:
        stage.simulation.kill(host, power_loss=power_loss)


@_action("kill")
async def _kill(stage: Stage, step: Step) -> None:
    await _end(stage, step, power_loss=False)


@_action("power loss")
async def _power_loss(stage: Stage, step: Step) -> None:
    await _end(stage, step, power_loss=True)


@_action("reboot")
async def _reboot(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is None or not host.alive:
        return
    stage.simulation.count("reboot")
    stage.simulation.kill(host, power_loss=True)
    host.boots += 1
    host.clock.reboot()


@_action("suspend")
async def _suspend(stage: Stage, step: Step) -> None:
    await _sleep(stage, step, unseen=False)


@_action("pause")
async def _pause(stage: Stage, step: Step) -> None:
    await _sleep(stage, step, unseen=True)


async def _sleep(stage: Stage, step: Step, *, unseen: bool) -> None:
    host = stage.host(step)
    if host is None or host.frozen:
        return
    stage.simulation.count("pause" if unseen else "suspend")
    host.freeze()
    if unseen:
        host.clock.pause()
    stage.simulation.nursery.start_soon(_wake, host, step.ms / 1_000)


async def _wake(host: SimulatedHost, after_s: float) -> None:
    await trio.sleep(after_s)
    host.clock.resume()
    if host.frozen:
        host.thaw()


@_action("clock step")
async def _clock_step(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is None:
        return
    stage.simulation.count("clock step")
    host.clock.step(step.ms)
    stage.simulation.nursery.start_soon(_correct, host)


async def _correct(host: SimulatedHost) -> None:
    await trio.sleep(10)
    host.clock.correct()


@_action("drain")
async def _drain(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is not None and host.life is not None and host.alive and host.life.ready.is_set():
        stage.simulation.count("drain")
        host.life.calls.start_soon(_drain_one, stage.simulation, host, host.life)


async def _drain_one(simulation: Simulation, host: SimulatedHost, life: Life) -> None:
    """End a process in order, whatever is still open, and start the next."""
    life.admission.draining = True
    await trio.sleep(1)
    await life.link.drain()
    if life is host.life:
        simulation.kill(host, kind="end after drain")


# --- Disks ----------------------------------------------------------------------------------------


@_action("sync error")
async def _sync_error(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is not None:
        host.disk.fail_sync = True


@_action("disk full")
async def _disk_full(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is None:
        return
    host.disk.full = True
    stage.simulation.count("disk full")
    stage.simulation.nursery.start_soon(_room_later, stage.simulation, host, step.ms / 1_000)


async def _room_later(simulation: Simulation, host: SimulatedHost, after_s: float) -> None:
    await trio.sleep(after_s)
    host.disk.make_room()
    await trio.sleep(3)
    life = host.life
    if life is not None and life.ready.is_set() and life.journal.failure is not None:
        # Without its ballast it opens nothing until it is started anew.
        simulation.kill(host, kind="restart after a full disk")


@_action("slow disk")
async def _slow_disk(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is not None:
        host.disk.slow_ms = stage.chance.choice((30, 300, 1_500))
        stage.simulation.count("slow disk")


@_action("rot")
async def _rot(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is None or not host.alive:
        return
    stage.simulation.kill(host)
    host.disk.rot()


@_action("wipe")
async def _wipe(stage: Stage, step: Step) -> None:
    """The journal is gone; later the old disk turns up, and is started once more."""
    host, simulation = stage.host(step), stage.simulation
    if host is None or not host.alive:
        return
    simulation.kill(host)
    old = simulation.folder / f"{host.name}-old-{step.at_ms}"
    host.disk.copy_to(old)
    old_journal = host.disk.journal
    host.disk.wipe()
    simulation.count("journal wiped")
    disk = Disk(old, random.Random(f"{simulation.seed}:{old.name}"), simulation.count)
    disk.journal = old_journal
    simulation.nursery.start_soon(_old_disk, simulation, host, disk, step.ms / 1_000)


async def _old_disk(
    simulation: Simulation, host: SimulatedHost, disk: Disk, after_s: float
) -> None:
    await trio.sleep(after_s)
    if host.revoked:
        return
    simulation.count("old disk returned")
    life = host.begin(disk)
    simulation.nursery.start_soon(simulation.run_process, life)
    await trio.sleep(12)
    disk.journal.lost = not delivered(simulation, life)
    life.kill()


@_action("clone")
async def _clone(stage: Stage, step: Step) -> None:
    """A second process begins on a copy of the disk, beside the first."""
    host, simulation = stage.host(step), stage.simulation
    if host is None or not host.alive or host.life is None or not host.life.ready.is_set():
        return
    copy = simulation.folder / f"{host.name}-clone-{step.at_ms}"
    host.disk.copy_to(copy)
    disk = Disk(copy, random.Random(f"{simulation.seed}:{copy.name}"), simulation.count)
    host.disk.journal.forked = True
    disk.journal = host.disk.journal
    simulation.count("cloned journal")
    simulation.forked.add(host.sidecar_id)
    for (sidecar_id, _, key), (granted, returned, spent) in simulation.books.leases.items():
        if sidecar_id == host.sidecar_id:
            before = simulation.books.slack.get(key, 0)
            simulation.books.slack[key] = before + granted - returned - spent
    life = host.begin(disk)
    simulation.nursery.start_soon(simulation.run_process, life)


# --- The control plane ----------------------------------------------------------------------------


@_action("kill control plane")
async def _kill_control_plane(stage: Stage, step: Step) -> None:
    headquarters = stage.simulation.headquarters
    if step.how:
        headquarters.main.store.kill = step.how
        after = step.how == "after commit"
        where = "after commit" if after else "in a transaction"
        stage.simulation.count(f"control plane killed {where}")
    else:
        stage.simulation.end_control_plane()


@_action("database full")
async def _database_full(stage: Stage, step: Step) -> None:
    """One statement of the next transaction finds no room: nothing of it may stay."""
    stage.simulation.headquarters.main.store.full = step.how
    stage.simulation.count("database full")


@_action("stale decision")
async def _stale_decision(stage: Stage, step: Step) -> None:
    """A decision that rests on something old may cost a grant, never a cap."""
    simulation = stage.simulation
    simulation.headquarters.main.store.stale = simulation.twin_chance
    simulation.count("stale decision")


@_action("restore")
async def _restore(stage: Stage, step: Step) -> None:
    """A copy is made now; later the database is lost, and the copy put in its place."""
    simulation = stage.simulation
    if simulation.headquarters.up:
        copy = simulation.headquarters.backup()
        later_s = step.ms / 1_000
        simulation.nursery.start_soon(
            _put_back, simulation, copy, len(simulation.promises), later_s
        )


async def _put_back(simulation: Simulation, copy: Path, promised: int, after_s: float) -> None:
    await trio.sleep(after_s)
    alive = [host for host in simulation.hosts.values() if host.alive and not host.revoked]
    if alive and simulation.twin_chance.random() < 0.5:
        # What its journal held is then nowhere but in the watermark.
        host = simulation.twin_chance.choice(alive)
        simulation.kill(host)
        host.disk.wipe()
        simulation.count("journal wiped")
    simulation.restore_database(copy, promised)


@_action("two instances")
async def _two_instances(stage: Stage, step: Step) -> None:
    stage.simulation.twin_next = True


@_action("cap")
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
        simulation.promises.append(
            Promise("cap", budget_id, reach.policy_version, reach.guaranteed_unix_ms)
        )
    simulation.check_books("cap set", step.part)
    simulation.policy_changed()


@_action("offline")
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


@_action("revoke key")
async def _revoke_key(stage: Stage, step: Step) -> None:
    client = stage.clients.get(step.part)
    if client is None or not stage.simulation.headquarters.up:
        return
    simulation, key_id = stage.simulation, client.keys[0][0]
    _, reach = simulation.headquarters.act(
        lambda tx, act: keys.revoke_key(tx, key_id, "", "test", act)
    )
    simulation.count("key revoked")
    simulation.promises.append(
        Promise("key", key_id, reach.policy_version, reach.guaranteed_unix_ms)
    )
    simulation.check_books("key revoked", step.part)
    simulation.policy_changed()


@_action("revoke sidecar")
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
    simulation.promises.append(Promise("sidecar", host.sidecar_id, 2**62, ends))
    simulation.check_books("sidecar revoked", host.name)
    simulation.policy_changed()
