"""Who gets money, told as stories of a few sidecars against the real store."""

from dataclasses import replace

import pytest

from control_plane import limits
from control_plane.core.leases import BudgetRef
from control_plane.core.reports import Status
from control_plane.store import periods, policy
from tests.control_plane.leasing_world import CENT, DAY_MS, NOON, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar


def spend_all(world: World, sidecars: list[VirtualSidecar], ref: BudgetRef, calls: int) -> int:
    """Let calls of one cent arrive in turn at each sidecar; how many were paid."""
    paid = 0
    for number in range(calls):
        sidecars[number % len(sidecars)].wait(CENT, ref)
    for _ in range(40 * calls):
        world.sync_all()
        for sidecar in sidecars:
            for call_id in list(sidecar.open):
                sidecar.settle(call_id, CENT)
                paid += 1
        if not any(sidecar.waiting for sidecar in sidecars):
            break
        if world.number("SELECT spent_nano_usd FROM period") == USD:
            break
    return paid


def test_a_cap_is_spent_to_the_last_cent_by_two_sidecars(world: World) -> None:
    ref = world.budget("b", USD)
    sidecars = [world.sidecar("a"), world.sidecar("b")]
    assert spend_all(world, sidecars, ref, 130) == 100
    world.sync_all(3)
    assert world.period(ref)["spent_nano_usd"] == USD
    assert world.period(ref)["allocated_nano_usd"] == USD
    assert world.number("SELECT COUNT(*) FROM call") == 100


def test_a_first_call_gets_its_money_and_its_name_in_one_sync(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, ref)
    answer = sidecar.sync()
    assert answer.status is Status.OK
    assert answer.named == (call_id,)
    assert sidecar.opened == [call_id]
    assert answer.leases[0].keep_nano_usd >= 2 * CENT
    assert answer.leases[0].authority_ms == 300_000


def test_crossed_leases_of_two_budgets_at_two_sidecars_do_not_deadlock(world: World) -> None:
    agency, client = world.budget("agency", USD), world.budget("client", USD)
    other_client, other_agency = world.budget("client2", 9 * USD), world.budget("agency2", 9 * USD)
    left, right = world.sidecar("left"), world.sidecar("right")
    left.wants = right.wants = False
    # One sidecar holds all of the agency's money, the other all of the client's.
    first = left.wait(USD, agency, other_client)
    second = right.wait(USD, client, other_agency)
    left.sync()
    right.sync()
    assert left.opened == [first]
    assert right.opened == [second]
    left.void(first)
    right.void(second)
    for sidecar in (left, right):
        for lease in sidecar.leases.values():
            lease.keep = 10 * USD
    crossed = [left.wait(60 * CENT, agency, client), right.wait(60 * CENT, agency, client)]
    for _ in range(6):
        for sidecar in (left, right):
            sidecar.sync()
            for call_id in set(crossed) & set(sidecar.open):
                sidecar.settle(call_id, 10 * CENT)
        world.pass_ms(300)
    assert set(crossed) <= {*left.opened, *right.opened}


def test_when_the_second_budget_is_not_granted_nothing_stays_granted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So little that neither is filled ahead: every grant is the call's own.
    first, second = world.budget("b1", CENT), world.budget("b2", CENT)
    sidecar = world.sidecar("a")
    sidecar.wait(CENT, first, second)
    grant = periods.grant
    # Another writer takes the second budget's headroom between the decision and its booking.
    monkeypatch.setattr(
        periods,
        "grant",
        lambda tx, key, amount: None if key.budget_id == "b2" else grant(tx, key, amount),
    )
    answer = sidecar.sync()
    assert answer.named == ()
    assert sidecar.opened == []
    assert [told.granted_nano_usd for told in answer.leases] == [0, 0]
    assert world.number("SELECT SUM(allocated_nano_usd) FROM period") == 0
    assert world.number("SELECT COUNT(*) FROM lease") == 0
    monkeypatch.undo()
    assert len(sidecar.sync().named) == 1


def test_an_idle_lease_is_recalled_when_another_sidecar_needs_its_money(world: World) -> None:
    ref = world.budget("b", USD)
    idle, busy = world.sidecar("idle"), world.sidecar("busy")
    call_id = idle.wait(50 * CENT, ref)
    idle.sync()
    idle.void(call_id)
    for lease in idle.leases.values():
        lease.keep = USD
    idle.send(idle.report())
    needed = busy.wait(80 * CENT, ref)
    busy.sync()
    assert ("idle", "recall") in world.pushed
    assert busy.opened == []
    idle.sync()
    busy.sync()
    assert busy.opened == [needed]


def test_one_that_died_holding_money_keeps_nobody_waiting_for_anothers(world: World) -> None:
    ref = world.budget("b", USD)
    dead, alive, mine = world.sidecar("dead"), world.sidecar("alive"), world.sidecar("mine")
    for sidecar in (dead, alive):
        call_id = sidecar.wait(50 * CENT, ref)
        sidecar.sync()
        sidecar.void(call_id)
        for lease in sidecar.leases.values():
            lease.keep = USD
        sidecar.send(sidecar.report())
        world.pass_ms(100)
    dead.listens = False
    mine.wait(40 * CENT, ref)
    began = world.now
    while not mine.opened and world.now - began < 5_000:
        mine.sync()
        if ("alive", "recall") in world.pushed:
            alive.send(alive.report())
        world.pass_ms(500)
    assert world.now - began <= 2_000
    recalls = [each for each in world.pushed if each[1] == "recall"]
    assert recalls[:2] == [("dead", "recall"), ("alive", "recall")]


def test_a_sidecar_is_nudged_when_money_for_its_call_comes_free(world: World) -> None:
    ref = world.budget("b", USD)
    one, two = world.sidecar("one"), world.sidecar("two")
    first = one.wait(USD, ref)
    one.sync()
    two.wait(40 * CENT, ref)
    two.sync()
    one.settle(first, 20 * CENT)
    world.pass_ms(50)
    one.sync()
    assert ("two", "nudge") in world.pushed
    two.sync()
    assert len(two.opened) == 1


def test_a_cap_below_what_is_allocated_recalls_and_grants_nothing(world: World) -> None:
    ref = world.budget("b", USD)
    holder, other = world.sidecar("holder"), world.sidecar("other")
    first = holder.wait(90 * CENT, ref)
    holder.sync()
    holder.void(first)
    for lease in holder.leases.values():
        lease.keep = USD
    holder.sync()
    world.set_cap(ref, 40 * CENT)
    other.wait(10 * CENT, ref)
    answer = other.sync()
    assert answer.named == ()
    assert all(told.granted_nano_usd == 0 for told in answer.leases)
    assert ("holder", "recall") in world.pushed
    holder.sync()
    assert world.period(ref)["allocated_nano_usd"] <= 40 * CENT
    other.sync()
    assert len(other.opened) == 1


def test_a_raised_cap_grants_to_those_who_wait(world: World) -> None:
    ref = world.budget("b", 5 * CENT)
    sidecar = world.sidecar("a")
    sidecar.wait(5 * CENT, ref)
    sidecar.sync()
    late = sidecar.wait(5 * CENT, ref)
    assert sidecar.sync().named == ()
    world.set_cap(ref, 10 * CENT)
    answer = sidecar.sync()
    assert answer.named == (late,)
    assert answer.leases[0].cap_version == 2


def test_money_of_a_silent_sidecar_is_not_reachable_and_the_sidecar_is_named(world: World) -> None:
    ref = world.budget("b", USD)
    gone, here = world.sidecar("gone"), world.sidecar("here")
    gone.wait(70 * CENT, ref)
    gone.sync()
    here.wait(40 * CENT, ref)
    here.sync()
    world.pass_ms(31_000)
    here.waiting[0].since_unix_ms = world.now
    told = here.sync().leases[0]
    assert told.unspent_nano_usd == USD
    assert told.reachable_nano_usd == 30 * CENT
    assert told.silent_sidecar == "gone"


def test_an_older_large_call_is_not_passed_for_ever_by_small_ones(world: World) -> None:
    ref = world.budget("b", USD)
    big, small = world.sidecar("big"), world.sidecar("small")
    small.wants = False
    for _ in range(10):
        small.wait(10 * CENT, ref)
    small.sync()
    wanted = big.wait(60 * CENT, ref, patience_ms=4_000)
    passed_before_half = 0
    # Whenever a small call ends, the next one already waits: room for the large one never comes
    # by itself.
    for step in range(60):
        if small.open:
            small.void(next(iter(small.open)))
        while len(small.waiting) < 4:
            small.wait(10 * CENT, ref)
        small.sync()
        big.sync()
        if wanted in big.opened:
            break
        passed_before_half = max(passed_before_half, len(small.opened) if step < 8 else 0)
        world.pass_ms(200)
    assert passed_before_half > 12
    assert wanted in big.opened


def test_a_quiet_lease_keeps_a_floor_for_an_outage(world: World) -> None:
    ref = world.budget("b", 100 * USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, CENT)
    world.pass_ms(60_000)
    told = sidecar.sync().leases[0]
    assert 2 * CENT <= told.keep_nano_usd <= 4 * CENT
    assert sidecar.available(told.lease) >= 2 * CENT


def test_the_next_period_is_begun_before_the_turn(world: World) -> None:
    ref = world.budget("b", 10 * USD, window="day")
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, CENT)
    sidecar.sync()
    world.clock.now_unix_ms = NOON + 12 * 3_600_000 - 1_800_000
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    answer = sidecar.sync()
    assert [told.lease.period_id for told in answer.leases] == ["2026-11-23", "2026-11-24"]
    assert answer.leases[1].granted_nano_usd > 0
    # The old call settles where it was opened, the new one opens on the new period.
    world.pass_ms(3_600_000)
    sidecar.settle(call_id, CENT)
    assert sidecar.try_open("late", CENT, [ref])
    sidecar.settle("late", CENT)
    sidecar.sync()
    spent = world.number("SELECT spent_nano_usd FROM period WHERE period_id = '2026-11-23'")
    assert spent == 2 * CENT
    assert world.period(ref)["spent_nano_usd"] == CENT


def test_first_money_of_a_window_goes_to_who_used_the_last_however_long_ago(world: World) -> None:
    """But not to who only was given it at the last turn: that would go on for ever."""
    ref = world.budget("b", 10 * USD, window="week")
    sidecar, other = world.sidecar("a"), world.sidecar("b")
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, CENT)
    sidecar.sync()
    world.pass_ms(13 * DAY_MS // 2 - 1_800_000)
    other.sync()
    answer = sidecar.sync()
    assert [told.lease.period_id for told in answer.leases] == ["2026-11-23", "2026-11-30"]
    assert answer.leases[1].granted_nano_usd >= 2 * CENT
    world.pass_ms(7 * DAY_MS)
    assert "2026-12-07" not in [told.lease.period_id for told in sidecar.sync().leases]
    assert world.number("SELECT COUNT(*) FROM lease WHERE sidecar_id = 'b'") == 0


def test_a_partition_has_the_cap_for_itself(world: World) -> None:
    world.budget("b", 10 * CENT, split_by="workflow")
    sidecar = world.sidecar("a")
    for workflow in ("leads", "mails"):
        sidecar.wait(10 * CENT, BudgetRef("b", workflow))
    sidecar.sync()
    assert len(sidecar.opened) == 2
    assert world.number("SELECT COUNT(*) FROM period") == 2


def test_labels_from_callers_cannot_make_partitions_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BUDGET_PARTITIONS_MAX", 3)
    world.budget("b", 10 * CENT, split_by="workflow")
    sidecar = world.sidecar("a")
    calls = [sidecar.wait(CENT, BudgetRef("b", f"w{number}")) for number in range(5)]
    answer = sidecar.sync()
    assert answer.named == tuple(calls[:3])
    assert answer.hopeless == tuple(calls[3:])
    assert world.number("SELECT COUNT(*) FROM period") == 3


def test_a_partition_of_a_budget_that_is_not_split_is_hopeless(world: World) -> None:
    world.budget("b", 10 * CENT)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, BudgetRef("b", "leads"))
    assert sidecar.sync().hopeless == (call_id,)


def test_a_call_of_an_archived_budget_is_hopeless(world: World) -> None:
    ref = world.budget("b", USD)
    world.do(lambda tx: tx.run("UPDATE budget SET archived_unix_ms = 1"))
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, ref)
    assert sidecar.sync().hopeless == (call_id,)


def test_a_call_waits_for_the_policy_that_ended_its_budget(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, ref)
    world.do(lambda tx: tx.run("UPDATE budget SET archived_unix_ms = 1"))
    version = world.do(policy.bump)
    assert sidecar.sync().hopeless == ()
    assert sidecar.send(replace(sidecar.report(), policy_acked=version)).hopeless == (call_id,)


def test_what_was_leased_before_a_cap_was_taken_away_comes_back_when_the_window_is_over(
    world: World,
) -> None:
    ref = world.budget("b", USD, window="day")
    sidecar = world.sidecar("a")
    sidecar.wait(USD, ref)
    sidecar.send(sidecar.report())  # the answer is lost, and the call gives up
    sidecar.waiting.clear()
    world.set_cap(ref, None)
    assert sidecar.sync().leases == ()
    world.pass_ms(DAY_MS)
    sidecar.sync()
    sidecar.sync()
    assert world.number("SELECT allocated_nano_usd FROM period") == 0


def test_a_grant_whose_answer_was_lost_is_told_again_and_comes_back(world: World) -> None:
    ref = world.budget("b", USD)
    one, two = world.sidecar("one"), world.sidecar("two")
    one.wait(USD, ref)
    one.send(one.report())  # the answer is lost, and the call gives up
    one.waiting.clear()
    world.pass_ms(1_001)
    wanted = two.wait(USD, ref)
    two.sync()
    assert world.pushed == [("one", "nudge")]
    one.sync()
    one.sync()
    two.sync()
    assert two.opened == [wanted]


def test_a_stale_sync_is_recorded_and_granted_nothing(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, CENT)
    old = sidecar.report()
    newer = replace(old, sync_no=old.sync_no + 1, records=(), raw_records=(), from_seq=0)
    assert sidecar.send(newer).status is Status.OK
    before = world.period(ref)["granted_total_nano_usd"]
    assert sidecar.send(old).status is Status.STALE
    assert world.period(ref)["spent_nano_usd"] == CENT
    assert world.period(ref)["granted_total_nano_usd"] == before


def test_a_call_that_should_cost_nothing_is_named_without_money_and_its_bill_stops_the_next(
    world: World,
) -> None:
    ref, one = world.budget("b", USD), world.sidecar("one")
    call_id = one.wait(0, ref)
    one.sync()
    assert call_id in one.opened
    assert world.period(ref)["granted_total_nano_usd"] == 0
    one.settle(call_id, 5 * CENT)
    one.sync()
    assert world.period(ref)["overrun_nano_usd"] == 5 * CENT
    second = one.wait(0, ref)
    one.sync()
    assert second not in one.opened
    world.check()
