"""Sums that somebody drove to their bound harm no one who tells what he was granted."""

from functools import partial

from control_plane import limits
from control_plane.core.calls import Settle
from control_plane.core.reports import Status
from control_plane.store import installation
from tests.control_plane.leasing_world import CENT, USD, World
from tests.control_plane.virtual_sidecar import call


def test_a_period_at_its_bound_books_on_what_was_granted(world: World) -> None:
    """A stolen credential reports spend without end; others on the budget are not fenced."""
    ref = world.budget("b", USD)
    liar, other = world.sidecar("liar"), world.sidecar("other")
    liar.wait(CENT, ref)
    liar.sync()
    held = other.wait(2 * CENT, ref)
    other.sync()
    assert held in other.opened
    (key,) = liar.leases
    most = limits.RECORD_NANO_USD_MAX
    for batch in range(18):
        for number in range(500):
            made = call(f"c{batch}-{number}", world.now, most, most, (key,))
            liar.append(partial(Settle, call=made, amount_nano_usd=most))
        liar.leases[key].returned = 0
        liar.acked = liar.send(liar.report()).acked_seq
    left = limits.PERIOD_NANO_USD_MAX - world.period(ref)["allocated_nano_usd"]
    assert left < 500 * most
    # The last of it in small amounts, until nothing fits.
    while left > 0:
        part = min(left, most)
        made = call(f"last-{left}", world.now, part, part, (key,))
        liar.append(partial(Settle, call=made, amount_nano_usd=part))
        left -= part
    liar.acked = liar.send(liar.report()).acked_seq
    before = world.period(ref)
    assert before["allocated_nano_usd"] >= limits.PERIOD_NANO_USD_MAX - most
    other.settle(held, 2 * CENT)
    assert other.sync().status is Status.OK
    assert world.period(ref)["spent_nano_usd"] == before["spent_nano_usd"] + 2 * CENT
    assert not world.do(installation.get).learning
    world.do(lambda tx: tx.run("DELETE FROM rollup"))
    world.do(lambda tx: tx.run("DELETE FROM call"))
