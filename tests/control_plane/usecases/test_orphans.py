"""Money whose journal is lost: held back, charged when the window ends, decided by a person."""

import random
from dataclasses import replace

import pytest

from control_plane.core.calls import Adjust
from control_plane.core.leases import BudgetRef
from control_plane.core.log import Decided, OrphanFilter
from control_plane.core.pages import Asked
from control_plane.core.principals import Principal, Role
from control_plane.core.reports import Answer, Report, Status
from control_plane.entropy import Entropy
from control_plane.store.engine import Row
from control_plane.usecases.acts import Act
from control_plane.usecases.housekeeping import keep_house
from control_plane.usecases.leases import (
    charge_orphans,
    list_leases,
    list_orphans,
    release_orphans,
)
from protos.values.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from tests.control_plane.leasing_world import CENT, DAY_MS, NOON, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar

A, B = "sdc_" + "0" * 26, "sdc_" + "1" * 26


@pytest.fixture
def ref(world: World) -> BudgetRef:
    return world.budget("b", USD, window="day")


class Lost:
    """A sidecar whose disk is lost while it holds money, and what that disk would tell."""

    def __init__(self, world: World, ref: BudgetRef) -> None:
        self.world = world
        self.sidecar = sidecar = world.sidecar(A)
        self.calls = [sidecar.wait(10 * CENT, ref) for _ in range(3)]
        sidecar.wants = False
        sidecar.sync()
        assert len(sidecar.open) == 3
        for lease in sidecar.leases.values():
            lease.keep = 10 * USD
        self.disk = replace_disk(sidecar)
        sidecar.register(lost=True)

    def tell(self) -> Answer:
        """The old disk turns up and says what is on it."""
        answer = self.disk.sync()
        assert answer.status is Status.FENCED
        self.world.check()
        return answer


def replace_disk(sidecar: VirtualSidecar) -> VirtualSidecar:
    """The sidecar as it is now, before its disk is lost."""
    return replace(
        sidecar,
        leases={key: replace(lease) for key, lease in sidecar.leases.items()},
        open=dict(sidecar.open),
        journal=list(sidecar.journal),
        waiting=[],
    )


def period(world: World) -> Row:
    return world.row("SELECT * FROM period WHERE period_id = '2026-11-23'")


def lumps(world: World) -> list[int]:
    rows = world.store.read(
        lambda tx: tx.rows("SELECT amount_nano_usd AS n FROM charge WHERE kind = 'ORPHAN'")
    ).result()
    return [row["n"] for row in rows]


def turn(world: World) -> None:
    """The window is over, and the house is kept."""
    world.pass_ms(DAY_MS)
    keep(world)


def keep(world: World) -> None:
    world.do(lambda tx: keep_house(tx, world.levels, world.now))
    world.check()


def act(world: World, method: str) -> Act:
    owner = Principal("prn_1", "Mia", Role.OWNER, NOON)
    return Act(owner, method, "r1", world.now, Entropy(random.Random(1).randbytes))


def charge(world: World, expected: int) -> Decided:
    done = world.do(
        lambda tx: charge_orphans(tx, OrphanFilter(A), expected, "gone", act(world, "Charge"))
    )
    world.check()
    return done


def release(world: World, expected: int) -> Decided:
    done = world.do(
        lambda tx: release_orphans(tx, OrphanFilter(A), expected, "unused", act(world, "Release"))
    )
    world.check()
    return done


def alarms(world: World) -> list[tuple[str, int]]:
    rows = world.store.read(
        lambda tx: tx.rows("SELECT kind, amount_nano_usd AS n FROM alarm ORDER BY position")
    ).result()
    return [(row["kind"], row["n"]) for row in rows]


def test_what_a_lost_journal_held_is_charged_when_its_window_ends(
    world: World, ref: BudgetRef
) -> None:
    Lost(world, ref)
    keep(world)
    held = period(world)["orphan_hold_nano_usd"]
    assert held >= 30 * CENT
    turn(world)
    row = period(world)
    assert (row["state"], row["orphan_hold_nano_usd"]) == ("CLOSED", 0)
    assert row["spent_nano_usd"] == held
    assert lumps(world) == [held]
    assert world.row("SELECT estimated AS e FROM charge WHERE kind = 'ORPHAN'")["e"] == 1
    assert world.number("SELECT COUNT(*) FROM call") == 0
    turn(world)
    assert lumps(world) == [held]


def test_the_old_disk_takes_the_place_of_the_lump(world: World, ref: BudgetRef) -> None:
    lost = Lost(world, ref)
    turn(world)
    (lump,) = lumps(world)
    for number, call_id in enumerate(lost.calls):
        lost.disk.settle(call_id, 5 * CENT)
        lost.tell()
        assert sum(lumps(world)) == lump - (number + 1) * 5 * CENT
        assert period(world)["spent_nano_usd"] == lump
        assert period(world)["state"] == "CLOSED"
    # What it gives back undoes the rest of the lump, and the period has what was spent.
    (key,) = lost.disk.leases
    lost.disk.give_back(key)
    lost.tell()
    row = period(world)
    assert row["spent_nano_usd"] == row["allocated_nano_usd"] == 15 * CENT
    assert sum(lumps(world)) == 0
    assert world.row("SELECT lump_nano_usd AS n FROM lease WHERE epoch = 1")["n"] == 0
    keep(world)
    assert world.row("SELECT state AS s FROM lease WHERE epoch = 1")["s"] == "CLOSED"


def test_a_lump_is_charged_to_each_budget_of_the_lease_for_itself(world: World) -> None:
    one, two = world.budget("b1", USD, window="day"), world.budget("b2", USD, window="day")
    sidecar = world.sidecar(A)
    call_id = sidecar.wait(10 * CENT, one, two)
    sidecar.sync()
    for lease in sidecar.leases.values():
        lease.keep = USD
    disk = replace_disk(sidecar)
    sidecar.register(lost=True)
    turn(world)
    before = sum(lumps(world))
    disk.settle(call_id, 4 * CENT)
    disk.sync()
    world.check()
    assert sum(lumps(world)) == before - 8 * CENT
    assert world.number("SELECT COUNT(*) FROM call") == 1


def test_a_person_charges_now_and_evidence_still_counts(world: World, ref: BudgetRef) -> None:
    lost = Lost(world, ref)
    held = period(world)["orphan_hold_nano_usd"]
    done = charge(world, held)
    assert (done.decided_nano_usd, done.overshoot_max_nano_usd) == (held, 0)
    row = period(world)
    assert (row["state"], row["spent_nano_usd"]) == ("OPEN", held)
    lost.disk.settle(lost.calls[0], 10 * CENT)
    lost.tell()
    assert period(world)["spent_nano_usd"] == held
    entry = world.row("SELECT * FROM audit")
    assert (entry["actor"], entry["resource"]) == ("prn_1", A)
    assert '"reason": "gone"' in entry["detail_json"]


def test_what_is_released_can_be_spent_by_others(world: World, ref: BudgetRef) -> None:
    Lost(world, ref)
    other = world.sidecar(B)
    other.wait(USD, ref)
    other.sync()
    assert other.opened == []
    held = period(world)["orphan_hold_nano_usd"]
    assert release(world, held).overshoot_max_nano_usd == held
    assert period(world)["allocated_nano_usd"] < USD
    # Whoever registered with a new journal is there too, and wants nothing.
    other.sync()
    assert len(other.opened) == 1


def test_what_was_released_and_is_spent_after_all_is_booked_with_an_alarm(
    world: World, ref: BudgetRef
) -> None:
    lost = Lost(world, ref)
    other = world.sidecar(B)
    release(world, period(world)["orphan_hold_nano_usd"])
    call_id = other.wait(USD, ref)
    other.sync()
    other.settle(call_id, USD)
    other.sync()
    for lost_call in lost.calls:
        lost.disk.settle(lost_call, 5 * CENT)
    lost.tell()
    row = period(world)
    assert row["spent_nano_usd"] == USD + 15 * CENT
    assert row["overshoot_nano_usd"] == 15 * CENT
    assert row["spent_nano_usd"] - row["overrun_nano_usd"] - row["overshoot_nano_usd"] <= USD
    assert alarms(world)[-1] == ("OVERSHOOT", 15 * CENT)
    # The database is not older than its sidecars: a person decided so.
    assert world.row("SELECT mode FROM meta")["mode"] == "NORMAL"
    again = lost.disk.report()
    lost.disk.send(again)
    assert period(world)["overshoot_nano_usd"] == 15 * CENT


def test_a_return_of_what_was_released_frees_it_no_second_time(
    world: World, ref: BudgetRef
) -> None:
    lost = Lost(world, ref)
    release(world, period(world)["orphan_hold_nano_usd"])
    for call_id in lost.calls:
        lost.disk.void(call_id)
    (key,) = lost.disk.leases
    lost.disk.give_back(key)
    lost.tell()
    row = period(world)
    assert row["allocated_nano_usd"] == row["spent_nano_usd"] == row["overshoot_nano_usd"] == 0


def test_a_lump_that_was_charged_at_the_end_can_be_released(world: World, ref: BudgetRef) -> None:
    Lost(world, ref)
    turn(world)
    (lump,) = lumps(world)
    # Nobody can spend it in a window that is over.
    assert release(world, lump).overshoot_max_nano_usd == 0
    row = period(world)
    assert (row["spent_nano_usd"], row["allocated_nano_usd"], row["state"]) == (0, 0, "CLOSED")
    assert sum(lumps(world)) == 0


def test_a_correction_on_a_lost_journal_keeps_its_money_back(world: World, ref: BudgetRef) -> None:
    lost = Lost(world, ref)
    (key,) = lost.disk.leases
    first, second, third = lost.calls
    lost.disk.settle(first, 10 * CENT)
    lost.tell()
    turn(world)
    charged = period(world)["spent_nano_usd"]
    lost.disk.append(lambda seq: Adjust(seq, first, -6 * CENT, "the bill", (key,)))
    lost.disk.leases[key].spent -= 6 * CENT
    lost.tell()
    row = period(world)
    assert (row["state"], row["orphan_hold_nano_usd"]) == ("CLOSING", 6 * CENT)
    assert row["spent_nano_usd"] == charged - 6 * CENT
    keep(world)
    assert (period(world)["state"], period(world)["spent_nano_usd"]) == ("CLOSED", charged)
    # The whole disk: everything is settled to what was truly spent.
    lost.disk.settle(second, CENT)
    lost.disk.settle(third, CENT)
    lost.disk.give_back(key)
    lost.tell()
    keep(world)
    assert period(world)["spent_nano_usd"] == 6 * CENT
    assert sum(lumps(world)) == 0


def test_a_correction_of_a_closed_lease_opens_it_again(world: World, ref: BudgetRef) -> None:
    sidecar = world.sidecar(A)
    call_id = sidecar.wait(10 * CENT, ref)
    sidecar.wants = False
    sidecar.sync()
    sidecar.settle(call_id, 10 * CENT)
    (key,) = sidecar.leases
    sidecar.worsts = []
    sidecar.leases[key].keep = 0
    sidecar.sync()
    world.pass_ms(DAY_MS)
    sidecar.sync()
    keep(world)
    assert period(world)["state"] == "CLOSED"
    sidecar.append(lambda seq: Adjust(seq, call_id, -4 * CENT, "the bill", (key,)))
    sidecar.leases[key].spent -= 4 * CENT
    sidecar.leases[key].keep = USD
    sidecar.send(sidecar.report())
    world.check()
    assert period(world)["state"] == "CLOSING"
    assert world.row("SELECT state AS s FROM lease")["s"] == "ACTIVE"
    sidecar.leases[key].keep = 0
    sidecar.sync()
    keep(world)
    assert (period(world)["state"], period(world)["spent_nano_usd"]) == ("CLOSED", 6 * CENT)


def test_late_evidence_of_a_lost_lease_that_was_closed_is_booked(
    world: World, ref: BudgetRef
) -> None:
    lost = Lost(world, ref)
    for call_id in lost.calls:
        lost.disk.settle(call_id, CENT)
    (key,) = lost.disk.leases
    lost.disk.give_back(key)
    lost.tell()
    turn(world)
    assert world.row("SELECT state AS s FROM lease WHERE epoch = 1")["s"] == "CLOSED"
    lost.disk.append(lambda seq: Adjust(seq, lost.calls[0], -CENT, "the bill", (key,)))
    lost.disk.leases[key].spent -= CENT
    lost.tell()
    assert world.row("SELECT state AS s FROM lease WHERE epoch = 1")["s"] == "ORPHANED"
    lost.disk.give_back(key)
    lost.tell()
    keep(world)
    assert (period(world)["state"], period(world)["spent_nano_usd"]) == ("CLOSED", 2 * CENT)


def test_a_window_without_an_end_waits_for_a_person(world: World) -> None:
    ref = world.budget("b", USD, window="once")
    Lost(world, ref)
    world.pass_ms(400 * DAY_MS)
    keep(world)
    row = world.row("SELECT * FROM period")
    assert row["state"] == "OPEN"
    assert row["orphan_hold_nano_usd"] > 0
    charge(world, row["orphan_hold_nano_usd"])
    world.do(lambda tx: tx.run("UPDATE budget SET archived_unix_ms = 1"))
    world.do(lambda tx: tx.run("UPDATE period SET state = 'CLOSING'"))
    keep(world)
    assert world.row("SELECT state AS s FROM period")["s"] == "CLOSED"


def test_a_decision_about_another_amount_than_was_seen_is_refused(
    world: World, ref: BudgetRef
) -> None:
    Lost(world, ref)
    for decide in (charge, release):
        with pytest.raises(FailedPreconditionError, match="look again"):
            decide(world, 1)
    with pytest.raises(InvalidArgumentError, match="reason"):
        world.do(lambda tx: release_orphans(tx, OrphanFilter(A), 0, "", act(world, "Release")))
    with pytest.raises(NotFoundError):
        world.do(lambda tx: release_orphans(tx, OrphanFilter(B), 0, "x", act(world, "Release")))
    release(world, period(world)["orphan_hold_nano_usd"])
    with pytest.raises(NotFoundError, match="nothing is set aside"):
        release(world, 0)


def test_orphans_are_listed_with_what_a_person_must_know(world: World, ref: BudgetRef) -> None:
    Lost(world, ref)

    def shown(*, show_decided: bool = False) -> list[tuple[str, int, int]]:
        wanted = OrphanFilter(show_decided=show_decided)
        page = world.store.read(lambda tx: list_orphans(tx, Asked(1), wanted)).result()
        return [
            (
                one.view.lease.orphan_cause,
                one.view.lease.held_back_nano_usd,
                one.overshoot_max_nano_usd,
            )
            for one in page.items
        ]

    held = period(world)["orphan_hold_nano_usd"]
    assert shown() == [("lost", held, held)]
    page = world.store.read(lambda tx: list_orphans(tx, Asked(1), OrphanFilter())).result()
    (one,) = page.items
    assert one.view.lease.orphaned_unix_ms == NOON
    assert one.view.authority_end_unix_ms == NOON + 376_000
    assert one.period_end_unix_ms == NOON + DAY_MS // 2
    charge(world, held)
    assert shown() == []
    assert shown(show_decided=True) == [("lost", 0, held)]


def test_a_lease_says_until_when_its_sidecar_can_start_calls(world: World, ref: BudgetRef) -> None:
    sidecar = world.sidecar(A)
    sidecar.wait(CENT, ref)
    sidecar.sync()
    world.pass_ms(1_000_000)

    def ends() -> list[int | None]:
        page = world.store.read(
            lambda tx: list_leases(tx, Asked(9), budget_id="", sidecar_id="", levels=world.levels)
        ).result()
        return [view.authority_end_unix_ms for view in page.items]

    assert ends() == [NOON + 376_000]
    sidecar.sync()
    assert ends() == [NOON + 1_376_000]
    # A shorter max_offline does not end what was given before.
    world.do(
        lambda tx: tx.run(
            "UPDATE budget SET max_offline_ms = 15000, offline_until_unix_ms = :until",
            {"until": NOON + 1_376_000},
        )
    )
    assert ends() == [NOON + 1_376_000]


def test_a_report_of_the_old_disk_may_come_in_any_order(world: World, ref: BudgetRef) -> None:
    lost = Lost(world, ref)
    said: list[Report] = []
    for call_id in lost.calls:
        lost.disk.settle(call_id, 3 * CENT)
        said.append(lost.disk.report())
    turn(world)
    dice = random.Random(3)
    for _ in range(6):
        dice.shuffle(said)
        for report in said:
            lost.disk.send(report)
            world.check()
    assert period(world)["spent_nano_usd"] == sum(lumps(world)) + 9 * CENT
    assert world.number("SELECT COUNT(*) FROM call") == 3


def test_what_a_restored_database_may_have_forgotten_is_decided_like_any_other(
    world: World, ref: BudgetRef
) -> None:
    sidecar = world.sidecar(A)
    copy = world.backup()
    call_id = sidecar.wait(30 * CENT, ref)
    sidecar.wants = False
    sidecar.sync()
    world.put_back(copy)
    who = OrphanFilter("unknown")
    page = world.store.read(lambda tx: list_orphans(tx, Asked(9), who)).result()
    (one,) = page.items
    held = one.view.lease.held_back_nano_usd
    assert (one.sidecar_name, one.view.authority_end_unix_ms) == ("unknown", None)
    assert held >= 30 * CENT
    world.store.read(
        lambda tx: list_leases(tx, Asked(9), budget_id="", sidecar_id="", levels=world.levels)
    ).result()
    done = world.do(lambda tx: release_orphans(tx, who, held, "x", act(world, "Release")))
    world.check()
    assert done.overshoot_max_nano_usd == held
    # The sidecar shows what it holds: it is out there though it was released.
    sidecar.settle(call_id, 20 * CENT)
    for _ in range(3):
        if sidecar.sync().status is Status.STALE:
            sidecar.register()
        world.check()
    row = period(world)
    assert row["spent_nano_usd"] == 20 * CENT
    assert row["overshoot_nano_usd"] >= 20 * CENT
    assert alarms(world)[-1][0] == "OVERSHOOT"


def test_a_charge_for_what_was_forgotten_gives_way_to_what_a_sidecar_shows(
    world: World, ref: BudgetRef
) -> None:
    sidecar = world.sidecar(A)
    copy = world.backup()
    call_id = sidecar.wait(30 * CENT, ref)
    sidecar.wants = False
    sidecar.sync()
    world.put_back(copy)
    turn(world)
    lump = sum(lumps(world))
    assert lump >= 30 * CENT
    assert period(world)["state"] == "CLOSED"
    sidecar.settle(call_id, 20 * CENT)
    for _ in range(3):
        if sidecar.sync().status is Status.STALE:
            sidecar.register()
        world.check()
    assert sum(lumps(world)) <= lump - 20 * CENT
    assert world.number("SELECT SUM(overshoot_nano_usd) FROM period") == 0
