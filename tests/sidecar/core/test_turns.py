"""At the turn of a window: who used the last one is served from the first instant of the next."""

from sidecar.core.allowance import Allowance
from sidecar.core.leases import Lease
from tests.sidecar.builders import CENT, HandClock, grant

DAY_MS = 24 * 3_600_000


def use(allowance: Allowance, lease: Lease, clock: HandClock) -> None:
    allowance.hold([lease], CENT, clock.boot_ms)
    allowance.settle([lease], CENT, CENT)


def test_before_a_window_turns_all_that_were_used_in_it_are_told() -> None:
    allowance, clock = Allowance(), HandClock()
    turn = clock.unix_ms + 5 * DAY_MS
    quiet = allowance.merge(grant(end=turn), clock.boot_ms, renews=True)
    allowance.merge(grant("bgt_b", 0, end=turn), clock.boot_ms, renews=True)
    use(allowance, quiet, clock)
    quiet.changed = False
    clock.forward(4 * DAY_MS)
    allowance.take_returns(clock.now())
    for lease in allowance:
        lease.changed = False
    clock.forward(DAY_MS - 3_600_001)
    assert allowance.reportable(clock.now()) == []
    clock.forward(1)
    assert allowance.reportable(clock.now()) == [quiet]
    assert allowance.levels(quiet, clock.now()).median_worst_nano_usd == CENT


def test_first_money_of_a_window_stays_for_a_day_where_the_last_one_was_used() -> None:
    allowance, clock = Allowance(), HandClock()
    turn = clock.unix_ms + 5 * DAY_MS
    use(allowance, allowance.merge(grant(end=turn), clock.boot_ms, renews=True), clock)
    following = grant(
        granted=4 * CENT, period="2026-12-01", start=turn, end=turn + 9 * DAY_MS, keep=4 * CENT
    )
    new = allowance.merge(following, clock.boot_ms, renews=True)
    clock.forward(6 * DAY_MS - 1)
    allowance.take_returns(clock.now())
    assert new.available_nano_usd == 4 * CENT
    clock.forward(1)
    allowance.take_returns(clock.now())
    assert new.available_nano_usd == 0
