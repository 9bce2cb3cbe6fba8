"""Registrations that arrive late or again change nothing; a new process is put in charge."""

import random
from collections.abc import Callable
from functools import partial

import pytest

from control_plane import limits
from control_plane.core.leases import BudgetRef
from control_plane.core.ledger import CHAIN_START
from control_plane.core.log import SidecarView
from control_plane.core.pages import Asked
from control_plane.core.reports import Journal, Registered, Registration, Status
from control_plane.usecases.register import drain, register
from control_plane.usecases.sidecars import list_sidecars
from tests.control_plane.leasing_world import CENT, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar


@pytest.fixture
def ref(world: World) -> BudgetRef:
    return world.budget("b", USD)


def presented(sidecar: VirtualSidecar, incarnation: str, *, lost: bool = False) -> Registration:
    """What a process says of itself and of the journal as it is now."""
    count = 0 if lost else len(sidecar.journal)
    epoch = 0 if lost else sidecar.epoch
    journal = Journal(epoch, count, sidecar.chain(count), lost=lost)
    return Registration(1, "test", "machine", "boot", incarnation, journal)


def send(sidecar: VirtualSidecar, asked: Registration) -> Registered:
    world = sidecar.world
    answer = world.do(lambda tx: register(tx, sidecar.name, asked, world.levels, world.now))
    world.check()
    return answer


def settled(sidecar: VirtualSidecar, ref: BudgetRef) -> None:
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, CENT)
    sidecar.sync()


def state(world: World) -> list[dict[str, object]]:
    return rows(world, "sidecar")


def test_an_old_registration_of_the_process_in_charge_fences_nobody(
    world: World, ref: BudgetRef
) -> None:
    sidecar = world.sidecar("a")
    asked = presented(sidecar, "9")
    assert send(sidecar, asked).status is Status.OK
    sidecar.incarnation = "9"
    settled(sidecar, ref)
    before = state(world)
    answer = send(sidecar, asked)
    assert (answer.status, answer.epoch) == (Status.OK, 1)
    assert state(world) == before
    assert sidecar.sync().status is Status.OK
    assert world.number("SELECT COUNT(*) FROM alarm") == 0


def test_a_registration_of_a_process_whose_time_is_over_has_no_effect(
    world: World, ref: BudgetRef
) -> None:
    sidecar = world.sidecar("a")
    old = presented(sidecar, sidecar.incarnation)
    settled(sidecar, ref)
    sidecar.register()
    settled(sidecar, ref)
    before = state(world)
    assert send(sidecar, old).status is Status.FENCED
    assert state(world) == before
    assert sidecar.sync().status is Status.OK
    assert world.number("SELECT COUNT(*) FROM alarm") == 0


def seen(world: World, name: str) -> SidecarView:
    asked = Asked(10, "")
    page = world.do(lambda tx: list_sidecars(tx, asked, show_revoked=False, levels=world.levels))
    return next(one for one in page.items if one.sidecar_id == name)


def test_the_original_of_a_copy_that_ended_is_seen_as_fenced_until_it_begins_again(
    world: World, ref: BudgetRef
) -> None:
    sidecar = world.sidecar("a")
    settled(sidecar, ref)
    original = sidecar.incarnation
    sidecar.register()
    settled(sidecar, ref)
    copy, sidecar.incarnation = sidecar.incarnation, original
    sidecar.sync_no += 1
    assert sidecar.sync().status is Status.FENCED
    assert seen(world, "a").state_at(world.now) == "connected", "the copy takes calls"
    sidecar.incarnation = copy
    sidecar.drain()
    shown = seen(world, "a")
    assert shown.state_at(world.now) == "fenced"
    assert "another process took its place" in shown.fenced_why
    sidecar.register()
    assert (seen(world, "a").state_at(world.now), seen(world, "a").fenced_why) == ("connected", "")
    sidecar.drain()
    assert seen(world, "a").state_at(world.now) == "drained"


def test_a_lost_journal_begins_one_epoch_however_often_it_is_said(
    world: World, ref: BudgetRef
) -> None:
    sidecar = world.sidecar("a")
    settled(sidecar, ref)
    asked = presented(sidecar, "9", lost=True)
    answers = [send(sidecar, asked) for _ in range(3)]
    assert [answer.epoch for answer in answers] == [2, 2, 2]
    assert [row["kind"] for row in rows(world, "alarm")] == ["JOURNAL_LOST"]


def test_a_copy_in_the_memory_of_another_host_is_no_old_message(
    world: World, ref: BudgetRef
) -> None:
    sidecar = world.sidecar("a")
    settled(sidecar, ref)
    journal = Journal(1, len(sidecar.journal), CHAIN_START[:-1] + b"x", lost=False)
    asked = Registration(1, "", "", "", sidecar.incarnation, journal)
    assert send(sidecar, asked).status is Status.FENCED
    assert sidecar.sync().status is Status.FENCED
    assert seen(world, "a").state_at(world.now) == "fenced"
    assert "a copy of its journal is or was in use" in seen(world, "a").fenced_why


def test_processes_are_remembered_within_a_bound(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PROCESSES_MAX", 3)
    sidecar = world.sidecar("a")
    for _ in range(9):
        sidecar.register()
    assert world.number("SELECT COUNT(*) FROM process") == 3


def rows(world: World, table: str) -> list[dict[str, object]]:
    found = world.store.read(lambda tx: tx.rows(f"SELECT * FROM {table}")).result()  # noqa: S608 - our own names
    return [{name: row[name] for name in row.keys()} for row in found]  # noqa: SIM118 - a Row


@pytest.mark.parametrize("seed", range(40))
def test_the_whole_history_said_again_in_any_order_changes_nothing(
    world: World, ref: BudgetRef, seed: int
) -> None:
    """Register, Sync and Drain of all processes of three sidecars, late and in any order."""
    dice = random.Random(seed)
    sidecars = [world.sidecar(name) for name in "abc"]
    said: list[Callable[[], object]] = [
        partial(send, sidecar, presented(sidecar, "2", lost=True)) for sidecar in sidecars
    ]
    for _ in range(40):
        world.pass_ms(dice.choice([10, 500, 4_000]))
        sidecar = dice.choice(sidecars)
        deed = dice.random()
        if deed < 0.3:
            sidecar.wait(dice.choice([1, 5, 20]) * CENT, ref)
            sidecar.waiting = sidecar.waiting[-2:]
        elif deed < 0.55 and sidecar.open:
            call_id = dice.choice(sorted(sidecar.open))
            sidecar.settle(call_id, dice.randint(0, sidecar.open[call_id][0]))
        elif deed < 0.8:
            report = sidecar.report()
            said.append(partial(sidecar.send, report))
            answer = sidecar.send(report)
            if dice.random() < 0.7:
                sidecar.take(answer)
        elif deed < 0.92:
            begin(sidecar, said, lost=deed > 0.88)
        else:
            epoch, incarnation = sidecar.epoch, sidecar.incarnation
            said.append(partial(leave, sidecar, epoch, incarnation))
            said[-1]()
    for _ in range(2):
        for sidecar in sidecars:
            while sidecar.open:
                sidecar.settle(next(iter(sidecar.open)), 1)
            report = sidecar.report()
            said.append(partial(sidecar.send, report))
            sidecar.take(sidecar.send(report))
    shuffle(world, dice, said)
    before = books(world)
    shuffle(world, dice, said)
    assert books(world) == before


def begin(sidecar: VirtualSidecar, said: list[Callable[[], object]], *, lost: bool) -> None:
    """A new process, its registration kept to be said again."""
    incarnation = str(int(sidecar.incarnation) + 1)
    asked = presented(sidecar, incarnation, lost=lost)
    said.append(lambda: send(sidecar, asked))
    assert sidecar.register(lost=lost).status is Status.OK
    assert sidecar.incarnation == incarnation


def leave(sidecar: VirtualSidecar, epoch: int, incarnation: str) -> None:
    world = sidecar.world
    world.do(lambda tx: drain(tx, sidecar.name, epoch, incarnation, world.levels, world.now))


def shuffle(world: World, dice: random.Random, said: list[Callable[[], object]]) -> None:
    dice.shuffle(said)
    for again in said:
        again()
    world.check()


def books(world: World) -> dict[str, list[dict[str, object]]]:
    """All that must not change: money, the ledger, leases, epochs, alarms."""
    found = {
        table: rows(world, table)
        for table in ("period", "lease", "call", "charge", "rollup", "alarm", "cursor", "process")
    }
    found["sidecar"] = [
        {name: row[name] for name in ("id", "epoch", "incarnation", "state", "last_sync_no")}
        for row in rows(world, "sidecar")
    ]
    return found
