"""How near its cap a budget is, as far as a sidecar knows."""

from sidecar.core.admission import levels_of, route_of
from sidecar.core.allowance import Allowance
from sidecar.core.leases import Lease
from sidecar.core.routing import Level
from tests.sidecar.builders import CENT, DOLLAR, HandClock, attributes, budget, grant, policy


def leased(allowance: Allowance, clock: HandClock, **told: object) -> Lease:
    return allowance.merge(grant(**told), clock.boot_ms, renews=True)  # type: ignore[arg-type]  # as in grant


def test_what_is_used_is_the_last_word_with_what_happened_here_since() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock, granted=3 * DOLLAR, cap=10 * DOLLAR, spent=DOLLAR)
    assert lease.used_nano_usd == DOLLAR
    allowance.hold([lease], 4 * CENT, clock.boot_ms)
    assert lease.used_nano_usd == DOLLAR + 4 * CENT
    allowance.levels(lease, clock.now())
    allowance.settle([lease], 4 * CENT, CENT)
    assert lease.used_nano_usd == DOLLAR + CENT
    # The answer counts the hold that was told of; it was settled meanwhile.
    leased(allowance, clock, granted=3 * DOLLAR, cap=10 * DOLLAR, spent=DOLLAR, held=6 * CENT)
    assert lease.used_nano_usd == DOLLAR + 3 * CENT, "two cents are held elsewhere"
    allowance.levels(lease, clock.now())
    leased(allowance, clock, granted=3 * DOLLAR, spent=DOLLAR + CENT, held=2 * CENT)
    assert lease.used_nano_usd == DOLLAR + 3 * CENT


def test_the_levels_of_a_call_are_those_of_its_projects_own_budgets_as_far_as_they_are_known() -> (
    None
):
    allowance, clock = Allowance(), HandClock()
    known = policy(budget("bgt_agency", project=""), budget("bgt_a"), budget("bgt_new"))
    leased(allowance, clock, budget_id="bgt_agency", cap=DOLLAR, spent=DOLLAR)
    leased(allowance, clock, budget_id="bgt_a", cap=DOLLAR, spent=80 * CENT, held=5 * CENT)
    route = route_of(known, attributes(), allowance)
    assert levels_of(route, attributes(), clock.unix_ms) == [Level(85 * CENT, DOLLAR)]
    # After the cap was changed what was heard of the one before says nothing.
    route = route_of(policy(budget("bgt_a", cap_version=2)), attributes(), allowance)
    assert levels_of(route, attributes(), clock.unix_ms) == []
