"""A sidecar whose credential was revoked gets nothing any more, and what it tells is recorded."""

import random
from dataclasses import replace

import pytest

from control_plane.core.leases import BudgetRef
from control_plane.core.principals import Principal, Role
from control_plane.core.reports import Status
from control_plane.entropy import Entropy
from control_plane.store import holdings
from control_plane.usecases.acts import Act
from control_plane.usecases.sidecars import Revoked, revoke_sidecar
from tests.control_plane.leasing_world import CENT, NOON, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar

A, B = "sdc_" + "0" * 26, "sdc_" + "1" * 26


@pytest.fixture
def ref(world: World) -> BudgetRef:
    return world.budget("b", USD)


def revoke(world: World, name: str) -> Revoked:
    owner = Principal("prn_1", "Mia", Role.OWNER, NOON)
    act = Act(owner, "Revoke", "r", world.now, Entropy(random.Random(1).randbytes))
    done = world.do(lambda tx: revoke_sidecar(tx, name, "stolen", act, world.levels))
    world.check()
    return done


def holder(world: World, ref: BudgetRef) -> tuple[VirtualSidecar, str]:
    """A sidecar with an open call."""
    sidecar = world.sidecar(A)
    call_id = sidecar.wait(60 * CENT, ref)
    sidecar.wants = False
    sidecar.sync()
    assert call_id in sidecar.open
    for lease in sidecar.leases.values():
        lease.keep = USD
    return sidecar, call_id


def test_what_it_holds_is_set_aside_and_others_hear_that_it_is_gone(
    world: World, ref: BudgetRef
) -> None:
    sidecar, _ = holder(world, ref)
    held = world.period(ref)["allocated_nano_usd"]
    done = revoke(world, A)
    assert done.orphaned_nano_usd == held == world.period(ref)["orphan_hold_nano_usd"]
    assert done.sidecar.orphaned_nano_usd == held
    assert world.levels.held_nano_usd(next(iter(sidecar.leases))) == 0
    other = world.sidecar(B)
    world.pass_ms(60_000)
    other.wait(60 * CENT, ref)
    told = other.sync().leases[0]
    # Used up, not out of reach: no time brings it back.
    assert told.unspent_nano_usd == told.reachable_nano_usd == USD - held


def test_it_gets_neither_money_nor_a_word_and_its_evidence_counts(
    world: World, ref: BudgetRef
) -> None:
    sidecar, call_id = holder(world, ref)
    revoke(world, A)
    sidecar.settle(call_id, 20 * CENT)
    sidecar.wait(CENT, ref)
    answer = sidecar.sync()
    assert (answer.status, answer.revoked) == (Status.FENCED, True)
    assert (answer.leases, answer.named) == ((), ())
    assert answer.acked_seq == len(sidecar.journal)
    row = world.period(ref)
    assert row["spent_nano_usd"] == 20 * CENT
    for key in sidecar.leases:
        sidecar.give_back(key)
    sidecar.sync()
    row = world.period(ref)
    assert row["allocated_nano_usd"] == row["spent_nano_usd"] == 20 * CENT
    assert row["orphan_hold_nano_usd"] == 0


def test_no_registration_brings_it_back(world: World, ref: BudgetRef) -> None:
    sidecar, _ = holder(world, ref)
    revoke(world, A)
    epoch = sidecar.epoch
    for lost in (False, True):
        answer = sidecar.register(lost=lost)
        assert (answer.status, answer.revoked) == (Status.FENCED, True)
    assert world.row("SELECT epoch AS e FROM sidecar")["e"] == epoch
    assert world.number("SELECT COUNT(*) FROM alarm") == 0


def test_it_neither_stops_grants_nor_ends_a_later_epoch(world: World, ref: BudgetRef) -> None:
    sidecar, _ = holder(world, ref)
    revoke(world, A)
    for forged in (
        replace(sidecar.report(), generation_seen=99),
        replace(sidecar.report(), epoch=7),
    ):
        assert sidecar.send(forged).status is Status.FENCED
        world.check()
    assert world.row("SELECT mode FROM meta")["mode"] == "NORMAL"
    assert world.row("SELECT epoch AS e FROM sidecar")["e"] == 1


def test_a_lost_journal_of_a_revoked_sidecar_stays_set_aside(world: World, ref: BudgetRef) -> None:
    sidecar, call_id = holder(world, ref)
    disk = replace(sidecar, open=dict(sidecar.open), journal=list(sidecar.journal))
    sidecar.register(lost=True)
    revoke(world, A)
    disk.settle(call_id, CENT)
    assert disk.sync().status is Status.FENCED
    assert world.period(ref)["spent_nano_usd"] == CENT


def test_the_answer_says_by_when_it_can_start_no_calls(world: World, ref: BudgetRef) -> None:
    sidecar, _ = holder(world, ref)
    world.do(lambda tx: tx.run("UPDATE budget SET max_offline_ms = 1000000"))
    world.do(
        lambda tx: tx.run(
            """INSERT INTO project (project_id, display_name, name_key, time_zone, state,
                 patience_ms, created_unix_ms, updated_unix_ms, version)
               VALUES ('prj_1', 'p', 'p', 'UTC', 'ACTIVE', 1, 1, 1, 1)"""
        )
    )
    at = world.now
    reach = revoke(world, A).reach
    assert (reach.sidecar_count, reach.acked_count) == (1, 0)
    assert reach.guaranteed_unix_ms == at + 1_250_000 + 1_000
    # Asked again later, it does not move: nothing renewed its authority since.
    world.pass_ms(5_000)
    assert revoke(world, A).reach == replace(reach, policy_version=reach.policy_version + 1)
    sidecar.send(replace(sidecar.report(), stopped=True))
    stopped = world.now
    world.pass_ms(5_000)
    reach = revoke(world, A).reach
    assert (reach.acked_count, reach.guaranteed_unix_ms) == (1, stopped)
    shown = world.store.read(lambda tx: holdings.sidecar(tx, A)).result()
    assert shown is not None
    assert shown.stopped_unix_ms == stopped


def test_one_that_never_registered_is_stopped_at_once(world: World) -> None:
    world.sidecar(A)
    world.do(lambda tx: tx.run("UPDATE sidecar SET epoch = 0"))
    reach = revoke(world, A).reach
    assert (reach.acked_count, reach.guaranteed_unix_ms) == (1, world.now)
