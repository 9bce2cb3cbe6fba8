"""What sidecars report reaches the ledger once, whatever becomes of messages and journals."""

from dataclasses import replace

import pytest

from control_plane.core.calls import Adjust
from control_plane.core.leases import BudgetRef
from control_plane.core.reports import Journal, RefusalCount, Registration, Status
from control_plane.core.windows import Window
from control_plane.store import installation, periods
from control_plane.usecases.housekeeping import keep_house
from control_plane.usecases.register import register
from protos.values.errors import FailedPreconditionError
from tests.control_plane.leasing_world import CENT, DAY_MS, NOON, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar


def alarms(world: World) -> list[str]:
    rows = world.store.read(lambda tx: tx.rows("SELECT kind FROM alarm ORDER BY position")).result()
    return [row["kind"] for row in rows]


def opened(sidecar: VirtualSidecar, ref: BudgetRef) -> str:
    """A call that was granted its money."""
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    assert call_id in sidecar.open
    return call_id


def test_a_settled_call_is_in_the_ledger_whole(world: World) -> None:
    ref, counting = world.budget("b", USD), world.budget("c", None)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(5 * CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, CENT, counted=(counting,))
    sidecar.sync()
    row = world.row("SELECT * FROM call")
    assert (row["call_id"], row["cost_nano_usd"], row["position"]) == (call_id, CENT, 1)
    assert row["quantities_json"] == '{"input":3,"cached":4,"output":5,"reasoning":2}'
    summed = world.row("SELECT * FROM rollup")
    assert (summed["call_count"], summed["failed_count"]) == (1, 0)
    assert (summed["input_count"], summed["output_count"]) == (7, 5)
    assert summed["bucket_unix_ms"] == NOON
    assert world.period(ref)["spent_nano_usd"] == CENT
    assert world.period(counting)["spent_nano_usd"] == CENT
    assert world.period(counting)["counted_nano_usd"] == CENT


def test_a_void_call_is_in_the_ledger_and_costs_nothing(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(5 * CENT, ref)
    sidecar.sync()
    sidecar.void(call_id)
    sidecar.sync()
    assert world.row("SELECT * FROM rollup")["failed_count"] == 1
    assert world.period(ref)["spent_nano_usd"] == 0
    assert world.number("SELECT COUNT(*) FROM charge") == 0


def test_lost_repeated_and_reordered_syncs_change_nothing(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, CENT)
    first = sidecar.report()  # its answer is lost
    sidecar.send(first)
    assert sidecar.try_open("x", CENT, [ref])
    sidecar.settle("x", CENT)
    second = sidecar.report()  # says again what the first one said, and more
    sidecar.send(second)
    for late in (first, second, first):
        assert sidecar.send(late).status is Status.STALE
        world.check()
    assert world.period(ref)["spent_nano_usd"] == 2 * CENT
    assert world.number("SELECT COUNT(*) FROM call") == 2


def test_a_gap_in_the_records_is_asked_for(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    calls = [sidecar.wait(CENT, ref), sidecar.wait(CENT, ref)]
    sidecar.sync()
    for call_id in calls:
        sidecar.settle(call_id, CENT)
    whole = sidecar.report()
    missing = replace(
        whole,
        from_seq=whole.from_seq + 1,
        records=whole.records[1:],
        raw_records=whole.raw_records[1:],
    )
    answer = sidecar.send(missing)
    assert answer.status is Status.GAP
    assert answer.need_seq == whole.from_seq
    assert answer.leases == ()
    assert world.number("SELECT COUNT(*) FROM call") == 0
    assert sidecar.send(whole).status is Status.OK
    assert world.number("SELECT COUNT(*) FROM call") == 2


def test_a_chain_that_does_not_continue_is_fenced_with_an_alarm(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, CENT)
    forged = replace(sidecar.report(), chain=bytes(32))
    assert sidecar.send(forged).status is Status.FENCED
    assert alarms(world) == ["FENCED"]
    # What it says is evidence all the same, and counts once, whoever of the two says it.
    assert world.number("SELECT COUNT(*) FROM call") == 1
    assert world.period(ref)["spent_nano_usd"] == CENT
    # Fenced is fenced: the true journal gets no money either until a person begins a new one.
    assert sidecar.sync().status is Status.FENCED
    assert sidecar.register().status is Status.FENCED
    assert sidecar.register(lost=True).status is Status.OK


def test_what_a_fenced_process_reports_late_is_recorded(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, CENT)
    late = sidecar.report()
    sidecar.register()
    answer = sidecar.send(late)
    assert answer.status is Status.FENCED
    assert answer.acked_seq == len(sidecar.journal)
    assert world.period(ref)["spent_nano_usd"] == CENT


def test_a_journal_that_goes_back_is_fenced_at_registration(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, CENT)
    sidecar.sync()
    sidecar.journal.pop()
    assert sidecar.register().status is Status.FENCED
    assert alarms(world) == ["FENCED"]


def test_a_lost_journal_keeps_its_money_out_of_the_budget(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar, other = world.sidecar("a"), world.sidecar("o")
    sidecar.wait(60 * CENT, ref)
    sidecar.sync()
    old = sidecar.report()
    held = world.period(ref)["allocated_nano_usd"]
    assert sidecar.register(lost=True).epoch == 2
    assert world.period(ref)["orphan_hold_nano_usd"] == held
    assert alarms(world) == ["JOURNAL_LOST"]
    other.wait(60 * CENT, ref)
    told = other.sync().leases[0]
    assert told.unspent_nano_usd == USD - held
    assert other.opened == []
    # The old disk turns up: what it spent replaces what it may have spent.
    made = replace(old, sync_no=old.sync_no + 1)
    assert sidecar.send(made).status is Status.FENCED
    world.check()


def test_evidence_of_an_old_epoch_is_booked_on_its_own_leases(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(60 * CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, 10 * CENT)
    old = sidecar.report()
    sidecar.register(lost=True)
    before = world.period(ref)["orphan_hold_nano_usd"]
    assert before >= 60 * CENT
    assert sidecar.send(old).status is Status.FENCED
    row = world.period(ref)
    assert row["spent_nano_usd"] == 10 * CENT
    assert row["orphan_hold_nano_usd"] < before - 10 * CENT + 1


def test_an_overrun_is_booked_above_the_cap_freezes_the_lease_and_alarms(world: World) -> None:
    ref = world.budget("b", 10 * CENT)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(10 * CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, 12 * CENT)
    answer = sidecar.sync()
    row = world.period(ref)
    assert (row["spent_nano_usd"], row["overrun_nano_usd"]) == (12 * CENT, 2 * CENT)
    assert alarms(world) == ["OVERRUN"]
    assert [(told.kind, told.call_id, told.amount_nano_usd) for told in answer.alarms] == [
        ("OVERRUN", call_id, 2 * CENT)
    ]
    assert answer.leases[0].frozen
    assert answer.leases[0].unspent_nano_usd == 0
    # A person who sets the cap anew has looked.
    world.set_cap(ref, USD)
    sidecar.wait(10 * CENT, ref)
    assert not sidecar.sync().leases[0].frozen
    assert len(sidecar.opened) == 2


def test_a_frozen_lease_gets_no_money_and_others_do(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar, other = world.sidecar("a"), world.sidecar("o")
    call_id = sidecar.wait(10 * CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, 12 * CENT)
    sidecar.sync()
    sidecar.wait(CENT, ref)
    assert sidecar.sync().named == ()
    other.wait(CENT, ref)
    assert other.sync().named


def test_a_correction_lowers_the_call_its_sums_and_every_budget(world: World) -> None:
    ref, counting = world.budget("b", USD), world.budget("c", None)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(10 * CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, 10 * CENT, counted=(counting,))
    vector = tuple(sidecar.leases)
    sidecar.sync()
    sidecar.append(lambda seq: Adjust(seq, call_id, -4 * CENT, "the bill", vector))
    sidecar.leases[vector[0]].spent -= 4 * CENT
    sidecar.sync()
    assert world.row("SELECT cost_nano_usd AS n FROM call")["n"] == 6 * CENT
    assert world.row("SELECT cost_nano_usd AS n FROM rollup")["n"] == 6 * CENT
    assert world.period(ref)["spent_nano_usd"] == 6 * CENT
    assert world.period(counting)["spent_nano_usd"] == 6 * CENT


def test_a_correction_of_an_unknown_call_is_an_alarm(world: World) -> None:
    sidecar = world.sidecar("a")
    sidecar.append(lambda seq: Adjust(seq, "call_unknown", -CENT, "the bill", ()))
    assert sidecar.sync().status is Status.OK
    assert alarms(world) == ["BAD_RECORD"]


def test_a_call_that_settles_after_its_period_closed_is_charged_to_it(world: World) -> None:
    ref = world.budget("b", USD, window="day")
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    world.pass_ms(3 * DAY_MS)
    world.do(lambda tx: keep_house(tx, world.levels, world.now))
    sidecar.settle(call_id, CENT)
    for lease in sidecar.leases.values():
        lease.keep = 0
    sidecar.sync()
    row = world.row("SELECT * FROM period WHERE period_id = '2026-11-23'")
    assert (row["state"], row["spent_nano_usd"]) == ("CLOSING", CENT)
    world.do(lambda tx: keep_house(tx, world.levels, world.now))
    assert world.row("SELECT state FROM period WHERE period_id = '2026-11-23'")["state"] == "CLOSED"
    assert world.row("SELECT state FROM lease")["state"] == "CLOSED"


def test_a_period_that_a_clock_ahead_of_time_closed_goes_on(world: World) -> None:
    ref = world.budget("b", USD, window="day")
    sidecar, other = world.sidecar("a"), world.sidecar("o")
    for each in (sidecar, other):
        each.void(opened(each, ref))
        each.wants = False
        each.worsts = []
        for lease in each.leases.values():
            lease.keep = 0
        each.send(each.report())
    world.pass_ms(3 * DAY_MS)
    world.do(lambda tx: keep_house(tx, world.levels, world.now))
    assert world.row("SELECT state FROM period")["state"] == "CLOSED"
    world.pass_ms(-3 * DAY_MS)
    world.set_cap(ref, 2 * CENT)
    for each in (sidecar, other):
        call_id = opened(each, ref)
        each.settle(call_id, CENT)
        each.sync()
    sidecar.wait(CENT, ref)
    assert sidecar.sync().named == ()
    row = world.row("SELECT * FROM period")
    assert row["state"] == "OPEN"
    assert row["spent_nano_usd"] == row["cap_nano_usd"] == 2 * CENT


def test_counted_calls_are_charged_to_the_period_of_their_start(world: World) -> None:
    counting, ref = world.budget("c", None, window="day"), world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, CENT, counted=(counting,))
    world.pass_ms(2 * DAY_MS)
    sidecar.sync()
    row = world.row("SELECT period_id FROM period WHERE budget_id = 'c'")
    assert row["period_id"] == "2026-11-23"


def test_refusals_keep_the_largest_count_of_a_minute(world: World) -> None:
    sidecar = world.sidecar("a")
    for count in (3, 5, 4):
        told = RefusalCount(NOON, "prj", "", "", "gpt", "exhausted", "b", count, "no money")
        sidecar.send(replace(sidecar.report(), refusals=(told,)))
    assert world.row("SELECT refused_count AS n FROM refusal")["n"] == 5
    world.pass_ms(36 * DAY_MS)
    world.do(lambda tx: keep_house(tx, world.levels, world.now))
    assert world.number("SELECT COUNT(*) FROM refusal") == 0


def test_a_database_older_than_its_sidecars_learns_before_it_grants(world: World) -> None:
    ref = world.budget("b", USD)
    ahead, other = world.sidecar("ahead"), world.sidecar("other")
    call_id = ahead.wait(30 * CENT, ref)
    ahead.sync()
    # A restored backup: everything that the database knew of the grant is gone.
    for table in ("lease", "period"):
        world.do(lambda tx, table=table: tx.run(f"DELETE FROM {table}"))  # type: ignore[misc]  # noqa: S608 - a bound default; two names
    # Five cents of the cap stay behind: the watermark cannot tell whether they were granted.
    other.wait(85 * CENT, ref)
    answer = ahead.sync()
    assert answer.status is Status.LEARNING
    assert answer.generation == 2
    assert alarms(world) == ["OLD_DATABASE"]
    granted = ahead.leases[answer.leases[0].lease].granted if answer.leases else None
    assert (
        world.number("SELECT granted_nano_usd FROM lease WHERE sidecar_id = 'ahead'") >= 30 * CENT
    )
    assert granted is None or granted >= 30 * CENT
    world.check()
    # The last of them speaks: learning ends, and what was leased is not granted twice.
    assert other.sync().status is Status.LEARNING
    assert ahead.sync().status is Status.LEARNING
    assert other.sync().status is Status.OK
    assert not world.do(installation.get).learning
    assert other.opened == []
    ahead.settle(call_id, 10 * CENT)
    ahead.sync()
    assert world.period(ref)["spent_nano_usd"] == 10 * CENT
    # The period was made again as it was, so that money goes on to those who wait.
    ahead.sync()
    other.sync()
    assert len(other.opened) == 1


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kolkata"])
@pytest.mark.parametrize("window", ["day", "week", "month", "once"])
def test_a_period_is_made_again_from_its_name(world: World, window: Window, zone: str) -> None:
    ref = world.budget("b", USD, window=window)
    world.do(lambda tx: tx.run("UPDATE budget SET time_zone = :zone", {"zone": zone}))
    made = world.do(lambda tx: periods.ensure(tx, "b", "", NOON))
    assert made is not None
    world.do(lambda tx: tx.run("DELETE FROM period"))
    assert world.do(lambda tx: periods.adopt(tx, made.key)) == made
    strange = world.do(lambda tx: periods.adopt(tx, ref.period("2026-02-30")))
    assert (strange.open, strange.cap_nano_usd) == (False, None)


def test_a_drained_sidecar_leaves_nothing_behind(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, CENT)
    for lease in sidecar.leases.values():
        lease.keep = 0
    sidecar.wants = False
    sidecar.send(sidecar.report())
    stranded = sidecar.drain()
    # The answer of that last Sync granted a floor that the sidecar never took.
    assert stranded == world.period(ref)["allocated_nano_usd"] - CENT
    assert world.row("SELECT state FROM sidecar")["state"] == "DRAINED"


def test_an_unknown_protocol_version_is_refused_with_what_is_served(world: World) -> None:
    world.sidecar("a")
    asked = Registration(9, "", "", "", "x", Journal(0, 0, b"", lost=True))
    with pytest.raises(FailedPreconditionError, match="upgrade"):
        world.do(lambda tx: register(tx, "a", asked, world.levels, world.now))


def test_a_restarted_control_plane_goes_on_from_its_database(world: World) -> None:
    ref = world.budget("b", USD)
    one, two = world.sidecar("one"), world.sidecar("two")
    first = one.wait(70 * CENT, ref)
    one.sync()
    world.restart()
    second = two.wait(60 * CENT, ref)
    two.sync()
    # Nothing is known of the other holder yet: it is asked to speak, and nothing is taken twice.
    assert ("one", "nudge") in world.pushed
    assert two.opened == []
    one.settle(first, 10 * CENT)
    one.sync()
    two.sync()
    assert two.opened == [second]
