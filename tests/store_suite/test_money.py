"""The money truths that every store keeps, whatever the code above it does."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from control_plane.core.leases import Holder, Lease, PeriodKey
from control_plane.store import leases, periods
from control_plane.store.engine import ConflictError, Store, Tx

KEY = PeriodKey("bgt_1", "", "2026-11-01")
HOLDER = Holder("sdc_1", 1)


def make_period(tx: Tx, cap: int | None) -> None:
    tx.run(
        """INSERT INTO period (budget_id, partition, period_id, start_unix_ms, end_unix_ms,
             cap_nano_usd, cap_version) VALUES (:budget, :partition, :period, 0, 10, :cap, 1)""",
        periods.params(KEY, cap=cap),
    )


def allocated(tx: Tx) -> int:
    row = tx.row("SELECT allocated_nano_usd AS n, granted_total_nano_usd AS g FROM period")
    assert row is not None
    assert row["n"] == row["g"]
    return int(row["n"])


def test_many_grants_at_once_never_pass_the_cap(store: Store) -> None:
    store.write(lambda tx: make_period(tx, 100)).result()
    futures = [store.write(lambda tx: periods.grant(tx, KEY, 3)) for _ in range(200)]
    granted = [state for future in futures if (state := future.result()) is not None]
    assert [state.serial for state in granted] == list(range(1, 34))
    assert store.read(allocated).result() == 99
    last = store.write(lambda tx: periods.grant(tx, KEY, 1)).result()
    assert last is not None
    assert (last.serial, last.allocated_nano_usd) == (34, 100)
    assert store.read(allocated).result() == 100


@pytest.mark.parametrize(
    "change",
    [
        "state = 'CLOSING'",
        "cap_nano_usd = NULL",
        "cap_nano_usd = 0",
    ],
)
def test_a_period_that_takes_no_grants_takes_none(store: Store, change: str) -> None:
    store.write(lambda tx: make_period(tx, 100)).result()
    store.write(lambda tx: tx.run(f"UPDATE period SET {change}")).result()  # noqa: S608 - one of the words above
    assert store.write(lambda tx: periods.grant(tx, KEY, 1)).result() is None
    assert store.read(allocated).result() == 0


@pytest.mark.parametrize(
    "lie",
    [
        lambda tx: periods.move(tx, KEY, spent_nano_usd=1),
        lambda tx: periods.move(tx, KEY, orphan_hold_nano_usd=1),
        lambda tx: periods.move(tx, KEY, allocated_nano_usd=-1),
        lambda tx: periods.move(tx, KEY, allocated_nano_usd=5, overrun_nano_usd=5),
        lambda tx: leases.put(tx, Lease(HOLDER, KEY, granted_nano_usd=4, spent_nano_usd=5)),
        lambda tx: leases.put(tx, Lease(HOLDER, KEY, granted_nano_usd=4, returned_nano_usd=5)),
        lambda tx: leases.put(tx, replace(Lease(HOLDER, KEY), state="LOST")),
    ],
    ids=["spent", "orphaned", "negative", "overrun", "lease spent", "lease returned", "state"],
)
def test_the_schema_refuses_a_lie_about_money(store: Store, lie: Callable[[Tx], None]) -> None:
    store.write(lambda tx: make_period(tx, 100)).result()
    with pytest.raises(ConflictError):
        store.write(lie).result()


def test_a_lease_comes_back_as_it_was_put(store: Store) -> None:
    lease = Lease(HOLDER, KEY, 9, 2, 3, 7, 4, "ORPHANED")
    store.write(lambda tx: leases.put(tx, lease)).result()
    assert store.read(lambda tx: leases.get(tx, HOLDER, KEY)).result() == lease
    grown = replace(lease, spent_nano_usd=5)
    store.write(lambda tx: leases.put(tx, grown)).result()
    assert store.read(lambda tx: leases.get(tx, HOLDER, KEY)).result() == grown


def test_the_active_leases_of_earlier_lives_are_found_however_many_lives_there_were(
    store: Store,
) -> None:
    first, gone = Lease(Holder("s", 1), KEY, 9), Lease(Holder("s", 2), KEY, 9, state="ORPHANED")
    third, other = Lease(Holder("s", 3), KEY, 9), Lease(Holder("t", 1), KEY, 9)
    for lease in (first, gone, third, other):
        store.write(lambda tx, lease=lease: leases.put(tx, lease)).result()  # type: ignore[misc]  # bound by default
    late, soon = Holder("s", 2**61), Holder("s", 2)
    assert store.read(lambda tx: leases.active_until(tx, late)).result() == [first, third]
    assert store.read(lambda tx: leases.active_until(tx, soon)).result() == [first]
