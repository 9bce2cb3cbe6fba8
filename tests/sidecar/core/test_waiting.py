"""The queue: its order, its bounds, who is tried and who is told of."""

import random
from collections.abc import Mapping

import pytest

from sidecar.core.admission import Case, Route
from sidecar.core.allowance import Allowance
from sidecar.core.clamping import Limited
from sidecar.core.leases import Account, AccountKey
from sidecar.core.waiting import Waiting
from tests.sidecar.builders import CENT, HandClock, budget, grant, new_call

CLOCK = HandClock()
ALLOWANCE = Allowance()
A = ALLOWANCE.account(AccountKey("bgt_a", ""))
B = ALLOWANCE.account(AccountKey("bgt_b", ""))


def case(call_id: str, since: int = 0, worst: int = CENT, on: tuple[Account, ...] = (A,)) -> Case:
    return Case(
        call_id=call_id,
        call=new_call(worst),
        since_boot_ms=since,
        patience_ms=20_000,
        route=Route(tuple(budget(account.key.budget_id) for account in on), on, ()),
        asked=Limited(worst, None),
    )


class Door:
    """Notes who was tried, and lets through whom it is told to."""

    def __init__(self, *opens: str) -> None:
        self.opens = set(opens)
        self.tried: list[tuple[str, bool]] = []
        self.claims: dict[str, dict[str, int]] = {}

    def __call__(self, case: Case, named: bool, claims: Mapping[Account, int]) -> bool:
        self.tried.append((case.call_id, named))
        self.claims[case.call_id] = {
            account.key.budget_id: amount for account, amount in claims.items()
        }
        return case.call_id in self.opens


def queued(*cases: Case) -> Waiting:
    waiting = Waiting()
    for each in cases:
        assert waiting.add(each)
    return waiting


def scan(waiting: Waiting, door: Door, *named: str, every: bool = False) -> list[str]:
    waiting.scan(door, CLOCK.now(), named, away=False, every=every)
    return [call_id for call_id, _ in door.tried]


def test_waiting_calls_are_tried_by_age_over_all_queues() -> None:
    waiting = queued(
        case("a1", 1), case("a4", 4), case("b2", 2, on=(B,)), case("ab3", 3, on=(A, B))
    )
    everybody = Door("a1", "b2", "ab3", "a4")
    assert scan(waiting, everybody) == ["a1", "b2", "ab3", "a4"]
    assert len(waiting) == 0


def test_behind_one_that_stays_nothing_of_its_queue_is_tried_but_other_queues_are() -> None:
    waiting = queued(case("a1", 1), case("a2", 2), case("b3", 3, on=(B,)))
    assert scan(waiting, Door("a2", "b3")) == ["a1", "b3"]
    assert "a2" in waiting


def test_after_an_answer_everybody_is_tried_as_some_may_have_to_be_refused() -> None:
    waiting = queued(case("a1", 1), case("a2", 2))
    assert scan(waiting, Door("a2"), every=True) == ["a1", "a2"]
    assert [each.call_id for each in waiting.cases()] == ["a1"]


def test_named_calls_come_first_in_the_order_of_their_age() -> None:
    waiting = queued(case("a1", 1), case("a2", 2), case("a3", 3))
    door = Door("a2", "a3", "a1")
    assert scan(waiting, door, "a3", "gone", "a2") == ["a2", "a3", "a1"]
    assert door.tried[:2] == [("a2", True), ("a3", True)]


def test_a_named_call_that_does_not_fit_goes_on_waiting() -> None:
    waiting = queued(case("a1", 1))
    scan(waiting, Door(), "a1", every=True)
    assert "a1" in waiting


def test_a_newcomer_must_leave_what_the_oldest_waiter_of_each_budget_needs() -> None:
    waiting = queued(
        case("b1", 1, 7 * CENT, on=(B,)), case("ab2", 2, 3 * CENT, on=(A, B)), case("a3", 3)
    )
    claims = waiting.claims((A, B), CLOCK.now(), away=False)
    assert claims == {A: 3 * CENT, B: 7 * CENT}
    assert waiting.claims((A,), CLOCK.now(), away=False) == {A: 3 * CENT}
    assert Waiting().claims((A,), CLOCK.now(), away=False) == {}


def test_an_older_waiter_claims_against_the_younger_ones_of_other_queues() -> None:
    waiting = queued(case("ab1", 1, 5 * CENT, on=(A, B)), case("b2", 2, on=(B,)))
    door = Door()
    scan(waiting, door)
    assert door.claims["ab1"] == {}
    assert door.claims["b2"] == {"bgt_a": 5 * CENT, "bgt_b": 5 * CENT}


def test_nobody_claims_in_direct_mode_unless_the_control_plane_is_away() -> None:
    allowance, clock = Allowance(), HandClock()
    allowance.merge(grant(keep=0), clock.boot_ms, renews=True)
    direct = allowance.account(AccountKey("bgt_a", ""))
    waiting = queued(case("a1", on=(direct,)))
    assert waiting.claims((direct,), clock.now(), away=False) == {}
    assert waiting.claims((direct,), clock.now(), away=True) == {direct: CENT}


def test_one_crowded_client_leaves_room_for_others() -> None:
    waiting = Waiting()
    for number in range(1_024):
        assert waiting.add(case(f"a{number}", number))
    assert not waiting.add(case("a-late", 9_999))
    assert waiting.add(case("b", 9_999, on=(B,)))
    assert len(waiting) == 1_025


def test_a_removed_call_leaves_nothing_behind() -> None:
    one = case("a1")
    waiting = queued(one)
    waiting.remove(one)
    waiting.remove(one)
    assert len(waiting) == 0
    assert waiting.claims((A,), CLOCK.now(), away=False) == {}


def test_a_sync_tells_of_the_oldest_sixteen_of_each_queue_by_age() -> None:
    waiting = queued(
        *(case(f"a{number:02}", 100 + number) for number in range(20)), case("b", 50, on=(B,))
    )
    assert waiting.tell_by_boot_ms(0) == 50
    clock = HandClock(boot_ms=1_000)
    demands = waiting.demands(clock.now())
    assert [demand.call_id for demand in demands] == ["b", *(f"a{n:02}" for n in range(16))]
    assert demands[0].age_ms == 950
    assert demands[0].budgets == (AccountKey("bgt_b", ""),)
    assert waiting.tell_by_boot_ms(0) is None


def test_the_next_in_line_is_told_once_the_oldest_went() -> None:
    waiting = queued(*(case(f"a{number:02}", number) for number in range(17)))
    waiting.demands(CLOCK.now())
    scan(waiting, Door("a00"))
    assert waiting.tell_by_boot_ms(0) == 16
    assert waiting.demands(CLOCK.now())[-1].call_id == "a16"


def test_under_another_policy_everybody_queues_anew_in_the_same_order() -> None:
    waiting = queued(case("b2", 2, on=(B,)), case("a1", 1))
    assert [each.call_id for each in waiting.take_all()] == ["a1", "b2"]
    assert len(waiting) == 0


def test_a_crowd_at_one_client_hides_no_other_clients_call() -> None:
    waiting = Waiting()
    for number in range(40):
        account = ALLOWANCE.account(AccountKey("bgt_crowd", f"workflow-{number}"))
        for place in range(16):
            assert waiting.add(case(f"crowd-{number}-{place}", 1, on=(account,)))
    assert waiting.add(case("late", 9_000, on=(B,)))
    told = [demand.call_id for demand in waiting.demands(CLOCK.now())]
    assert len(told) == 512
    assert "late" in told


def test_what_does_not_fit_into_a_sync_does_not_call_for_the_next_at_once() -> None:
    waiting = Waiting()
    for number in range(600):
        account = ALLOWANCE.account(AccountKey("bgt_crowd", f"workflow-{number}"))
        assert waiting.add(case(f"crowd-{number}", number, on=(account,)))
    assert waiting.tell_by_boot_ms(0) == 0
    waiting.demands(CLOCK.now())
    assert waiting.tell_by_boot_ms(0) is None


def without_hope(
    call_id: str, since: int = 0, worst: int = CENT, on: tuple[Account, ...] = (A,)
) -> Case:
    made = case(call_id, since, worst, on)
    made.hopeful = False
    return made


def test_a_call_that_could_not_be_named_is_told_of_later_and_behind_a_told_one_later_still() -> (
    None
):
    waiting = queued(without_hope("a1", 100))
    assert waiting.tell_by_boot_ms(0) == 9_600
    assert waiting.tell_by_boot_ms(8_000) == 10_500
    waiting.demands(CLOCK.now())
    assert waiting.add(without_hope("a2", 200, CENT - 1))
    assert waiting.tell_by_boot_ms(0) == 10_200
    assert waiting.add(without_hope("b", 300, on=(B,)))
    assert waiting.tell_by_boot_ms(0) == 9_800
    assert waiting.add(case("a3", 400))
    assert waiting.tell_by_boot_ms(0) == 400


def test_behind_a_told_one_that_is_no_larger_a_call_need_not_be_told_of() -> None:
    first = without_hope("a1", 100)
    waiting = queued(first)
    waiting.demands(CLOCK.now())
    assert waiting.add(without_hope("a2", 200))
    assert waiting.add(without_hope("a3", 300, 2 * CENT))
    assert waiting.tell_by_boot_ms(0) is None
    waiting.remove(first)
    assert waiting.tell_by_boot_ms(0) == 9_700, "nobody stands for them any more"


def test_a_sync_tells_of_a_small_call_behind_a_crowd_of_large_ones() -> None:
    crowd = [without_hope(f"a{number:02}", number, 9 * CENT) for number in range(40)]
    waiting = queued(*crowd, without_hope("large", 40, 10 * CENT), case("small", 41, CENT))
    assert waiting.tell_by_boot_ms(0) == 41
    told = [demand.call_id for demand in waiting.demands(CLOCK.now())]
    assert told == [*(f"a{number:02}" for number in range(15)), "small"]


@pytest.mark.parametrize("seed", range(6))
def test_whom_a_sync_tells_of_depends_on_who_waits_and_not_on_who_came_and_went(seed: int) -> None:
    dice = random.Random(seed)
    waiting, here = Waiting(), list[Case]()
    for number in range(400):
        if here and dice.random() < (0.2 if number < 200 else 0.7):
            gone = here.pop(dice.choice((0, 0, dice.randrange(len(here)))))
            waiting.remove(gone)
        elif dice.random() < 0.05:
            cheaper = dice.choice(here or [case("nobody")])
            cheaper.asked = Limited(CENT // 2, None)
            scan(waiting, Door())
        else:
            worst = CENT * dice.choice((1, 2, 3, 5, 8))
            here.append(case(f"c{number}", number, worst, dice.choice([(A,), (A, B)])))
            assert waiting.add(here[-1])
        told = [one.call_id for one in waiting.demands(CLOCK.now())]
        assert told == [one.call_id for one in queued(*here).demands(CLOCK.now())]


def test_a_call_of_little_patience_is_told_of_sooner() -> None:
    hasty = without_hope("a1", 0)
    hasty.patience_ms = 2_000
    assert queued(hasty).tell_by_boot_ms(-10_000) == 950


def test_the_oldest_of_a_queue_may_need_only_its_name_once_money_comes_free() -> None:
    allowance = Allowance()
    short, wide = (
        allowance.merge(grant(budget_id, granted=amount, keep=0), 0, renews=True)
        for budget_id, amount in (("bgt_a", 2 * CENT), ("bgt_b", 9 * CENT))
    )
    waiting = queued(case("ab", 1, 3 * CENT, on=(short.account, wide.account)))
    now = CLOCK.now()
    assert not waiting.fits([wide], now), "the other budget has too little"
    waiting.add(case("b", 2, 9 * CENT, on=(wide.account,)))
    assert waiting.fits([wide], now)
    assert not waiting.fits([short], now)
    assert not Waiting().fits([wide], now)
