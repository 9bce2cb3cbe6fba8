import hashlib

import pytest

from control_plane.core.calls import Adjust, Overrun, Record, Return, Settle, Void
from control_plane.core.leases import BudgetRef, PeriodKey
from control_plane.core.ledger import (
    CHAIN_START,
    Standing,
    bucket_of,
    chain_after,
    compare,
    fold,
)
from tests.control_plane.leasing_world import NOON
from tests.control_plane.virtual_sidecar import call

KEY, OTHER = PeriodKey("b", "", "p"), PeriodKey("c", "", "p")


def period_at(budget: BudgetRef, instant_unix_ms: int) -> PeriodKey:
    return budget.period(str(instant_unix_ms))


def told(from_seq: int, count: int) -> list[bytes]:
    return [f"record {seq}".encode() for seq in range(from_seq, from_seq + count)]


@pytest.mark.parametrize(
    ("last_seq", "from_seq", "count", "standing", "skip"),
    [
        (0, 1, 3, Standing.CONTINUES, 0),
        (5, 6, 1, Standing.CONTINUES, 0),
        (5, 4, 3, Standing.CONTINUES, 2),
        (5, 1, 5, Standing.CONTINUES, 5),
        (5, 1, 2, Standing.BEFORE, 0),
        (5, 7, 1, Standing.GAP, 0),
        (5, 0, 0, Standing.NONE, 0),
    ],
)
def test_a_report_continues_the_cursor_or_shows_a_gap(
    last_seq: int, from_seq: int, count: int, standing: Standing, skip: int
) -> None:
    here = chain_after(CHAIN_START, told(1, last_seq))
    there = chain_after(CHAIN_START, told(1, from_seq + count - 1))
    found = compare(last_seq, here, from_seq, told(from_seq, count), there)
    assert (found.standing, found.skip) == (standing, skip)
    if standing is Standing.CONTINUES:
        assert found.chain == there


@pytest.mark.parametrize(("from_seq", "count"), [(6, 1), (4, 3), (1, 5)])
def test_records_with_another_past_are_a_fork(from_seq: int, count: int) -> None:
    here = chain_after(CHAIN_START, told(1, 5))
    there = chain_after(b"another", told(1, from_seq + count - 1))
    assert compare(5, here, from_seq, told(from_seq, count), there).standing is Standing.FORKS


def test_the_chain_is_over_the_bytes_before_and_the_record() -> None:
    first = hashlib.sha256(CHAIN_START + b"one").digest()
    assert chain_after(CHAIN_START, [b"one"]) == first
    both = chain_after(CHAIN_START, [b"one", b"two"])
    assert both == chain_after(first, [b"two"]) == hashlib.sha256(first + b"two").digest()
    assert chain_after(CHAIN_START, []) == CHAIN_START


def test_a_settlement_charges_every_lease_its_amount_and_counting_budgets_its_cost() -> None:
    made = call("c1", NOON, cost=12, worst=10, vector=(KEY, OTHER), counted=(BudgetRef("n", ""),))
    booked = fold([Settle(1, made, 10), Overrun(2, "c1", 2, (KEY, OTHER))], period_at)
    counting = PeriodKey("n", "", str(NOON))
    assert booked.spent_nano_usd == {KEY: 10, OTHER: 10}
    assert booked.counted_nano_usd == {counting: 12}
    assert [(c.seq, c.key, c.kind, c.amount_nano_usd) for c in booked.charges] == [
        (1, KEY, "SETTLE", 10),
        (1, OTHER, "SETTLE", 10),
        (1, counting, "SETTLE", 12),
        (2, KEY, "OVERRUN", 2),
        (2, OTHER, "OVERRUN", 2),
    ]
    assert booked.periods == {KEY, OTHER, counting}


def test_a_void_call_is_booked_without_a_charge() -> None:
    made = call("c1", NOON, cost=0, worst=10, vector=(KEY,))
    booked = fold([Void(1, made)], period_at)
    assert (len(booked.calls), booked.charges, booked.spent_nano_usd) == (1, [], {})


def test_of_returns_the_largest_counts() -> None:
    records: list[Record] = [Return(1, KEY, 5), Return(2, KEY, 9), Return(3, KEY, 7)]
    assert fold(records, period_at).returned_nano_usd == {KEY: 9}


def test_a_correction_waits_for_what_is_booked() -> None:
    adjust = Adjust(1, "c1", -4, "bill", (KEY,))
    booked = fold([adjust], period_at)
    assert (booked.adjusts, booked.spent_nano_usd, booked.charges) == ([adjust], {}, [])
    assert booked.periods == {KEY}


def test_a_call_that_is_known_or_comes_twice_is_no_call_again() -> None:
    records: list[Record] = [
        Settle(n, call(call_id, NOON, 1, 1, (KEY,)), 1)
        for n, call_id in enumerate(("known", "new", "new"), 1)
    ]
    booked = fold(records, period_at, ["known"])
    assert [each.seq for each in booked.calls] == [2]
    assert [each.seq for each in booked.repeated] == [1, 3]
    assert sum(row.call_count for row in booked.rollups.values()) == 1
    # Its lease spent it all the same.
    assert booked.spent_nano_usd == {KEY: 3}


def test_a_period_of_the_vector_is_not_counted_again() -> None:
    made = call("c", NOON, 5, 9, (KEY,), (BudgetRef(KEY.budget_id, KEY.partition),))
    booked = fold([Settle(1, made, 5)], lambda _, __: KEY)
    assert booked.counted_nano_usd == {}
    assert len(booked.charges) == 1


def test_calls_are_summed_by_the_quarter_hour_of_their_start() -> None:
    records: list[Record] = [
        Settle(n, call(f"c{n}", NOON + n * 300_000, 1, 1, ()), 1) for n in range(6)
    ]
    sums = fold(records, period_at).rollups
    assert {key.bucket_unix_ms - NOON: row.call_count for key, row in sums.items()} == {
        0: 3,
        900_000: 3,
    }
    assert bucket_of(NOON + 899_999) == NOON
