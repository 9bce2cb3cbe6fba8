"""Evidence names partitions without end: all of it is booked, in few rows, and nobody starves."""

from dataclasses import replace
from functools import partial

import pytest

from control_plane import limits
from control_plane.core.calls import Overrun, Return, Settle
from control_plane.core.leases import BudgetRef, PeriodKey
from control_plane.core.reports import Status
from control_plane.usecases.partitions import OTHERS
from tests.control_plane.leasing_world import CENT, USD, World
from tests.control_plane.virtual_sidecar import Held, VirtualSidecar, call


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BUDGET_PARTITIONS_MAX", 3)
    monkeypatch.setattr(limits, "ADOPTED_PARTITIONS_MAX", 3)


def spends(world: World, forger: VirtualSidecar, count: int, first: int = 0) -> None:
    """A journal tells of a cent in each of so many partitions."""
    for number in range(first, first + count):
        key = PeriodKey("b", f"forged-{number}", "2026-11-01")
        made = call(f"f{number}", world.now, CENT, CENT, (key,))
        forger.append(partial(Settle, call=made, amount_nano_usd=CENT))


def test_late_reports_of_many_partitions_leave_room_for_those_that_want_money(
    world: World,
) -> None:
    world.budget("b", USD, split_by="workflow")
    forger, other = world.sidecar("forger"), world.sidecar("other")
    spends(world, forger, 10)
    forger.sync()
    assert world.number("SELECT COUNT(*) FROM period") == 3 + 1
    assert world.number("SELECT SUM(spent_nano_usd) FROM period") == 10 * CENT
    assert world.number("SELECT SUM(amount_nano_usd) FROM charge") == 10 * CENT
    others = world.row(f"SELECT * FROM period WHERE partition = '{OTHERS}'")  # noqa: S608 - a constant
    assert others["spent_nano_usd"] == 7 * CENT
    wanted = [other.wait(CENT, BudgetRef("b", f"w{number}")) for number in range(4)]
    answer = other.sync()
    assert answer.named == tuple(wanted[:3])
    assert answer.hopeless == tuple(wanted[3:])
    world.check()


def test_reports_of_leases_and_every_kind_of_record_keep_within_the_room(world: World) -> None:
    world.budget("b", USD, split_by="workflow")
    forger = world.sidecar("forger")
    spends(world, forger, 3)
    key = PeriodKey("b", "forged-99", "2026-11-01")
    forger.append(lambda seq: Return(seq, key, CENT))
    forger.append(lambda seq: Overrun(seq, "f0", CENT, (key,)))
    forger.leases[key._replace(partition="forged-98")] = Held(granted=CENT)
    forger.sync()
    assert world.number("SELECT COUNT(*) FROM period") == 3 + 1
    world.check()


def test_labels_that_only_count_are_summed_together_beyond_the_room(world: World) -> None:
    world.budget("c", None, split_by="workflow")
    one = world.sidecar("one")
    for number in range(6):
        refs = (BudgetRef("c", f"w{number}"), BudgetRef("c", f"v{number}"))
        made = replace(call(f"c{number}", world.now, CENT, CENT, ()), counted=refs)
        one.append(partial(Settle, call=made, amount_nano_usd=CENT))
    assert one.sync().status is Status.OK
    assert world.number("SELECT COUNT(*) FROM period") == 3 + 1
    assert world.number("SELECT COUNT(*) FROM call") == 6
    world.check()


def test_what_found_no_room_is_no_fork_when_it_is_told_again(world: World) -> None:
    world.budget("b", USD, split_by="workflow")
    forger = world.sidecar("forger")
    spends(world, forger, 5)
    key = PeriodKey("b", "forged-99", "2026-11-01")
    forger.append(lambda seq: Return(seq, key, 0))
    forger.append(lambda seq: Return(seq, key, CENT))
    told = forger.report()
    forger.send(told)
    spends(world, forger, 1, first=50)
    forger.send(forger.report())
    before = world.number("SELECT COUNT(*) FROM charge")
    forger.send(replace(told, sync_no=forger.sync_no + 1))
    assert world.number("SELECT MAX(forked_unix_ms) FROM cursor") == 0
    assert world.number("SELECT COUNT(*) FROM charge") == before
    world.check()
