"""How a run ends: it comes to rest, its last money is spent, and its past is played once more."""

import random
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import trio

from control_plane.core.budgets import SetCap
from control_plane.store.engine import Tx
from control_plane.usecases import budgets, sidecars
from control_plane.usecases.acts import Act
from control_plane.usecases.levels import Levels
from protos.values.selectors import Attributes
from sidecar.core.leases import LeaseKey
from tests.simulation import history, resting
from tests.simulation.calls import Order, call
from tests.simulation.clocks import sleep, sleep_until
from tests.simulation.host import Life, SimulatedHost
from tests.simulation.invariants import must
from tests.simulation.network import Conditions
from tests.simulation.plan import STEPS_MIN, a_call
from tests.simulation.simulation import Simulation
from tests.simulation.stage import ACTIONS, Stage

CALLS_END_S = 10.0
"""Longer than any call takes."""
QUIET_S = 13.0
"""Longer than two quiet Syncs lie apart."""
HEARD_S = 13.0
"""After so long a new cap is heard of everywhere, also without a push."""
PROBE_S = 22.0
"""Longer than a call waits for its turn."""
LATE_CALLS_S = 32.0
"""So long a call waits and lasts that came to a machine while it slept."""
CALM_STEPS = 260
"""Of a run when it came to rest; its end adds a hundred or so, and calls where it adds fewer."""
CALM_CALL_MS = 300
GIVING_STEPS = 8
"""So many at least come of giving all back."""
ROUND_STEPS = 12
"""So many come of a round of one call for each client, or more."""
ROUND_CALLS_MAX = 4
ROUNDS_MAX = 100
"""Of calls in good weather; the simplest call is two steps."""
TOLD_S = 4.0
"""A record is told within a second of its writing, by a Sync that takes two at most."""


async def close(stage: Stage) -> None:
    """Bring a run to its end. Raises ViolationError."""
    simulation = stage.simulation
    await sleep(CALLS_END_S)
    await sleep_until(simulation.faults_end_s)
    await come_to_rest(simulation)
    await _call_until(stage, CALM_STEPS)
    await _check_rest(simulation)
    await _look_at_overruns(simulation)
    for client in stage.clients.values():
        key_id, secret_id = client.keys[1]
        order = Order(client.project_id, key_id, secret_id, "", 0, ends="exact", lasts_ms=50)
        await _spend_the_last(simulation, order)
    await _call_until(stage, STEPS_MIN - GIVING_STEPS - _steps_to_come(simulation))
    await _give_all_back(simulation)
    await _call_until(stage, STEPS_MIN - _steps_to_come(simulation))
    await _check_rest(simulation)
    chance = random.Random(f"{simulation.seed}:history")
    history.replay_at_control_plane(simulation, chance)
    history.replay_at_sidecars(simulation, chance)


def _steps_to_come(simulation: Simulation) -> int:
    """At the very end each living process takes all its answers again, and each is a step."""
    lives = (host.life for host in simulation.hosts.values())
    return sum(len(life.answers) for life in lives if life is not None and _serves(life))


async def come_to_rest(simulation: Simulation) -> None:
    """Good weather; whoever was fenced gets a new journal, as its alarm says."""
    simulation.network.become(Conditions())
    simulation.disarm()
    for host in simulation.hosts.values():
        for life in host.lives:
            if life is not host.life:
                life.kill()
    await simulation.rest(4)
    if simulation.restores:
        _revoke_again(simulation)
    fenced = _wipe_fenced(simulation)
    await simulation.rest(24 if fenced or simulation.restores else QUIET_S)
    if _wipe_fenced(simulation):
        # It spoke late, and was told only then.
        await simulation.rest(24)


async def _check_rest(simulation: Simulation) -> None:
    await _all_told(simulation)
    if _replace_rotten(simulation):
        await simulation.rest(24)
    resting.check_rest(simulation)


def _replace_rotten(simulation: Simulation) -> bool:
    """A person begins anew where bytes went bad that show with each write; whether there was any.

    A page that holds no row is read by no start, so a journal may fail again after each.
    """
    found = False
    for host in simulation.hosts.values():
        now = host.life
        if now is None or host.revoked or not host.disk.journal.rotten:
            continue
        if now.dead or (now.ready.is_set() and now.journal.failure is not None):
            simulation.kill(host)
            host.disk.wipe()
            simulation.count("journal wiped")
            found = True
    return found


def _wipe_fenced(simulation: Simulation) -> bool:
    """Begin anew where a process was fenced; whether there was any."""
    found = False
    for host in simulation.hosts.values():
        now = host.life
        if now is None or host.revoked or not now.ready.is_set():
            continue
        if now.admission.fenced:
            simulation.kill(host)
            host.disk.wipe()
            simulation.forked.discard(host.sidecar_id)
            simulation.count("journal wiped")
            found = True
    return found


async def _call_until(stage: Stage, steps: int) -> None:
    """Let calls come in good weather too, where less than so much has happened before."""
    simulation, sidecars = stage.simulation, len(stage.hosts)
    chance = random.Random(f"{simulation.seed}:calm")
    for _ in range(ROUNDS_MAX if stage.clients and sidecars else 0):
        if simulation.tally.steps >= steps:
            return
        missing = (steps - simulation.tally.steps) // ROUND_STEPS
        for client in [*stage.clients] * max(1, min(missing, ROUND_CALLS_MAX)):
            step = replace(a_call(chance, 0, sidecars, client), ms=CALM_CALL_MS)
            await ACTIONS["call"](stage, step)
        await sleep(1.0)
        await _all_told(simulation)


async def _all_told(simulation: Simulation) -> None:
    """Wait for the Syncs in flight: idle money goes back with a record, also when nobody calls."""
    with trio.move_on_after(LATE_CALLS_S):
        while any(map(_works, simulation.hosts.values())):
            await sleep(0.1)
    with trio.move_on_after(TOLD_S):
        while not all(map(_told, simulation.hosts.values())):
            await sleep(0.1)


def _works(host: SimulatedHost) -> bool:
    life = host.life
    if life is None or not _serves(life):
        return False
    return life.admission.open_calls > 0 or len(life.admission.waiting) > 0


def _told(host: SimulatedHost) -> bool:
    life = host.life
    if life is None or not _serves(life):
        return True
    return life.journal.acked_seq == life.journal.last_seq


def _revoke_again(simulation: Simulation) -> None:
    """A restored database may have forgotten who was revoked; nobody else would end learning."""
    levels = simulation.headquarters.main.levels
    for host in simulation.hosts.values():
        if host.revoked:
            simulation.headquarters.act(partial(_revoke, host.sidecar_id, levels))
    simulation.check_books("revoked again")


def _revoke(sidecar_id: str, levels: Levels, tx: Tx, act: Act) -> None:
    sidecars.revoke_sidecar(tx, sidecar_id, "revoked before the restore", act, levels)


async def _look_at_overruns(simulation: Simulation) -> None:
    """A person looks at the alarms of overruns, and sets the caps anew as they are."""
    stopped = {
        key.budget_id for key, row in simulation.books.periods.items() if row["overrun_nano_usd"]
    }
    for budget_id in sorted(stopped):
        known = simulation.headquarters.budget(budget_id)
        if known is None or known.cap_nano_usd is None:
            continue
        wish = SetCap(budget_id, known.cap_nano_usd, reason="looked at the overrun")
        simulation.headquarters.act(partial(_set_cap, wish))
    if stopped:
        simulation.check_books("overruns looked at")
        simulation.policy_changed()
        await sleep(HEARD_S)


def _set_cap(wish: SetCap, tx: Tx, act: Act) -> None:
    budgets.set_cap(tx, wish, act)


async def _spend_the_last(simulation: Simulation, order: Order) -> None:
    """I4: what no sidecar holds for good can be spent, to the last cent, at any of them."""
    await sleep(2.5)
    lives = [host.life for host in simulation.hosts.values() if _serves(host.life)]
    if not lives:
        return
    life = simulation.chance.choice(lives)
    assert life is not None
    left = _left_nano_usd(simulation, life, lives, order.attributes)
    if left <= 0:
        return
    asked = Order(
        order.project_id, order.key_id, order.secret_id, "", left, ends="exact", lasts_ms=50
    )
    sent, refused = len(simulation.provider.calls), len(simulation.refusals)
    simulation.call_done = trio.Event()
    await call(simulation, life.host, asked)
    with trio.move_on_after(PROBE_S):
        await simulation.call_done.wait()
    words = simulation.refusals[-1].message if len(simulation.refusals) > refused else "it waits"
    must(
        len(simulation.provider.calls) > sent,
        "I4 stranding",
        f"{life.name} cannot spend the {left} that are left: {words}",
    )
    await sleep(1.5)


def _serves(life: Life | None) -> bool:
    return (
        life is not None
        and not life.dead
        and life.ready.is_set()
        and not life.host.revoked
        and not life.admission.fenced
        and life.journal.failure is None
    )


def _left_nano_usd(
    simulation: Simulation, life: Life, lives: Iterable[Life | None], attributes: Attributes
) -> int:
    """What one call could cost at most, in all its budgets: what is neither spent nor stranded."""
    alive = {(each.host.sidecar_id, each.journal.epoch) for each in lives if each is not None}
    books, now = simulation.books, simulation.clock.unix_ms()
    left: list[int] = []
    policy = life.admission.policy
    for budget in policy.matching(attributes):
        if not budget.capped:
            continue
        partition = policy.partition(budget, attributes)
        known = simulation.headquarters.budget(budget.budget_id)
        assert known is not None
        key = LeaseKey(budget.budget_id, partition, known.span_at(now).period_id)
        row = books.periods.get(key)
        if row is None:
            # Of this period, which may differ from what holds for good.
            left.append(simulation.headquarters.cap_in_force(key.budget_id, key.period_id) or 0)
            continue
        stranded = sum(
            granted - returned - spent
            for (sidecar_id, epoch, named), (granted, returned, spent) in books.leases.items()
            if named == key and (sidecar_id, epoch) not in alive
        )
        left.append(row["cap_nano_usd"] - row["spent_nano_usd"] - stranded)
    return min(left, default=0)


async def _give_all_back(simulation: Simulation) -> None:
    """Every process ends its work in order: nothing stays behind."""
    lives = [host.life for host in simulation.hosts.values()]
    for life in lives:
        if life is not None and _serves(life):
            life.admission.draining = True
            await life.link.drain()
    simulation.check_books("all gave back")
    for life in lives:
        if life is None or not _serves(life):
            continue
        for (sidecar_id, epoch, key), numbers in simulation.books.leases.items():
            if (sidecar_id, epoch) == (life.host.sidecar_id, life.journal.epoch):
                granted, returned, spent = numbers
                must(
                    granted == returned + spent,
                    "I4 stranding",
                    f"{life.name} ended in order and left {granted - returned - spent} of {key}",
                )
