"""Records that do not fit are booked as far as they go, with an alarm; no journal gets stuck."""

from dataclasses import replace

import pytest

from control_plane import limits
from control_plane.core.calls import Adjust, Overrun, Return, Settle
from control_plane.core.reports import Status
from tests.control_plane.leasing_world import CENT, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar, call


def alarms(world: World) -> list[str]:
    rows = world.store.read(lambda tx: tx.rows("SELECT kind FROM alarm ORDER BY position")).result()
    return [row["kind"] for row in rows]


def settled(world: World, cost: int) -> tuple[VirtualSidecar, str]:
    """A sidecar with a call in the ledger, of a budget with a cap and one without."""
    ref, counting = world.budget("b", USD), world.budget("c", None)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(10 * CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, cost, counted=(counting,))
    sidecar.sync()
    return sidecar, call_id


def test_a_correction_below_nothing_is_cut_and_raises_an_alarm(world: World) -> None:
    sidecar, call_id = settled(world, 4 * CENT)
    vector = tuple(sidecar.leases)
    sidecar.append(lambda seq: Adjust(seq, call_id, -9 * CENT, "the bill", vector))
    sidecar.leases[vector[0]].spent = 0
    assert sidecar.sync().status is Status.OK
    assert alarms(world) == ["BAD_RECORD"]
    assert world.row("SELECT cost_nano_usd AS n FROM call")["n"] == 0
    assert world.number("SELECT SUM(spent_nano_usd) FROM period") == 0
    world.check()


def test_corrections_in_the_sync_of_their_call_are_cut_too(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(10 * CENT, ref)
    sidecar.sync()
    vector = tuple(sidecar.leases)
    sidecar.settle(call_id, 4 * CENT)
    for _ in range(2):
        sidecar.append(lambda seq: Adjust(seq, call_id, -3 * CENT, "the bill", vector))
    sidecar.leases[vector[0]].spent = 0
    assert sidecar.sync().status is Status.OK
    assert alarms(world) == ["BAD_RECORD"]
    assert world.row("SELECT cost_nano_usd AS n FROM call")["n"] == 0
    world.check()


def test_a_call_that_is_in_the_ledger_already_is_charged_once(world: World) -> None:
    sidecar, call_id = settled(world, 4 * CENT)
    vector = tuple(sidecar.leases)
    again = call(call_id, world.now, 2 * CENT, 10 * CENT, vector)
    sidecar.append(lambda seq: Settle(seq, again, 2 * CENT))
    sidecar.leases[vector[0]].spent += 2 * CENT
    assert sidecar.sync().status is Status.OK
    assert alarms(world) == ["BAD_RECORD"]
    assert world.row("SELECT cost_nano_usd AS n FROM call")["n"] == 4 * CENT
    # The journal goes on, and the cap counts what its lease says.
    assert sidecar.acked == len(sidecar.journal)


def test_a_budget_that_is_named_twice_is_charged_once(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(10 * CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, 4 * CENT, counted=(ref,))
    assert sidecar.sync().status is Status.OK
    assert world.period(ref)["spent_nano_usd"] == 4 * CENT
    world.check()


def test_an_overrun_that_no_cap_feels_is_an_alarm_all_the_same(world: World) -> None:
    counting = world.budget("c", None)
    sidecar = world.sidecar("a")
    sidecar.open["call"] = (10 * CENT, ())
    sidecar.settle("call", 12 * CENT, counted=(counting,))
    assert sidecar.sync().status is Status.OK
    assert alarms(world) == ["OVERRUN"]
    assert world.period(counting)["spent_nano_usd"] == 12 * CENT


def test_an_overrun_of_a_call_without_a_lease_moves_the_caps_that_count_it(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    sidecar.open["call"] = (0, ())
    sidecar.settle("call", USD - CENT, counted=(ref,))
    assert sidecar.sync().status is Status.OK
    assert alarms(world) == ["OVERRUN"]
    period = world.period(ref)
    assert period["spent_nano_usd"] == period["allocated_nano_usd"] == USD - CENT
    sidecar.wait(2 * CENT, ref)
    sidecar.sync()
    assert world.period(ref)["allocated_nano_usd"] <= USD
    assert len(sidecar.open) == 0
    world.check()


@pytest.mark.parametrize("room", [limits.BAD_RECORDS_MAX, 2])
def test_what_was_refused_is_no_fork_when_it_is_told_again(
    world: World, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Also when more was refused than is kept to know it by."""
    monkeypatch.setattr(limits, "BAD_RECORDS_MAX", room)
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    held = sidecar.wait(CENT, ref)
    sidecar.sync()
    (key,) = sidecar.leases
    huge = limits.PERIOD_NANO_USD_MAX
    made = call("refused", world.now, huge, huge, (key,))
    sidecar.append(lambda seq: Settle(seq, made, huge))
    sidecar.append(lambda seq: Overrun(seq, "refused", huge, (key,)))
    sidecar.append(lambda seq: Return(seq, key, huge))
    told = sidecar.report()
    assert sidecar.send(told).status is Status.FENCED
    sidecar.acked = len(sidecar.journal)
    sidecar.settle(held, CENT)
    sidecar.send(sidecar.report())
    before = alarms(world)
    again = sidecar.send(replace(told, sync_no=sidecar.sync_no + 1))
    assert again.acked_seq == 3
    assert world.number("SELECT MAX(forked_unix_ms) FROM cursor") == 0
    assert alarms(world) == before
    world.check()
