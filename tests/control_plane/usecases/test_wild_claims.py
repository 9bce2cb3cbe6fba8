"""A sidecar that claims what cannot be harms itself alone: it is fenced, and all others go on."""

from dataclasses import replace
from functools import partial

import pytest

from control_plane import limits
from control_plane.core.calls import Overrun, Return, Settle, Unreadable
from control_plane.core.reports import Report, Status
from control_plane.store import installation
from tests.control_plane.leasing_world import CENT, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar, call


def alarms(world: World) -> list[str]:
    rows = world.store.read(lambda tx: tx.rows("SELECT kind FROM alarm ORDER BY position")).result()
    return [row["kind"] for row in rows]


def goes_on(world: World, sidecar: VirtualSidecar) -> bool:
    """Whether another sidecar still gets money."""
    call_id = sidecar.wait(CENT, world.budget(f"fresh-{sidecar.calls_made}", USD))
    sidecar.sync()
    return call_id in sidecar.opened and not world.do(installation.get).learning


def lies(report: Report) -> dict[str, Report]:
    (lease,) = report.leases
    return {
        "a generation that never was": replace(report, generation_seen=2**61),
        "the next generation": replace(report, generation_seen=2),
        "an epoch that it was never given": replace(report, epoch=7),
        "grants beyond the ceiling": replace(
            report, leases=(replace(lease, granted_seen_nano_usd=50 * USD),)
        ),
        "a return of what it never had": replace(
            report, leases=(replace(lease, returned_nano_usd=50 * USD),)
        ),
    }


@pytest.mark.parametrize("lie", range(5))
def test_a_lie_fences_the_liar_and_stops_nobody(world: World, lie: int) -> None:
    ref = world.budget("b", USD)
    liar, other = world.sidecar("liar"), world.sidecar("other")
    first = liar.wait(CENT, ref)
    liar.sync()
    assert first in liar.opened
    before = world.period(ref)["allocated_nano_usd"]
    told = list(lies(liar.report()).values())[lie]
    assert liar.send(told).status is Status.FENCED
    assert alarms(world) == ["FENCED"]
    assert world.period(ref)["allocated_nano_usd"] == before
    assert world.do(installation.get).generation == 1
    assert goes_on(world, other)
    # Its evidence is taken all the same.
    liar.settle(first, CENT)
    assert liar.sync().status is Status.FENCED
    assert world.period(ref)["spent_nano_usd"] == CENT
    world.check()


def test_a_newer_serial_alone_proves_nothing(world: World) -> None:
    ref = world.budget("b", USD)
    one = world.sidecar("one")
    one.wait(CENT, ref)
    one.sync()
    for held in one.leases.values():
        held.serial = 2**61
    assert one.sync().status is Status.OK
    assert world.period(ref)["grant_serial"] < 2**61
    assert alarms(world) == []


def test_what_was_spent_beyond_all_grants_is_booked_and_fences(world: World) -> None:
    """The money is gone, whoever was wrong: it counts, and it is an alarm."""
    ref = world.budget("b", USD)
    one, other = world.sidecar("one"), world.sidecar("other")
    call_id = one.wait(CENT, ref)
    one.sync()
    (key,) = one.leases
    made = call("forged", world.now, 9 * USD, 9 * USD, (key,))
    one.append(lambda seq: Settle(seq, made, 9 * USD))
    assert one.sync().status is Status.FENCED
    assert world.period(ref)["spent_nano_usd"] == 9 * USD
    assert alarms(world) == ["FENCED"]
    assert not world.do(installation.get).learning
    assert goes_on(world, other)
    assert call_id in one.open
    world.check()


def test_amounts_that_lead_out_of_all_bounds_are_kept_and_booked_nowhere(world: World) -> None:
    ref = world.budget("b", USD)
    one, other = world.sidecar("one"), world.sidecar("other")
    held = one.wait(CENT, ref)
    one.sync()
    (key,) = one.leases
    huge = limits.PERIOD_NANO_USD_MAX
    one.append(lambda seq: Return(seq, key, huge))
    one.append(lambda seq: Overrun(seq, "forged", huge, (key,)))
    assert one.sync().status is Status.FENCED
    assert sorted(set(alarms(world))) == ["BAD_RECORD", "FENCED"]
    assert world.number("SELECT COUNT(*) FROM bad_record") == 2
    assert world.period(ref)["spent_nano_usd"] == 0
    # The journal goes on: what comes later is booked.
    one.settle(held, CENT)
    assert one.sync().acked_seq == len(one.journal)
    assert world.period(ref)["spent_nano_usd"] == CENT
    assert goes_on(world, other)
    world.check()


def test_many_large_bills_never_stop_a_later_one(world: World) -> None:
    """Each within what one record may say; together they would leave 64 bits."""
    ref, counting = world.budget("b", USD), world.budget("c", None)
    one, other = world.sidecar("one"), world.sidecar("other")
    one.wait(CENT, ref)
    one.sync()
    (key,) = one.leases
    most = limits.RECORD_NANO_USD_MAX
    for batch in range(20):
        for number in range(500):
            made = call(f"c{batch}-{number}", world.now, most, most, (key,), (counting,))
            one.append(partial(Settle, call=made, amount_nano_usd=most))
        one.leases[key].returned = 0
        answer = one.send(one.report())
        one.acked = answer.acked_seq
    assert one.acked == len(one.journal)
    assert world.period(ref)["allocated_nano_usd"] <= limits.PERIOD_NANO_USD_MAX
    assert world.number("SELECT MAX(cost_nano_usd) FROM rollup") == limits.ROLLUP_MAX_UNITS
    assert world.number("SELECT COUNT(*) FROM bad_record") == limits.BAD_RECORDS_MAX
    assert goes_on(world, other)
    world.do(lambda tx: tx.run("DELETE FROM rollup"))
    world.do(lambda tx: tx.run("DELETE FROM call"))


def test_a_record_that_cannot_be_read_is_kept_and_the_journal_goes_on(world: World) -> None:
    ref = world.budget("b", USD)
    one = world.sidecar("one")
    held = one.wait(CENT, ref)
    one.sync()
    one.append(partial(Unreadable, why="it is no Record", raw=b"\xff" * 10_000))
    one.settle(held, CENT)
    assert one.sync().status is Status.OK
    assert one.acked == len(one.journal) == 2
    assert alarms(world) == ["BAD_RECORD"]
    kept = world.row("SELECT * FROM bad_record")
    assert len(kept["raw"]) == limits.BAD_RECORD_BYTES_MAX
    assert kept["why"] == "it is no Record"
    assert world.period(ref)["spent_nano_usd"] == CENT
    world.check()
