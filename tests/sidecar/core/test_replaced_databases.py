"""What a sidecar tells a database that was put in the place of another."""

from sidecar.core.allowance import Allowance
from tests.sidecar.builders import DOLLAR, NOON, HandClock, grant


def test_what_came_back_of_windows_that_are_over_is_told_again_too() -> None:
    allowance, clock = Allowance(), HandClock()
    ends = NOON + 1_000
    over = allowance.merge(grant(budget_id="bgt_a", end=ends), clock.boot_ms, renews=True)
    here = allowance.merge(grant(budget_id="bgt_b"), clock.boot_ms, renews=True)
    allowance.take_all()
    for lease in (over, here):
        lease.changed = False
    clock.forward(2_000)
    allowance.set_ended_aside(clock.now())
    assert list(allowance) == [here]
    assert not allowance.changed()
    allowance.say_again()
    told = [allowance.levels(lease, clock.now()) for lease in allowance.changed()]
    assert [each.returned_nano_usd for each in told] == [DOLLAR, DOLLAR]
    assert not allowance.all_told
    for lease in allowance.changed():
        lease.changed = False
    allowance.set_ended_aside(clock.now())
    assert list(allowance) == [here]
