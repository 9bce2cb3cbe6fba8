"""What is kept of what sidecars said last, and for how long."""

from dataclasses import replace

from control_plane import limits
from control_plane.core import limits as core_limits
from control_plane.core.leases import BudgetRef, PeriodKey
from control_plane.core.reports import LeaseReport, WaitingCall
from control_plane.core.situation import Recall
from control_plane.usecases.levels import Levels

NOW = 1_000_000
A, B = BudgetRef("a", ""), BudgetRef("b", "")
KEY = PeriodKey("a", "", "p")


def waiting(call_id: str, age_ms: int = 0, *refs: BudgetRef) -> WaitingCall:
    return WaitingCall(call_id, age_ms, 5, refs or (A,), 20_000)


def report(**numbers: int) -> LeaseReport:
    plain = dict.fromkeys(
        (
            "granted_seen_nano_usd",
            "returned_nano_usd",
            "held_nano_usd",
            "available_nano_usd",
            "open_calls",
            "want_nano_usd",
            "median_worst_nano_usd",
            "smallest_worst_nano_usd",
            "idle_ms",
            "serial_seen",
        ),
        0,
    )
    return LeaseReport(lease=KEY, **{**plain, **numbers})


def names(levels: Levels, asker: str, now: int) -> list[str]:
    return [demand.call_id for demand in levels.live_demands(asker, now)]


def test_a_call_keeps_the_earliest_start_that_was_ever_computed() -> None:
    levels = Levels(NOW)
    levels.queue("s", "1", (waiting("c", 100),), NOW)
    levels.queue("s", "1", (waiting("c", 400),), NOW + 500)  # came late: it would look younger
    assert levels.live_demands("s", NOW + 500)[0].since_unix_ms == NOW - 100


def test_demands_end_some_seconds_after_they_were_said() -> None:
    levels = Levels(NOW)
    patient = replace(waiting("c"), patience_ms=60_000)
    levels.queue("s", "1", (patient,), NOW)
    assert names(levels, "", NOW + limits.DEMAND_LIFE_MS - 1) == ["c"]
    assert names(levels, "", NOW + limits.DEMAND_LIFE_MS) == []


def test_a_sidecar_waits_for_as_long_as_a_call_that_it_told_of_has_no_answer() -> None:
    levels = Levels(NOW)
    assert not levels.waits("s", NOW)
    levels.queue("s", "1", (waiting("c"), waiting("d")), NOW)
    levels.remember_answered("s", named=["c"], refused=())
    assert levels.waits("s", NOW + limits.DEMAND_LIFE_MS - 1)
    assert not levels.waits("s", NOW + limits.DEMAND_LIFE_MS)
    levels.remember_answered("s", named=["c"], refused=["d"])
    assert not levels.waits("s", NOW)
    levels.queue("s", "1", (), NOW)
    assert not levels.waits("s", NOW)


def test_a_call_whose_patience_is_over_counts_no_more_though_its_sidecar_is_quiet() -> None:
    levels = Levels(NOW)
    levels.queue("s", "1", (waiting("old", 19_000), waiting("young", 500)), NOW)
    assert names(levels, "s", NOW + 999) == ["old", "young"]
    assert names(levels, "s", NOW + 1_000) == ["young"]
    # The clock was set ahead: what waits for 500 ms still has patience.
    levels.queue("s", "1", (waiting("young", 500),), NOW + 60_000)
    assert names(levels, "s", NOW + 60_000) == ["young"]


def test_a_call_that_was_named_keeps_its_money_a_moment_after_its_patience() -> None:
    levels = Levels(NOW)
    calls = (waiting("named", 19_000), waiting("refused", 19_000), waiting("young", 500))
    levels.queue("s", "1", calls, NOW)
    levels.remember_answered("s", named=["named"], refused=["refused"])
    assert names(levels, "t", NOW + 1_000) == ["named", "young"]
    assert names(levels, "t", NOW + 1_000 + core_limits.NAMED_LIFE_MS) == ["young"]
    levels.queue("s", "1", (waiting("young", 2_000),), NOW + 1_500)
    assert names(levels, "t", NOW + 1_500) == ["young"]


def test_a_crowd_at_one_client_hides_no_other_client_and_never_the_asker() -> None:
    levels = Levels(NOW)
    crowd = tuple(waiting(f"a{n}", 10_000 - n) for n in range(200))
    levels.queue("crowd", "1", crowd, NOW)
    levels.queue("other", "1", (waiting("b", 0, B),), NOW)
    levels.queue("me", "1", (waiting("mine"),), NOW)
    seen = names(levels, "me", NOW)
    assert len(seen) == limits.DECISION_SET_DEMANDS_MAX + 2
    assert {"b", "mine"} <= set(seen)
    assert "mine" not in names(levels, "other", NOW)


def test_a_recall_is_expected_until_the_holder_speaks_or_the_time_is_over() -> None:
    levels = Levels(NOW)
    levels.remember_recalls((Recall("s", KEY, 0, 7),), NOW)
    assert levels.pending(NOW + 249) == {("s", KEY): 7}
    assert levels.pending(NOW + 250) == {}
    levels.hear("s", (report(),), NOW + 10)
    assert levels.pending(NOW + 11) == {}


def test_a_sidecar_is_nudged_at_most_every_so_often() -> None:
    levels = Levels(NOW)
    assert levels.take_nudges(frozenset("ab"), NOW) == {"a", "b"}
    assert levels.take_nudges(frozenset("abc"), NOW + 99) == {"c"}
    assert levels.take_nudges(frozenset("ab"), NOW + 100) == {"a", "b"}


def test_a_call_that_an_answer_ended_is_known_until_its_sidecar_speaks_again() -> None:
    levels = Levels(NOW)
    levels.remember_answered("s", named=["call_1"], refused=["call_2"])
    levels.remember_answered("t", named=["call_3"], refused=())
    assert levels.answered() == {"call_1", "call_2", "call_3"}
    assert levels.all_named() == {"call_1", "call_3"}
    levels.queue("s", "1", (), NOW + 100)
    assert levels.answered() == {"call_3"}
    levels.forget("t")
    assert not levels.answered()


def test_calls_of_a_sidecar_that_does_not_come_when_it_is_nudged_hold_nobody_up() -> None:
    levels = Levels(NOW)
    levels.queue("s", "1", (waiting("call_1"),), NOW)
    levels.take_nudges(frozenset("s"), NOW + 100)
    levels.take_nudges(frozenset("s"), NOW + 1_000)
    late = NOW + 100 + limits.NUDGE_UNANSWERED_MS
    assert names(levels, "", late - 1) == ["call_1"]
    assert names(levels, "", late) == []
    levels.queue("s", "1", (waiting("call_1"),), late)
    assert names(levels, "", late + 5_000) == ["call_1"]


def test_a_shortage_is_remembered_for_a_while() -> None:
    levels = Levels(NOW)
    levels.remember_short(frozenset([KEY]), NOW)
    assert levels.lately_short(NOW + 1_999) == {KEY}
    assert not levels.lately_short(NOW + 2_000)
    levels.drop_periods(frozenset())
    assert not levels.short_unix_ms


def test_nobody_is_silent_before_this_process_listened_long_enough() -> None:
    levels = Levels(NOW)
    assert not levels.silent("s", NOW + limits.SILENT_AFTER_MS)
    assert levels.silent("s", NOW + limits.SILENT_AFTER_MS + 1)
    levels.queue("s", "1", (), NOW + 50_000)
    assert not levels.silent("s", NOW + 60_000)


def test_sums_for_people_count_each_call_once() -> None:
    levels = Levels(NOW)
    levels.hear("s", (report(held_nano_usd=5, open_calls=2, smallest_worst_nano_usd=3),), NOW)
    levels.hear("t", (report(held_nano_usd=4, open_calls=1),), NOW)
    other = replace(report(open_calls=2), lease=PeriodKey("b", "", "p"))
    levels.hear("s", (other,), NOW)
    assert levels.held_nano_usd(KEY) == 9
    assert levels.held_nano_usd(KEY, "s") == 5
    assert levels.open_calls("s") == 2
    assert levels.smallest_worst_nano_usd(KEY) == 3


def test_what_is_over_is_forgotten() -> None:
    levels = Levels(NOW)
    levels.hear("s", (report(),), NOW)
    levels.drop_periods(frozenset())
    assert levels.by_period == {}
    levels.hear("s", (report(),), NOW)
    levels.forget("s")
    assert levels.by_period == {KEY: {}}


def test_a_clock_that_is_set_back_makes_old_what_was_said_before() -> None:
    levels = Levels(NOW)
    levels.queue("s", "1", (waiting("c"),), NOW)
    levels.remember_recalls((Recall("s", KEY, 0, 7),), NOW)
    levels.take_nudges(frozenset("a"), NOW)
    back = NOW - 600_000
    assert names(levels, "", back) == []
    assert levels.pending(back) == {}
    assert levels.unanswered(back) == {("s", KEY)}
    assert levels.take_nudges(frozenset("a"), back) == {"a"}
    levels.queue("s", "1", (waiting("c"),), back)
    assert names(levels, "", back) == ["c"]


def test_whoever_may_know_of_too_little_is_nudged_until_it_spoke_whatever_the_clock_does() -> None:
    levels = Levels(NOW)
    levels.hear("s", (report(),), NOW)
    for left in (5, 7):
        levels.note_unspent(KEY, 1, left)
    levels.hear("s", (report(),), NOW + 1)
    assert set(levels.outdated) == {"s"}
    back = NOW - 600_000
    levels.take_nudges(frozenset(levels.outdated), back)
    levels.hear("s", (report(),), back + 1)
    assert not levels.outdated
    levels.note_unspent(KEY, 2, 9)
    assert not levels.outdated


def test_a_recall_stays_unanswered_until_its_holder_speaks_or_begins_anew() -> None:
    levels = Levels(NOW)
    levels.remember_recalls((Recall("s", KEY, 0, 7), Recall("t", KEY, 0, 7)), NOW)
    assert levels.unanswered(NOW + 249) == frozenset()
    assert levels.unanswered(NOW + 60_000) == {("s", KEY), ("t", KEY)}
    levels.hear("s", (report(),), NOW + 60_000)
    levels.forget("t")
    assert levels.unanswered(NOW + 60_000) == frozenset()


def test_a_sidecar_is_sent_a_few_offers_until_it_speaks_again() -> None:
    levels = Levels(NOW)
    for _ in range(limits.UNHEARD_OFFERS_MAX):
        assert levels.may_be_offered("s", NOW)
        levels.remember_offer("s", NOW)
    assert not levels.may_be_offered("s", NOW)
    levels.queue("s", "1", (), NOW)
    assert levels.may_be_offered("s", NOW)
    levels.remember_offer("s", NOW + 7)
    assert levels.may_be_offered("s", NOW + 6 + limits.NUDGE_UNANSWERED_MS)
    levels.remember_offer("s", NOW + 6 + limits.NUDGE_UNANSWERED_MS)
    assert not levels.may_be_offered("s", NOW + 7 + limits.NUDGE_UNANSWERED_MS)
    levels.forget("s")
    assert levels.may_be_offered("s", NOW + 7 + limits.NUDGE_UNANSWERED_MS)
