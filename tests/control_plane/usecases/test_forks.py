"""A copy of a journal that went on by itself: both copies spent money, and all of it is booked."""

import random
from copy import copy, deepcopy
from dataclasses import replace
from functools import partial

import pytest

from control_plane import limits
from control_plane.core.calls import Adjust, Settle, Unreadable
from control_plane.core.leases import BudgetRef
from control_plane.core.reports import Status
from tests.control_plane.leasing_world import CENT, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar


def clone(sidecar: VirtualSidecar) -> VirtualSidecar:
    """A second process on a copy of a sidecar's disk and memory."""
    made = copy(sidecar)
    for name in ("leases", "open", "waiting", "journal", "worsts", "opened"):
        setattr(made, name, deepcopy(getattr(sidecar, name)))
    return made


def spend(sidecar: VirtualSidecar, ref: BudgetRef, call_id: str, cost: int) -> None:
    """A call that the copy can pay from what it holds."""
    assert sidecar.try_open(call_id, cost, [ref])
    sidecar.settle(call_id, cost)


@pytest.fixture
def ref(world: World) -> BudgetRef:
    return world.budget("b", USD)


@pytest.fixture
def pair(world: World, ref: BudgetRef) -> tuple[VirtualSidecar, VirtualSidecar]:
    """A sidecar with ten cents on its lease, and its copy."""
    sidecar = world.sidecar("a")
    sidecar.void(sidecar_call(sidecar, ref, 10 * CENT))
    for lease in sidecar.leases.values():
        lease.keep = 10 * CENT
    sidecar.wants = False
    sidecar.sync()
    for lease in sidecar.leases.values():
        lease.keep = USD
    return sidecar, clone(sidecar)


def sidecar_call(sidecar: VirtualSidecar, ref: BudgetRef, worst: int) -> str:
    call_id = sidecar.wait(worst, ref)
    sidecar.sync()
    assert call_id in sidecar.open
    return call_id


def alarms(world: World) -> list[tuple[str, int]]:
    rows = world.store.read(
        lambda tx: tx.rows("SELECT kind, amount_nano_usd AS n FROM alarm ORDER BY position")
    ).result()
    return [(row["kind"], row["n"]) for row in rows]


def costs(world: World) -> dict[str, int]:
    rows = world.store.read(
        lambda tx: tx.rows("SELECT call_id, cost_nano_usd AS n FROM call WHERE cost_nano_usd > 0")
    ).result()
    return {row["call_id"]: row["n"] for row in rows}


def test_what_both_copies_spent_is_booked_from_what_the_lease_had(
    world: World, ref: BudgetRef, pair: tuple[VirtualSidecar, VirtualSidecar]
) -> None:
    one, two = pair
    spend(one, ref, "one-x", 3 * CENT)
    spend(two, ref, "two-x", 4 * CENT)
    assert one.send(one.report()).status is Status.OK
    held = world.period(ref)["allocated_nano_usd"]
    assert two.sync().status is Status.FENCED
    assert costs(world) == {"one-x": 3 * CENT, "two-x": 4 * CENT}
    row = world.period(ref)
    assert row["spent_nano_usd"] == 7 * CENT
    assert row["allocated_nano_usd"] == held
    assert [kind for kind, _ in alarms(world)] == ["FENCED"]
    # Neither gets money any more, and what is left of the lease waits for a person.
    assert one.sync().status is Status.FENCED
    assert row["orphan_hold_nano_usd"] == held - 7 * CENT


def test_what_both_spent_beyond_the_lease_is_an_overshoot_with_an_alarm(
    world: World, ref: BudgetRef, pair: tuple[VirtualSidecar, VirtualSidecar]
) -> None:
    one, two = pair
    have = one.available(next(iter(one.leases)))
    spend(one, ref, "one-x", have - CENT)
    spend(two, ref, "two-x", have - CENT)
    one.sync()
    two.sync()
    row = world.period(ref)
    assert row["spent_nano_usd"] == 2 * have - 2 * CENT
    assert row["overshoot_nano_usd"] == have - 2 * CENT
    assert alarms(world)[1:] == [("OVERSHOOT", have - 2 * CENT)]
    assert world.row("SELECT mode FROM meta")["mode"] == "NORMAL"


def test_records_whose_numbers_are_booked_are_looked_at_all_the_same(
    world: World, ref: BudgetRef, pair: tuple[VirtualSidecar, VirtualSidecar]
) -> None:
    one, two = pair
    for number in range(4):
        spend(one, ref, f"one-{number}", CENT)
    spend(two, ref, "two-0", CENT)
    late = one.report()
    one.send(late)
    answer = two.sync()
    assert answer.status is Status.FENCED
    assert answer.acked_seq == len(two.journal)
    assert len(costs(world)) == 5
    # An old message of the true journal is no fork.
    assert one.send(late).acked_seq == len(one.journal)
    assert len(alarms(world)) == 1


def test_a_copy_goes_on_telling_and_is_known_again(
    world: World, ref: BudgetRef, pair: tuple[VirtualSidecar, VirtualSidecar]
) -> None:
    one, two = pair
    spend(one, ref, "one-x", CENT)
    one.sync()
    for number in range(3):
        spend(two, ref, f"two-{number}", CENT)
        answer = two.sync()
        assert answer.status is Status.FENCED
        assert two.acked == len(two.journal)
    assert len(costs(world)) == 4
    spend(one, ref, "one-y", CENT)
    assert one.sync().acked_seq == len(one.journal)
    assert len(costs(world)) == 5
    assert world.period(ref)["spent_nano_usd"] == 5 * CENT


@pytest.mark.parametrize("seed", range(30))
def test_said_again_in_any_order_it_changes_nothing(
    world: World, ref: BudgetRef, pair: tuple[VirtualSidecar, VirtualSidecar], seed: int
) -> None:
    dice = random.Random(seed)
    said = []
    for number in range(12):
        sidecar = dice.choice(pair)
        deed = dice.random()
        if deed < 0.5 and sidecar.available(next(iter(sidecar.leases))) >= CENT:
            spend(sidecar, ref, f"{id(sidecar)}-{number}", CENT // 4)
        elif deed < 0.6:
            sidecar.give_back(next(iter(sidecar.leases)), CENT)
        report = sidecar.report()
        said.append((sidecar, report))
        answer = sidecar.send(report)
        if dice.random() < 0.6:
            sidecar.take(answer)
        world.check()
    for sidecar in pair:
        for _ in range(3):
            report = sidecar.report()
            said.append((sidecar, report))
            sidecar.take(sidecar.send(report))
        assert sidecar.acked == len(sidecar.journal)
    settled = {
        record.call.call_id
        for sidecar in pair
        for record in sidecar.journal
        if isinstance(record, Settle)
    }
    assert set(costs(world)) == settled
    before = books(world)
    for _ in range(2):
        dice.shuffle(said)
        for sidecar, report in said:
            sidecar.send(report)
    assert books(world) == before


def books(world: World) -> list[str]:
    tables = ("period", "lease", "call", "charge", "rollup", "alarm", "cursor", "process")
    return [
        repr(
            [
                {name: row[name] for name in row.keys()}  # noqa: SIM118 - a Row
                for row in world.store.read(
                    lambda tx, table=table: tx.rows(f"SELECT * FROM {table}")  # type: ignore[misc]  # noqa: S608 - our own names
                ).result()
            ]
        )
        for table in tables
    ]


def test_a_copys_bill_above_its_worst_case_is_booked_once(
    world: World, ref: BudgetRef, pair: tuple[VirtualSidecar, VirtualSidecar]
) -> None:
    one, two = pair
    spend(one, ref, "one-x", CENT)
    one.sync()
    assert two.try_open("two-x", CENT, [ref])
    two.settle("two-x", 3 * CENT)
    for _ in range(3):
        two.acked = 0
        two.sync()
    assert world.period(ref)["overrun_nano_usd"] == 2 * CENT
    assert world.period(ref)["spent_nano_usd"] == 4 * CENT
    assert sorted(kind for kind, _ in alarms(world)) == ["FENCED", "OVERRUN"]


def test_what_a_copy_gives_back_or_corrects_is_not_believed(
    world: World, ref: BudgetRef, pair: tuple[VirtualSidecar, VirtualSidecar]
) -> None:
    one, two = pair
    spend(one, ref, "one-x", CENT)
    one.sync()
    (key,) = two.leases
    spend(two, ref, "two-x", CENT)
    two.append(lambda seq: Adjust(seq, "two-x", -CENT, "the bill", (key,)))
    two.give_back(key)
    held = world.period(ref)["allocated_nano_usd"]
    two.sync()
    two.sync()
    assert world.period(ref)["allocated_nano_usd"] == held
    assert world.period(ref)["spent_nano_usd"] == 2 * CENT


def test_a_return_whose_number_is_booked_by_another_frees_nothing(
    world: World, ref: BudgetRef, pair: tuple[VirtualSidecar, VirtualSidecar]
) -> None:
    one, two = pair
    for number in range(3):
        spend(one, ref, f"one-{number}", CENT)
    one.sync()
    (key,) = two.leases
    two.give_back(key)
    held = world.period(ref)["allocated_nano_usd"]
    assert two.sync().status is Status.FENCED
    two.sync()
    assert world.period(ref)["allocated_nano_usd"] == held


def test_the_true_journal_counts_no_call_again_that_came_with_a_wrong_chain(
    world: World, ref: BudgetRef
) -> None:
    sidecar = world.sidecar("a")
    call_id = sidecar_call(sidecar, ref, 5 * CENT)
    sidecar.settle(call_id, 7 * CENT)
    sidecar.send(replace(sidecar.report(), chain=bytes(32)))
    before = world.period(ref)["spent_nano_usd"]
    assert sidecar.sync().status is Status.FENCED
    row = world.period(ref)
    assert row["spent_nano_usd"] == before == 7 * CENT
    assert row["overrun_nano_usd"] == 2 * CENT


def test_what_copies_may_add_is_bounded(
    world: World,
    ref: BudgetRef,
    pair: tuple[VirtualSidecar, VirtualSidecar],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "FORK_RECORDS_MAX", 3)
    one, two = pair
    spend(one, ref, "one-x", CENT)
    one.sync()
    for number in range(6):
        spend(two, ref, f"two-{number}", CENT // 4)
        two.sync()
    assert len(costs(world)) == 4
    assert two.acked < len(two.journal)
    assert [kind for kind, _ in alarms(world)] == ["FENCED", "FENCED"]


def test_a_fork_of_a_life_that_is_over_is_booked_too(
    world: World, ref: BudgetRef, pair: tuple[VirtualSidecar, VirtualSidecar]
) -> None:
    one, two = pair
    third = clone(one)
    spend(one, ref, "one-x", CENT)
    spend(two, ref, "two-x", CENT)
    one.sync()
    third.incarnation = "77"
    third.register(lost=True)
    assert two.sync().status is Status.FENCED
    assert world.period(ref)["spent_nano_usd"] == 2 * CENT
    assert [kind for kind, _ in alarms(world)] == ["JOURNAL_LOST", "FENCED"]
    assert third.sync().status is Status.OK


@pytest.mark.parametrize("room", [2, limits.BAD_RECORDS_MAX])
def test_a_copys_call_at_a_refused_number_is_booked_before_it_is_acknowledged(
    world: World,
    ref: BudgetRef,
    pair: tuple[VirtualSidecar, VirtualSidecar],
    monkeypatch: pytest.MonkeyPatch,
    room: int,
) -> None:
    """Also when a sidecar has filled its room, so that nobody knows what was refused."""
    monkeypatch.setattr(limits, "BAD_RECORDS_MAX", room)
    one, two = pair
    for number in range(3):
        one.append(partial(Unreadable, why="it is no Record", raw=b"%d" % number))
    assert one.sync().status is Status.OK
    spend(two, ref, "two-x", CENT)
    two.sync()
    assert two.acked == len(two.journal)
    assert costs(world) == {"two-x": CENT}
    assert world.period(ref)["spent_nano_usd"] == CENT
    two.acked -= 1
    two.sync()
    assert costs(world) == {"two-x": CENT}
    assert world.period(ref)["spent_nano_usd"] == CENT
    world.check()


def test_a_copys_call_is_booked_where_records_of_its_journal_were_dropped(
    world: World, ref: BudgetRef, pair: tuple[VirtualSidecar, VirtualSidecar]
) -> None:
    one, two = pair
    for number in range(3):
        spend(one, ref, f"one-{number}", CENT)
    one.sync()
    world.do(lambda tx: tx.run("UPDATE cursor SET dropped_count = 1"))
    spend(two, ref, "two-x", CENT)
    two.sync()
    assert two.acked == len(two.journal)
    assert costs(world)["two-x"] == CENT
    world.check()
