"""What each step of a plan does to the world. What people do is in people.py."""

import random
from dataclasses import replace as with_changes
from pathlib import Path

import trio

from tests.simulation import people
from tests.simulation.calls import Order, call
from tests.simulation.clocks import sleep
from tests.simulation.disk import Disk
from tests.simulation.history import delivered
from tests.simulation.host import Life, SimulatedHost
from tests.simulation.plan import Step
from tests.simulation.simulation import Simulation
from tests.simulation.stage import ACTIONS, Stage, action

__all__ = ["ACTIONS", "people"]

# --- The scene ------------------------------------------------------------------------------------


@action("midnight")
async def _midnight(stage: Stage, step: Step) -> None:
    """The world began so long before midnight."""
    stage.simulation.nursery.start_soon(_turn, stage, step.ms / 1_000)


async def _turn(stage: Stage, after_s: float) -> None:
    await sleep(after_s)
    stage.simulation.count("period turned")


@action("sidecar")
async def _sidecar(stage: Stage, step: Step) -> None:
    name = f"sidecar-{step.who}"
    stage.hosts[step.who] = stage.simulation.add_sidecar(name, rate_permille=step.amount)
    if step.amount != 1_000:
        stage.simulation.count("clock rate")


@action("call")
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


ENOUGH_STEPS = 245
"""Of a run before its end, which adds a hundred or so."""


def enough(stage: Stage) -> bool:
    """Whether so much has happened that no encore needs to come."""
    return stage.simulation.tally.steps >= ENOUGH_STEPS


@action("encore")
async def _encore(stage: Stage, step: Step) -> None:
    """A call, where too little has happened so far, at a sidecar that is there if any is."""
    there = [who for who, host in stage.hosts.items() if host.alive and not host.frozen]
    if there and step.who not in there:
        step = with_changes(step, who=there[step.at_ms % len(there)])
    stage.simulation.nursery.start_soon(_call_if_few, stage, step)


async def _call_if_few(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is not None:
        await host.awake()
    if not enough(stage):
        await _call(stage, step)


# --- The network ----------------------------------------------------------------------------------


@action("weather")
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
    await sleep(after_s)
    network = stage.simulation.network
    names: set[str] = getattr(network.conditions, kind)
    names.discard(host.name)
    network.become(network.conditions)


@action("cut")
async def _cut(stage: Stage, step: Step) -> None:
    await _partition(stage, step, "cut")


@action("deafen")
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


@action("kill")
async def _kill(stage: Stage, step: Step) -> None:
    await _end(stage, step, power_loss=False)


@action("power loss")
async def _power_loss(stage: Stage, step: Step) -> None:
    await _end(stage, step, power_loss=True)


@action("reboot")
async def _reboot(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is None or not host.alive:
        return
    stage.simulation.count("reboot")
    stage.simulation.kill(host, power_loss=True)
    for life in host.lives:
        life.kill()  # those on copies of its disk, too
    host.boots += 1
    host.clock.reboot()


@action("suspend")
async def _suspend(stage: Stage, step: Step) -> None:
    await _sleep(stage, step, unseen=False)


@action("pause")
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
    await sleep(after_s)
    host.clock.resume()
    if host.frozen:
        host.thaw()


@action("clock step")
async def _clock_step(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is None:
        return
    stage.simulation.count("clock step")
    host.clock.step(step.ms)
    stage.simulation.nursery.start_soon(_correct, host)


async def _correct(host: SimulatedHost) -> None:
    await sleep(10)
    host.clock.correct()


@action("drain")
async def _drain(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is not None and host.life is not None and host.alive and host.life.ready.is_set():
        stage.simulation.count("drain")
        host.life.calls.start_soon(_drain_one, stage.simulation, host, host.life)


async def _drain_one(simulation: Simulation, host: SimulatedHost, life: Life) -> None:
    """End a process in order, whatever is still open, and start the next."""
    life.admission.draining = True
    await sleep(1)
    await life.link.drain()
    if life is host.life:
        simulation.kill(host, kind="end after drain")


# --- Disks ----------------------------------------------------------------------------------------


@action("sync error")
async def _sync_error(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is not None:
        host.disk.fail_sync = True


@action("disk full")
async def _disk_full(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is None:
        return
    host.disk.full = True
    stage.simulation.count("disk full")
    stage.simulation.nursery.start_soon(_room_later, stage.simulation, host, step.ms / 1_000)


async def _room_later(simulation: Simulation, host: SimulatedHost, after_s: float) -> None:
    await sleep(after_s)
    host.disk.make_room()
    await sleep(3)
    life = host.life
    if life is not None and life.ready.is_set() and life.journal.failure is not None:
        # Without its ballast it opens nothing until it is started anew.
        simulation.kill(host, kind="restart after a full disk")


@action("slow disk")
async def _slow_disk(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is not None:
        host.disk.slow_ms = stage.chance.choice((30, 300, 1_500))
        stage.simulation.count("slow disk")


@action("rot")
async def _rot(stage: Stage, step: Step) -> None:
    host = stage.host(step)
    if host is None or not host.alive:
        return
    stage.simulation.kill(host)
    host.disk.rot()


@action("wipe")
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
    await sleep(after_s)
    if host.revoked:
        return
    simulation.count("old disk returned")
    host.old_disk_returned = True
    restores = simulation.restores
    life = host.begin(disk)
    simulation.nursery.start_soon(simulation.run_process, life)
    await sleep(12)
    # What it told to a database that was replaced meanwhile is lost again.
    disk.journal.lost = not delivered(simulation, life) or simulation.restores > restores
    life.kill()


@action("clone")
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


@action("housekeeping")
async def _housekeeping(stage: Stage, step: Step) -> None:
    stage.simulation.headquarters.keep_house()
    stage.simulation.check_books("housekeeping")


@action("kill control plane")
async def _kill_control_plane(stage: Stage, step: Step) -> None:
    headquarters = stage.simulation.headquarters
    if step.how:
        headquarters.main.store.kill = step.how
        after = step.how == "after commit"
        where = "after commit" if after else "in a transaction"
        stage.simulation.count(f"control plane killed {where}")
    else:
        stage.simulation.end_control_plane()


@action("database full")
async def _database_full(stage: Stage, step: Step) -> None:
    """One statement of the next transaction finds no room: nothing of it may stay."""
    stage.simulation.headquarters.main.store.full = step.how
    stage.simulation.count("database full")


@action("stale decision")
async def _stale_decision(stage: Stage, step: Step) -> None:
    """A decision that rests on something old may cost a grant, never a cap."""
    simulation = stage.simulation
    simulation.stale_next = True


@action("restore")
async def _restore(stage: Stage, step: Step) -> None:
    """A copy is made now; later the database is lost, and the copy put in its place."""
    simulation = stage.simulation
    if simulation.headquarters.up:
        copy = simulation.headquarters.backup()
        later_s = step.ms / 1_000
        simulation.faults_end_s = max(simulation.faults_end_s, trio.current_time() + later_s)
        simulation.nursery.start_soon(
            _put_back, simulation, copy, len(simulation.promises), later_s
        )


async def _put_back(simulation: Simulation, copy: Path, promised: int, after_s: float) -> None:
    await sleep(after_s)
    alive = [host for host in simulation.hosts.values() if host.alive and not host.revoked]
    if alive and simulation.twin_chance.random() < 0.5:
        # What its journal held is then nowhere but in the watermark.
        host = simulation.twin_chance.choice(alive)
        simulation.kill(host)
        host.disk.wipe()
        simulation.count("journal wiped")
    simulation.restore_database(copy, promised)


@action("two instances")
async def _two_instances(stage: Stage, step: Step) -> None:
    stage.simulation.twin_next = True
