"""Whether a call opens, waits, or is refused."""

import pytest

from sidecar.core.admission import (
    Case,
    Circumstances,
    Open,
    Plan,
    Refuse,
    Route,
    Wait,
    decide,
    give_up,
    route_of,
    standing_refusal,
)
from sidecar.core.allowance import Allowance
from sidecar.core.calls import NO_COST, NewCall
from sidecar.core.clamping import Limited, OutputLengths
from sidecar.core.policy import Policy
from sidecar.core.refusals import Reason, Refusal
from tests.sidecar.builders import (
    CENT,
    DOLLAR,
    NOON,
    HandClock,
    attributes,
    bound,
    budget,
    grant,
    key,
    new_call,
    policy,
    project,
)


class World:
    """One sidecar's leases and policy."""

    def __init__(self, known: Policy | None = None) -> None:
        self.clock = HandClock()
        self.allowance = Allowance()
        self.policy = known or policy()
        self.lengths = OutputLengths()
        self.away = self.paused = False
        self.heard = True

    def told(self, budget_id: str = "bgt_a", **answer: object) -> None:
        self.allowance.merge(
            grant(budget_id, **answer),  # type: ignore[arg-type]  # as in grant
            self.clock.boot_ms,
            renews=True,
        )

    def case(self, call: NewCall | None = None) -> Case:
        asked = call or new_call()
        return Case(
            call_id="call_1",
            call=asked,
            since_boot_ms=self.clock.boot_ms,
            patience_ms=20_000,
            route=route_of(self.policy, asked.attributes, self.allowance),
        )

    @property
    def at(self) -> Circumstances:
        return Circumstances(
            now=self.clock.now(),
            away=self.away,
            heard=self.heard,
            paused=self.paused,
            lengths=self.lengths,
        )

    def decide(self, call: NewCall | None = None, *, named: bool = False) -> Plan:
        return decide(self.case(call), self.at, named=named)

    def refusal(self, call: NewCall | None = None) -> Refusal:
        plan = self.decide(call)
        assert isinstance(plan, Refuse)
        return plan.refusal


def three_budgets() -> World:
    known = policy(budget("bgt_agency", project=""), budget("bgt_a"), budget("bgt_flow"))
    return World(known)


def test_a_call_opens_when_its_lease_covers_its_worst_case() -> None:
    world = World()
    world.told(granted=CENT)
    plan = world.decide()
    assert isinstance(plan, Open)
    assert plan.limited == Limited(CENT, None)
    assert [lease.key.budget_id for lease in plan.leases] == ["bgt_a"]


def test_a_call_waits_for_its_first_lease_and_for_the_last_nano_dollar() -> None:
    world = World()
    assert isinstance(world.decide(), Wait)
    world.told(granted=CENT - 1)
    assert isinstance(world.decide(), Wait)


def test_a_call_waits_when_one_of_its_leases_does_not_cover_it() -> None:
    world = three_budgets()
    world.told("bgt_agency")
    world.told("bgt_a", granted=CENT - 1)
    world.told("bgt_flow")
    assert isinstance(world.decide(), Wait)
    world.told("bgt_a", granted=CENT)
    plan = world.decide()
    assert isinstance(plan, Open)
    assert [lease.key.budget_id for lease in plan.leases] == ["bgt_a", "bgt_agency", "bgt_flow"]


def test_a_call_that_no_budget_counts_is_refused() -> None:
    call = new_call(of=attributes(project="prj_b"))
    assert World().refusal(call).reason is Reason.NO_BUDGET


def test_a_budget_without_a_cap_has_no_lease_and_never_waits() -> None:
    world = World(policy(budget("bgt_a", capped=False)))
    plan = world.decide()
    assert isinstance(plan, Open)
    assert plan.leases == ()
    world.heard = False
    assert isinstance(world.decide(), Wait)


def test_authority_that_is_over_or_a_pause_of_the_machine_stops_new_calls() -> None:
    world = World()
    world.told(authority_ms=60_000)
    world.paused = True
    assert isinstance(world.decide(), Wait)
    world.paused = False
    assert isinstance(world.decide(), Open)
    world.clock.forward(60_000)
    assert isinstance(world.decide(), Wait)


def test_a_call_of_a_direct_budget_opens_only_when_named_and_covered() -> None:
    world = World()
    world.told(granted=CENT, keep=0)
    assert isinstance(world.decide(), Wait)
    assert isinstance(world.decide(named=True), Open)
    dearer = new_call(2 * CENT)
    assert isinstance(world.decide(dearer, named=True), Wait)


def test_nobody_is_there_to_name_calls_while_the_control_plane_is_away() -> None:
    world = World()
    world.told(granted=CENT, keep=0)
    world.away = True
    assert isinstance(world.decide(), Open)


def test_what_older_waiters_claim_is_left_to_them() -> None:
    world = World()
    world.told(granted=3 * CENT)
    case = world.case()
    account = case.route.accounts[0]
    assert isinstance(decide(case, world.at, claims={account: 2 * CENT}), Open)
    assert isinstance(decide(case, world.at, claims={account: 2 * CENT + 1}), Wait)


def test_a_worst_case_above_what_is_unspent_is_refused_at_once() -> None:
    world = World()
    world.told(granted=0, cap=DOLLAR, unspent=50 * CENT, spent=50 * CENT)
    refusal = world.refusal(new_call(60 * CENT))
    assert refusal.reason is Reason.TOO_LARGE
    [shortage] = refusal.shortages
    assert shortage.fits_nano_usd == 50 * CENT
    assert (shortage.cap_nano_usd, shortage.spent_nano_usd) == (DOLLAR, 50 * CENT)
    assert shortage.period_end_unix_ms == NOON + 1_000_000_000
    assert isinstance(world.decide(new_call(50 * CENT)), Wait)


def test_a_budget_with_less_left_than_the_smallest_call_is_exhausted() -> None:
    world = World()
    world.told(granted=0, cap=DOLLAR, unspent=CENT, smallest=2 * CENT)
    assert world.refusal(new_call(2 * CENT)).reason is Reason.EXHAUSTED
    world.told(granted=0, cap=DOLLAR, unspent=CENT, smallest=CENT)
    assert world.refusal(new_call(2 * CENT)).reason is Reason.TOO_LARGE
    world.told(granted=0, cap=DOLLAR, unspent=0)
    assert world.refusal(new_call(2 * CENT)).reason is Reason.EXHAUSTED


def test_an_old_word_of_what_is_unspent_is_asked_for_again() -> None:
    """What a lost journal held may have come free since, and nobody tells."""
    world = World()
    world.told(granted=0, cap=DOLLAR, unspent=CENT)
    world.clock.forward(15_000)
    assert world.refusal(new_call(2 * CENT)).reason is Reason.TOO_LARGE
    world.clock.forward(1)
    assert isinstance(world.decide(new_call(2 * CENT)), Wait)
    world.told(granted=0, cap=DOLLAR, unspent=CENT)
    assert world.refusal(new_call(2 * CENT)).reason is Reason.TOO_LARGE
    # While nobody answers, the last word holds.
    world.clock.forward(60_000)
    world.away = True
    assert world.refusal(new_call(2 * CENT)).reason is Reason.TOO_LARGE


def test_local_money_does_not_outlive_a_cap_that_was_lowered() -> None:
    world = World()
    world.told(granted=DOLLAR, cap=DOLLAR, unspent=0)
    assert world.refusal().reason is Reason.EXHAUSTED


def test_what_was_heard_of_an_earlier_cap_is_forgotten() -> None:
    world = World()
    world.told(granted=0, cap=DOLLAR, unspent=0, cap_version=1)
    world.policy = policy(budget(cap_version=2))
    assert isinstance(world.decide(), Wait)


def test_what_a_database_said_that_was_replaced_refuses_nothing() -> None:
    """The one in its place may have forgotten changes of the cap, and counts them once more."""
    world = World(policy(budget(cap_version=1)))
    world.told(granted=0, cap=0, unspent=0, cap_version=2)
    assert world.refusal().reason is Reason.EXHAUSTED
    world.allowance.say_again()
    assert isinstance(world.decide(), Wait)
    world.told(granted=0, cap=DOLLAR, unspent=0, cap_version=1)
    assert world.refusal().reason is Reason.EXHAUSTED


def test_money_that_a_silent_sidecar_holds_is_unreachable_and_it_is_named() -> None:
    world = World()
    world.told(granted=0, unspent=DOLLAR, reachable=0, silent="host-2")
    refusal = world.refusal()
    assert refusal.reason is Reason.UNREACHABLE
    assert "host-2" in refusal.message
    # Heard too long before this call came: the silent one may be back.
    world.clock.forward(1_001)
    assert isinstance(world.decide(), Wait)


def test_what_is_here_is_not_out_of_reach() -> None:
    world = World()
    world.told(granted=CENT, unspent=DOLLAR, reachable=0, silent="host-2")
    assert isinstance(world.decide(), Open)


def test_an_overrun_stops_the_budget_with_words_of_its_own() -> None:
    world = World()
    world.told(frozen=True)
    refusal = world.refusal()
    assert refusal.reason is Reason.EXHAUSTED
    assert "billed more than the worst case" in refusal.message


def test_all_failing_budgets_are_listed_the_gravest_first() -> None:
    world = three_budgets()
    world.told("bgt_agency", granted=0, unspent=0, end=NOON + 5_000)
    world.told("bgt_a", granted=0, unspent=CENT, smallest=1)
    world.told("bgt_flow", granted=0, unspent=0, end=NOON + 9_000)
    refusal = world.refusal(new_call(2 * CENT))
    assert [each.budget_id for each in refusal.shortages] == ["bgt_flow", "bgt_agency", "bgt_a"]
    assert [each.reason for each in refusal.shortages] == [
        Reason.EXHAUSTED,
        Reason.EXHAUSTED,
        Reason.TOO_LARGE,
    ]


# --- Output limits --------------------------------------------------------------------------

RATE = 1_000_000


def open_ended(output_max: int = 100_000) -> NewCall:
    """Up to ten cents, without a limit of its own."""
    return new_call(what=bound(0, output_rate=RATE, output_max=output_max))


def test_far_from_the_cap_a_call_without_a_limit_holds_the_models_maximum() -> None:
    world = World()
    world.told(granted=DOLLAR, cap=2 * DOLLAR)
    plan = world.decide(open_ended())
    assert isinstance(plan, Open)
    assert plan.limited == Limited(10 * CENT, None)


def test_near_the_cap_it_is_clamped_to_a_tenth_of_what_is_left() -> None:
    world = World()
    world.told(granted=50 * CENT, cap=DOLLAR, spent=50 * CENT)
    plan = world.decide(open_ended())
    assert isinstance(plan, Open)
    assert plan.limited == Limited(5 * CENT, 50_000)


def test_what_calls_hold_elsewhere_is_not_left() -> None:
    world = World()
    world.told(granted=50 * CENT, cap=DOLLAR, spent=0, held=80 * CENT)
    plan = world.decide(open_ended())
    assert isinstance(plan, Open)
    assert plan.limited.output_limit == 20_000


def test_a_clamped_call_takes_what_is_here_rather_than_wait_down_to_its_floor() -> None:
    world = World()
    world.told(granted=CENT, cap=DOLLAR, spent=50 * CENT)
    plan = world.decide(open_ended())
    assert isinstance(plan, Open)
    assert plan.limited == Limited(CENT, 10_000)
    world = World()
    world.told(granted=4_000_000, cap=DOLLAR, spent=50 * CENT)
    # 4,096 tokens would cost a little more than what is here.
    assert isinstance(world.decide(open_ended()), Wait)


def test_a_clamped_call_that_does_not_fit_under_its_floor_is_too_large() -> None:
    world = World()
    world.told(granted=0, cap=DOLLAR, unspent=4_000_000, smallest=1)
    assert world.refusal(open_ended()).reason is Reason.TOO_LARGE


def test_a_waiting_call_never_asks_for_more_than_before() -> None:
    world = World()
    world.told(granted=0, cap=DOLLAR, spent=50 * CENT)
    case = world.case(open_ended())
    plan = decide(case, world.at)
    assert isinstance(plan, Wait)
    case.asked = plan.limited
    world.told(granted=0, cap=10 * DOLLAR, spent=50 * CENT)
    again = decide(case, world.at)
    assert isinstance(again, Wait)
    assert again.limited == plan.limited


def test_without_a_control_plane_only_what_is_here_is_left() -> None:
    world = World()
    world.told(granted=50 * CENT, cap=100 * DOLLAR)
    world.away = True
    plan = world.decide(open_ended())
    assert isinstance(plan, Open)
    assert plan.limited == Limited(5 * CENT, 50_000)


# --- Giving up ------------------------------------------------------------------------------


def test_the_end_of_patience_names_the_budgets_that_did_not_cover_the_call() -> None:
    world = three_budgets()
    world.told("bgt_agency")
    world.told("bgt_a", granted=0, held=DOLLAR)
    world.told("bgt_flow")
    refusal = give_up(world.case(), world.at, Reason.BUSY)
    assert refusal.reason is Reason.BUSY
    assert [each.budget_id for each in refusal.shortages] == ["bgt_a"]
    assert refusal.retry_after_ms is not None
    assert refusal.retryable


def test_a_call_without_a_limit_that_lacks_what_others_hold_may_be_tried_again() -> None:
    world = World()
    world.told(granted=0, cap=DOLLAR, unspent=10 * CENT, held=10 * CENT, smallest=1)
    assert isinstance(world.decide(open_ended()), Wait)
    refusal = give_up(world.case(open_ended()), world.at, Reason.BUSY)
    assert refusal.reason is Reason.BUSY
    assert refusal.retryable
    assert refusal.retry_after_ms is not None


def test_what_is_unspent_alone_makes_a_call_without_a_limit_too_large() -> None:
    # 4,096 tokens, below which it is not clamped, cost 4,096,000 nano-dollars.
    for unspent, held, waits in (
        (4_096_000, 4_096_000, True),
        (4_096_000, 0, True),
        (4_095_999, 0, False),
        (4_095_999, 4_095_999, False),
    ):
        world = World()
        world.told(granted=0, cap=DOLLAR, unspent=unspent, held=held, smallest=1)
        plan = world.decide(open_ended())
        assert isinstance(plan, Wait) is waits
        if isinstance(plan, Refuse):
            assert plan.refusal.reason is Reason.TOO_LARGE


def test_a_lease_that_was_never_heard_of_is_unreachable_without_a_control_plane() -> None:
    world = World()
    refusal = give_up(world.case(), world.at, Reason.UNREACHABLE)
    assert refusal.reason is Reason.UNREACHABLE
    assert refusal.shortages[0].budget_id == "bgt_a"
    assert refusal.shortages[0].cap_nano_usd is None


def test_a_call_that_is_only_counted_names_the_budget_that_counts_it() -> None:
    world = World(policy(budget("bgt_a", capped=False)))
    refusal = give_up(world.case(), world.at, Reason.UNREACHABLE)
    assert refusal.budget_id == "bgt_a"


# --- Keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        pytest.param(policy(), None, id="good"),
        pytest.param(policy(keys=(key(secret="sec_b"),)), Reason.KEY_REVOKED, id="gone"),
        pytest.param(policy(keys=(key(revoked=True),)), Reason.KEY_REVOKED, id="revoked"),
        pytest.param(policy(keys=(key(expires=NOON + 1),)), None, id="not over yet"),
        pytest.param(policy(keys=(key(expires=NOON),)), Reason.KEY_EXPIRED, id="over"),
        pytest.param(
            policy(projects=(project(active=False),)), Reason.PROJECT_SUSPENDED, id="suspended"
        ),
        pytest.param(
            policy(projects=(project("prj_b"),)), Reason.PROJECT_SUSPENDED, id="project gone"
        ),
        pytest.param(
            policy(keys=(key(models=frozenset({"gpt-y"})),)),
            Reason.MODEL_NOT_ALLOWED,
            id="other model",
        ),
    ],
)
def test_a_key_is_judged_anew_at_every_attempt(known: Policy, reason: Reason | None) -> None:
    refusal = standing_refusal(known, new_call(), NOON)
    assert (refusal.reason if refusal else None) is reason


def test_a_split_budget_gives_each_workflow_an_account_of_its_own() -> None:
    known, allowance = policy(budget(split="workflow")), Allowance()
    routes: list[Route] = [
        route_of(known, attributes(workflow=workflow), allowance) for workflow in ("x", "y", "x")
    ]
    accounts = [route.accounts[0] for route in routes]
    assert [account.key.partition for account in accounts] == ["x", "y", "x"]
    assert accounts[0] is accounts[2]


def hopeful(world: World, worst: int = CENT) -> bool:
    plan = world.decide(new_call(worst))
    assert isinstance(plan, Wait)
    return plan.hopeful


def test_asking_is_hopeless_where_others_wait_and_less_is_free_than_the_call_needs() -> None:
    world = World()
    world.told(granted=0, keep=0)
    assert hopeful(world)
    world.told(granted=0, keep=0, short=True, free=CENT)
    assert hopeful(world)
    assert not hopeful(world, CENT + 1)
    world.clock.forward(10_000)
    assert hopeful(world, CENT + 1)


def test_who_is_cut_off_asks_whatever_was_said_before() -> None:
    world = World()
    world.told(granted=0, keep=0, short=True)
    world.away = True
    assert hopeful(world)


def test_a_price_of_zero_is_no_promise_its_call_opens_on_leases_and_not_after_an_overrun() -> None:
    world = World()
    free = new_call(0)
    assert free.bound.is_free
    assert isinstance(world.decide(free), Wait)
    world.told(granted=0)
    plan = world.decide(free)
    assert isinstance(plan, Open)
    (lease,) = plan.leases
    assert (lease.key.budget_id, plan.limited.worst_nano_usd) == ("bgt_a", 0)
    lease.overrun_seq = 7
    assert isinstance(world.decide(free), Wait)
    lease.overrun_seq = 0
    world.told(granted=0, frozen=True)
    assert world.refusal(free).reason is Reason.EXHAUSTED


def test_what_no_provider_bills_opens_on_no_lease_whatever_stands_in_the_way() -> None:
    world = World()
    world.away = world.paused = True
    world.heard = False
    plan = world.decide(new_call(what=NO_COST))
    assert plan == Open(Limited(0, None), ())


def test_what_no_provider_bills_and_no_budget_counts_is_refused_all_the_same() -> None:
    world = World(policy(budget(project="prj_else")))
    assert world.refusal(new_call(what=NO_COST)).reason is Reason.NO_BUDGET
