"""Evidence of a journal whose time is over is bounded; what its leases hold of it never is."""

from dataclasses import replace
from functools import partial

import pytest

from control_plane import limits
from control_plane.core.calls import Overrun, Settle
from control_plane.core.leases import BudgetRef, Holder
from control_plane.core.reports import Status
from control_plane.usecases import orphans
from tests.control_plane.leasing_world import CENT, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar, call


@pytest.fixture
def stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> VirtualSidecar:
    """A sidecar with an open call, revoked."""
    monkeypatch.setattr(limits, "LATE_RECORDS_MAX", 5)
    ref = world.budget("b", USD)
    sidecar = world.sidecar("stopped")
    sidecar.wait(60 * CENT, ref)
    sidecar.sync()
    world.do(lambda tx: tx.run("UPDATE sidecar SET revoked_unix_ms = 1"))
    holder = Holder("stopped", sidecar.epoch)
    world.do(lambda tx: orphans.orphan_leases(tx, holder, orphans.REVOKED, world.now))
    return sidecar


def tells(world: World, sidecar: VirtualSidecar, count: int, counting: BudgetRef) -> None:
    """So many calls that no cap counts, in one Sync."""
    for _ in range(count):
        number = len(sidecar.journal)
        made = replace(call(f"n{number}", world.now, CENT, CENT, ()), counted=(counting,))
        sidecar.append(partial(Settle, call=made, amount_nano_usd=0))
    sidecar.sync()


def test_so_many_records_are_booked_and_the_others_counted(
    world: World, stopped: VirtualSidecar
) -> None:
    counting = world.budget("c", None)
    for _ in range(4):
        tells(world, stopped, 3, counting)
    assert stopped.acked == len(stopped.journal) == 12
    assert world.number("SELECT COUNT(*) FROM call") == 5
    assert world.number("SELECT late_count FROM cursor") == 5
    assert world.number("SELECT dropped_count FROM cursor") == 7
    assert world.number("SELECT COUNT(*) FROM alarm WHERE kind = 'FENCED'") == 1
    # What its lease holds is booked however late it comes.
    (call_id,) = stopped.open
    stopped.settle(call_id, 20 * CENT)
    for key in stopped.leases:
        stopped.give_back(key)
    stopped.sync()
    row = world.row("SELECT * FROM period WHERE budget_id = 'b'")
    assert row["allocated_nano_usd"] == row["spent_nano_usd"] == 20 * CENT
    world.check()


def test_what_was_dropped_is_no_fork_when_it_is_told_again(
    world: World, stopped: VirtualSidecar
) -> None:
    counting = world.budget("c", None)
    tells(world, stopped, 9, counting)
    stopped.acked = 0
    told = replace(
        stopped.report(),
        records=tuple(stopped.journal[:8]),
        raw_records=stopped.report().raw_records[:8],
        chain=stopped.chain(8),
    )
    stopped.send(told)
    assert world.number("SELECT forked_unix_ms FROM cursor") == 0
    assert world.number("SELECT COUNT(*) FROM call") == 5


def test_a_living_journal_has_no_such_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LATE_RECORDS_MAX", 5)
    counting = world.budget("c", None)
    sidecar = world.sidecar("a")
    tells(world, sidecar, 20, counting)
    assert world.number("SELECT COUNT(*) FROM call") == 20


def test_the_newest_alarms_of_each_sidecar_and_kind_are_kept_and_the_others_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ALARMS_MAX", 3)
    ref = world.budget("b", 10 * USD)
    loud, other = world.sidecar("loud"), world.sidecar("other")
    for sidecar, bills in ((other, 1), (loud, 8)):
        for _ in range(bills):
            call_id = sidecar.wait(CENT, ref)
            for _ in range(5):
                sidecar.sync()
                world.set_cap(ref, 10 * USD)
            sidecar.settle(call_id, 2 * CENT)
            sidecar.sync()
    kept = world.store.read(
        lambda tx: tx.rows("SELECT sidecar_id, position FROM alarm ORDER BY position")
    ).result()
    assert [row["sidecar_id"] for row in kept] == ["other", "loud", "loud", "loud"]
    assert kept[-1]["position"] == 9
    assert world.number("SELECT dropped_count FROM dropped_alarms") == 5
    # The money of the dropped ones is booked as it was, and no copy's word books it again.
    assert world.number("SELECT overrun_nano_usd FROM period") == 9 * CENT
    world.check()


def test_an_overrun_is_known_when_its_alarm_was_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ALARMS_MAX", 1)
    ref = world.budget("b", 10 * USD)
    sidecar = world.sidecar("a")
    first = sidecar.wait(CENT, ref)
    sidecar.sync()
    (key,) = sidecar.leases
    sidecar.settle(first, 2 * CENT)
    sidecar.append(lambda seq: Overrun(seq, "another", CENT, (key,)))
    sidecar.sync()
    told = sidecar.journal[1]
    # A copy of the journal tells the first one again.
    sidecar.journal = [told, *sidecar.journal[1:]]
    sidecar.acked = 0
    assert sidecar.sync().status is Status.FENCED
    assert world.number("SELECT overrun_nano_usd FROM period") == 2 * CENT
