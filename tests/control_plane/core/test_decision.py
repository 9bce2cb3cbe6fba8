"""Decisions as tables: who gets money, who is next, what is recalled."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from control_plane.core.decision import decide
from control_plane.core.leases import BudgetRef, Holder, Lease, PeriodKey
from control_plane.core.sharing import water_fill
from control_plane.core.situation import (
    Demand,
    Level,
    PeriodState,
    Plan,
    Reservation,
    Situation,
)

NOW = 1_000_000
A, B = BudgetRef("a", ""), BudgetRef("b", "")
KA, KB = A.period("p"), B.period("p")


def period(key: PeriodKey = KA, cap: int = 100, allocated: int = 0, **more: Any) -> PeriodState:
    plain = PeriodState(key, 0, NOW + 10**9, cap, 1, allocated, 0, 0, 0, open=True)
    return replace(plain, **more)


def lease(who: str, granted: int, key: PeriodKey = KA, **more: Any) -> Lease:
    return replace(Lease(Holder(who, 1), key, granted), **more)


def level(available: int = 0, **more: Any) -> Level:
    plain = Level(0, available, 0, 0, 0, 0, 0, NOW, NOW)
    return replace(plain, **more)


def demand(
    who: str, worst: int, *refs: BudgetRef, age: int = 0, patience: int = 20_000, call: str = ""
) -> Demand:
    return Demand(NOW - age, call or f"{who}-{worst}", who, worst, refs or (A,), patience)


def situation(
    *demands: Demand,
    periods: tuple[PeriodState, ...] = (period(),),
    leases: Mapping[PeriodKey, tuple[Lease, ...]] | None = None,
    levels: Mapping[PeriodKey, Mapping[str, Level]] | None = None,
    **more: Any,
) -> Situation:
    held = {
        key: {one.holder.sidecar_id: one for one in each} for key, each in (leases or {}).items()
    }
    plain = Situation(
        asker="me",
        now_unix_ms=NOW,
        periods={each.key: each for each in periods},
        current={BudgetRef(each.key.budget_id, ""): each.key for each in periods},
        leases=held,
        levels=levels or {},
        demands=demands,
    )
    return replace(plain, **more)


def vectors(plan: Plan) -> dict[str, dict[str, int]]:
    return {
        vector.call_id: {key.budget_id: amount for key, amount in vector.amounts_nano_usd}
        for vector in plan.vectors
    }


# --- Named calls ----------------------------------------------------------------------------------


def test_what_is_missing_is_granted_and_the_call_is_named() -> None:
    assert vectors(decide(situation(demand("me", 30)))) == {"me-30": {"a": 30}}


def test_what_is_available_already_is_not_granted_again() -> None:
    has = {KA: {"me": level(20, granted_seen_nano_usd=20)}}
    plan = decide(situation(demand("me", 30), levels=has, leases={KA: (lease("me", 20),)}))
    assert vectors(plan) == {"me-30": {"a": 10}}


def test_a_grant_that_is_on_its_way_is_not_granted_again() -> None:
    has = {KA: {"me": level(0, granted_seen_nano_usd=0)}}
    plan = decide(situation(demand("me", 30), levels=has, leases={KA: (lease("me", 30),)}))
    assert vectors(plan) == {"me-30": {}}


def test_each_call_needs_money_of_its_own() -> None:
    has = {KA: {"me": level(30, granted_seen_nano_usd=30)}}
    older, newer = demand("me", 30, age=5, call="older"), demand("me", 25, call="newer")
    plan = decide(situation(newer, older, levels=has, leases={KA: (lease("me", 30),)}))
    assert vectors(plan) == {"older": {}, "newer": {"a": 25}}
    assert [vector.call_id for vector in plan.vectors] == ["older", "newer"]


def test_what_was_granted_to_a_named_call_is_not_there_for_an_older_one() -> None:
    """Its sidecar has not spoken since: it was sent 30 for the younger call, which is open."""
    older, younger = demand("me", 25, age=5, call="older"), demand("me", 30, call="younger")
    asked = situation(
        older,
        younger,
        levels={KA: {"me": level(0, granted_seen_nano_usd=0)}},
        leases={KA: (lease("me", 30),)},
        named=frozenset({"younger"}),
    )
    assert vectors(decide(asked)) == {"younger": {}, "older": {"a": 25}}
    other = replace(asked, asker="you", answered=frozenset({"younger"}))
    poor = replace(other, periods={KA: period(cap=30, allocated=30)})
    assert decide(poor).recalls == (), "nothing lies idle there"


def test_all_budgets_or_none() -> None:
    poor = (period(KA, cap=100), period(KB, cap=100, allocated=90))
    plan = decide(situation(demand("me", 30, A, B), periods=poor))
    assert plan.vectors == ()
    rich = (period(KA, cap=100), period(KB, cap=100, allocated=70))
    assert vectors(decide(situation(demand("me", 30, A, B), periods=rich))) == {
        "me-30": {"a": 30, "b": 30}
    }


def test_the_older_call_of_another_sidecar_comes_first_and_is_ready() -> None:
    mine, other = demand("me", 60), demand("other", 60, age=10)
    plan = decide(situation(mine, other))
    assert plan.vectors == ()
    assert plan.ready == {"other"}
    assert plan.nudges == frozenset()
    assert vectors(decide(situation(demand("me", 60, age=20), other))) == {"me-60": {"a": 60}}


def test_what_is_kept_for_the_calls_of_another_sidecar_is_kept_once() -> None:
    crowd = [demand("other", 10, age=50 - n, call=f"other-{n}") for n in range(5)]
    mine = demand("me", 60)
    has = {KA: {"other": level(10, granted_seen_nano_usd=10)}}
    held = {KA: (lease("other", 10),)}
    rich = period(cap=110, allocated=10)
    plan = decide(situation(*crowd, mine, levels=has, leases=held, periods=(rich,)))
    assert vectors(plan) == {"me-60": {"a": 60}}
    assert plan.recalls == ()
    poor = period(cap=109, allocated=10)
    plan = decide(situation(*crowd, mine, levels=has, leases=held, periods=(poor,)))
    assert plan.vectors == ()
    # What the other one has is claimed by its oldest call: nothing of it is asked back.
    assert plan.recalls == ()


def test_a_reservation_keeps_what_is_missing_once_for_younger_calls_of_its_sidecar() -> None:
    oldest = demand("me", 40, A, B, age=15_000, call="oldest")
    younger = demand("me", 10, B, call="younger")
    periods = (period(KA, cap=50, allocated=20), period(KB, cap=50))
    plan = decide(situation(oldest, younger, periods=periods))
    assert plan.reservations[KA].call_id == "oldest"
    assert vectors(plan) == {"younger": {"b": 10}}


def test_calls_of_the_same_age_are_ordered_by_their_ids() -> None:
    mine, other = demand("me", 60, call="a"), demand("other", 60, call="b")
    assert vectors(decide(situation(other, mine))) == {"a": {"a": 60}}


def test_a_call_beyond_what_is_reachable_is_passed_over_and_reserves_nothing() -> None:
    silent = {KA: (lease("gone", 50),)}
    huge, small = demand("other", 60, age=19_000), demand("me", 30)
    plan = decide(
        situation(
            huge,
            small,
            periods=(period(allocated=50),),
            leases=silent,
            silent=frozenset({"gone"}),
        )
    )
    assert vectors(plan) == {"me-30": {"a": 30}}
    assert plan.reservations == {}


@pytest.mark.parametrize(
    "closed",
    [
        period(open=False),
        period(end_unix_ms=NOW),
        period(start_unix_ms=NOW + 1),
    ],
    ids=["closing", "over", "to come"],
)
def test_a_period_that_is_not_running_pays_nothing(closed: PeriodState) -> None:
    plan = decide(situation(demand("me", 1), periods=(closed,), wanted=(KA,)))
    assert (plan.vectors, plan.refills, plan.hopeless) == ((), (), ())
    assert plan.keeps == {KA: 0}


def test_a_call_of_a_budget_without_any_period_is_hopeless_at_its_own_sidecar() -> None:
    unknown = BudgetRef("gone", "")
    plan = decide(situation(demand("me", 1, unknown), demand("other", 1, unknown)))
    assert plan.hopeless == ("me-1",)


def test_a_frozen_lease_opens_nothing_until_the_cap_is_set_anew() -> None:
    frozen = {KA: (lease("me", 0, frozen_cap_version=1),)}
    wants = {KA: {"me": level(want_nano_usd=50, median_worst_nano_usd=1)}}
    plan = decide(situation(demand("me", 1), leases=frozen, levels=wants, wanted=(KA,)))
    assert (plan.vectors, plan.refills) == ((), ())
    newer = (period(cap_version=2),)
    assert decide(situation(demand("me", 1), leases=frozen, periods=newer)).vectors


# --- Reservations ---------------------------------------------------------------------------------

FULL = (period(allocated=95),)


def test_half_its_patience_makes_a_call_reserve() -> None:
    young = decide(situation(demand("other", 60, age=9_999), demand("me", 5), periods=FULL))
    assert young.reservations == {}
    assert vectors(young) == {"me-5": {"a": 5}}
    old = decide(situation(demand("other", 60, age=10_000), demand("me", 5), periods=FULL))
    assert old.reservations == {KA: Reservation("other-60", NOW, NOW)}
    assert old.vectors == ()


def test_only_the_first_in_all_its_budgets_reserves() -> None:
    periods = (period(KA, allocated=95), period(KB, allocated=95))
    first = demand("other", 60, A, age=15_000, call="first")
    second = demand("other", 60, A, B, age=14_000, call="second")
    plan = decide(situation(first, second, periods=periods))
    assert {key: one.call_id for key, one in plan.reservations.items()} == {KA: "first"}


def test_a_reservation_is_renewed_from_when_it_began() -> None:
    before = {KA: Reservation("other-60", NOW - 700, NOW - 100)}
    plan = decide(situation(demand("other", 60, age=15_000), periods=FULL, reservations=before))
    assert plan.reservations == {KA: Reservation("other-60", NOW - 700, NOW)}


def test_after_a_reservation_its_budget_pauses_for_as_long_as_it_lasted() -> None:
    before = {KA: Reservation("done", NOW - 900, NOW - 100)}
    waiting = demand("other", 60, age=15_000)
    plan = decide(situation(waiting, demand("me", 5), periods=FULL, reservations=before))
    assert plan.reservations == {KA: Reservation("", NOW, NOW, NOW + 800)}
    assert vectors(plan) == {"me-5": {"a": 5}}
    later = replace(
        situation(waiting, demand("me", 5), periods=FULL, reservations=plan.reservations),
        now_unix_ms=NOW + 800,
    )
    assert decide(later).reservations == {KA: Reservation("other-60", NOW + 800, NOW + 800)}


def test_a_pause_lasts_at_least_until_one_who_is_nudged_can_have_come() -> None:
    before = {KA: Reservation("done", NOW - 20, NOW - 10)}
    plan = decide(situation(demand("other", 60, age=15_000), periods=FULL, reservations=before))
    assert plan.reservations == {KA: Reservation("", NOW, NOW, NOW + 500)}


# --- Recalls --------------------------------------------------------------------------------------


def holders(**available: int) -> dict[PeriodKey, dict[str, Level]]:
    """Holders of KA, the first named being the idlest."""
    return {
        KA: {
            name: level(amount, used_unix_ms=NOW - 1_000 + place)
            for place, (name, amount) in enumerate(available.items())
        }
    }


def recalled(plan: Plan) -> dict[str, int]:
    return {recall.sidecar_id: recall.keep_nano_usd for recall in plan.recalls}


def test_the_shortage_is_recalled_from_the_idlest_first() -> None:
    full = (period(allocated=90),)
    levels = holders(idle=30, lazy=30, busy=30)
    plan = decide(situation(demand("me", 50), periods=full, levels=levels))
    assert recalled(plan) == {"idle": 0, "lazy": 20}


def test_what_a_holders_own_older_calls_claim_is_left_to_it() -> None:
    full = (period(allocated=100),)
    own = demand("idle", 20, age=100)
    plan = decide(situation(own, demand("me", 50), periods=full, levels=holders(idle=30, busy=70)))
    assert recalled(plan) == {"idle": 20, "busy": 30}


def test_a_recall_that_is_on_its_way_counts() -> None:
    full = (period(allocated=100),)
    plan = decide(
        situation(
            demand("me", 50),
            periods=full,
            levels=holders(idle=30, busy=70),
            pending={("idle", KA): 30},
        )
    )
    assert recalled(plan) == {"busy": 50}


def test_whoever_did_not_answer_is_asked_last() -> None:
    full = (period(allocated=100),)
    levels = holders(idle=30, busy=70)
    late = frozenset({("idle", KA)})
    plan = decide(situation(demand("me", 50), periods=full, levels=levels, unanswered=late))
    assert recalled(plan) == {"busy": 20}
    plan = decide(situation(demand("me", 90), periods=full, levels=levels, unanswered=late))
    assert recalled(plan) == {"busy": 0, "idle": 10}


def test_silent_sidecars_are_not_asked() -> None:
    full = (period(allocated=100),)
    plan = decide(
        situation(
            demand("me", 50),
            periods=full,
            levels=holders(gone=60, busy=70),
            silent=frozenset({"gone"}),
        )
    )
    assert recalled(plan) == {"busy": 20}


def test_a_lowered_cap_is_recalled_without_any_demand() -> None:
    lowered = (period(cap=40, allocated=90),)
    plan = decide(situation(periods=lowered, levels=holders(idle=30, busy=60), wanted=(KA,)))
    assert recalled(plan) == {"idle": 0, "busy": 40}
    assert plan.keeps == {KA: 0}


# --- Refills --------------------------------------------------------------------------------------


def test_half_of_the_headroom_is_shared_and_the_rest_kept_back() -> None:
    wants = {KA: {"me": level(want_nano_usd=90, median_worst_nano_usd=1)}}
    plan = decide(situation(levels=wants, wanted=(KA,)))
    assert plan.keeps == {KA: 50}
    assert plan.refills == ((KA, 50),)


def test_those_who_want_less_leave_more_to_others() -> None:
    wants = {
        KA: {
            "me": level(want_nano_usd=90, median_worst_nano_usd=1),
            "modest": level(want_nano_usd=10, median_worst_nano_usd=1),
        }
    }
    assert decide(situation(levels=wants, wanted=(KA,))).keeps == {KA: 40}


def test_a_share_below_two_median_calls_is_direct() -> None:
    wants = {KA: {"me": level(want_nano_usd=90, median_worst_nano_usd=26)}}
    plan = decide(situation(levels=wants, wanted=(KA,)))
    assert plan.keeps == {KA: 0}
    assert plan.refills == ()
    exactly = {KA: {"me": level(want_nano_usd=90, median_worst_nano_usd=25)}}
    assert decide(situation(levels=exactly, wanted=(KA,))).keeps == {KA: 50}


def test_nobody_holds_ahead_what_somebody_is_short_of() -> None:
    wants = {KA: {"me": level(want_nano_usd=90, median_worst_nano_usd=1)}}
    plan = decide(
        situation(
            demand("other", 80, age=5), periods=(period(allocated=50),), levels=wants, wanted=(KA,)
        )
    )
    assert plan.keeps == {KA: 0}
    assert plan.refills == ()


def test_after_a_shortage_nothing_is_handed_out_ahead_for_a_while() -> None:
    eager = {KA: {"me": level(0, want_nano_usd=20, median_worst_nano_usd=1)}}
    plenty = replace(situation(levels=eager, wanted=(KA,)), short=frozenset([KA]))
    assert (decide(plenty).keeps[KA], decide(plenty).refills) == (0, ())
    over = decide(replace(plenty, short=frozenset()))
    assert (over.keeps[KA], over.refills) == (20, ((KA, 20),))


def test_the_asker_is_told_where_money_is_short() -> None:
    assert decide(situation(demand("other", 60), periods=(period(cap=50),))).short == frozenset()
    poor = period(allocated=50)
    assert decide(situation(demand("other", 60), periods=(poor,))).short == {KA}
    assert decide(situation(demand("other", 40), periods=(poor,))).short == frozenset()


def test_when_money_is_short_holders_of_whom_nothing_is_known_are_asked_to_speak() -> None:
    asked = situation(
        demand("me", 30),
        periods=(period(allocated=100),),
        leases={KA: (lease("quiet", 60), lease("other", 40))},
        levels={KA: {"other": level(held_nano_usd=40)}},
    )
    assert decide(asked).nudges == {"quiet"}


def test_what_is_free_is_what_no_lease_and_no_waiting_call_has_a_claim_on() -> None:
    plan = decide(situation(demand("me", 30), demand("other", 50)))
    assert plan.free_nano_usd == {KA: 20}
    quiet = {KA: {"me": level(0, want_nano_usd=40, median_worst_nano_usd=5)}}
    assert decide(situation(levels=quiet, wanted=(KA,))).free_nano_usd == {KA: 60}


def test_a_call_elsewhere_that_nothing_can_pay_any_more_is_to_hear_of_it() -> None:
    spent = period(allocated=90, spent_nano_usd=90)
    found = decide(situation(demand("other", 30), periods=(spent,)))
    assert found.ready == frozenset()
    assert found.beyond == {KA: frozenset(["other"])}
    assert decide(situation(demand("me", 30), periods=(spent,))).ready == frozenset()


def test_a_call_that_was_named_just_now_keeps_its_money_but_is_not_told_again() -> None:
    other = demand("other", 60, age=10)
    waits = replace(situation(demand("me", 60), other), answered=frozenset([other.call_id]))
    plan = decide(waits)
    assert (plan.vectors, plan.ready) == ((), frozenset())


def test_a_call_whose_patience_ends_soon_reserves_nothing() -> None:
    old = replace(demand("other", 60, age=15_000), gives_up_unix_ms=NOW + 2_000)
    poor = (period(allocated=50),)
    assert decide(situation(old, periods=poor)).reservations
    late = replace(old, gives_up_unix_ms=NOW + 1_999)
    assert not decide(situation(late, periods=poor)).reservations


def test_a_quiet_lease_keeps_a_floor_that_shrinks_with_the_headroom() -> None:
    quiet = {KA: {"me": level(0, median_worst_nano_usd=5)}}
    assert decide(situation(levels=quiet, wanted=(KA,))).keeps == {KA: 20}
    assert decide(situation(levels=quiet, wanted=(KA,), periods=(period(allocated=50),))).keeps == {
        KA: 12
    }
    nearly = (period(allocated=92, spent_nano_usd=91),)
    assert decide(situation(levels=quiet, wanted=(KA,), periods=nearly)).keeps == {KA: 0}
    stale = {KA: {"me": level(0, median_worst_nano_usd=5, used_unix_ms=NOW - 86_400_001)}}
    assert decide(situation(levels=stale, wanted=(KA,))).keeps == {KA: 0}


def test_far_from_the_cap_half_of_what_is_left_stays_free_however_much_is_wanted() -> None:
    """So a call above its sidecar's share finds money, and no share is called back for it."""
    hungry = level(40, want_nano_usd=1_000, median_worst_nano_usd=1)
    levels = {KA: {"me": hungry, "other": replace(hungry, available_nano_usd=10)}}
    far = period(allocated=80, spent_nano_usd=30)
    plan = decide(situation(levels=levels, wanted=(KA,), periods=(far,)))
    assert (plan.keeps[KA], plan.refills) == (17, ())
    nearer = period(allocated=101, spent_nano_usd=51, cap=101)
    plan = decide(situation(levels=levels, wanted=(KA,), periods=(nearer,)))
    assert plan.keeps[KA] == 25, "what both hold, and half of what is free: nothing"


def test_a_next_period_is_filled_by_what_the_running_one_tells() -> None:
    following = PeriodKey("a", "", "q")
    to_come = period(following, start_unix_ms=NOW + 10**9, end_unix_ms=NOW + 2 * 10**9)
    wants = {KA: {"me": level(want_nano_usd=20, median_worst_nano_usd=1)}}
    plan = decide(
        situation(
            periods=(period(), to_come),
            levels=wants,
            wanted=(KA, following),
            starters={following: KA},
            current={A: KA},
        )
    )
    assert dict(plan.refills) == {KA: 20, following: 20}


@pytest.mark.parametrize(
    ("pool", "wants", "parts"),
    [
        (100, [30, 30, 30], [30, 30, 30]),
        (90, [100, 100, 100], [30, 30, 30]),
        (100, [10, 100, 100], [10, 45, 45]),
        (10, [3, 3, 100], [3, 3, 4]),
        (10, [7, 7, 7], [3, 3, 4]),
        (0, [5, 5], [0, 0]),
        (-50, [5], [0]),
    ],
)
def test_water_fills_the_smallest_wants_first(
    pool: int, wants: list[int], parts: list[int]
) -> None:
    filled = [water_fill(pool, wants, mine) for mine in range(len(wants))]
    assert filled == parts
    assert sum(filled) <= max(0, pool)
