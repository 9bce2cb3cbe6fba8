"""Leases: what may be held, what goes back, what is said of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sidecar.core.allowance import Allowance, StoredLease
from sidecar.core.leases import Account, AccountKey, Lease, LeaseKey
from sidecar.limits import ENDED_LEASES_MAX, LEFT_ENDED_LEASES
from tests.sidecar.builders import CENT, DOLLAR, MONTH, NOON, HandClock, grant

KEY = LeaseKey("bgt_a", "", MONTH)


def leased(allowance: Allowance, clock: HandClock, **told: object) -> Lease:
    return allowance.merge(grant(**told), clock.boot_ms, renews=True)  # type: ignore[arg-type]  # as in grant


def used(allowance: Allowance, lease: Lease, clock: HandClock, worst: int = CENT) -> None:
    """A call that was opened and cost its worst case."""
    allowance.hold([lease], worst, clock.boot_ms)
    allowance.settle([lease], worst, worst)


def test_a_hold_is_taken_from_all_leases_and_a_settle_frees_all() -> None:
    allowance, clock = Allowance(), HandClock()
    a = leased(allowance, clock, budget_id="bgt_a")
    b = leased(allowance, clock, budget_id="bgt_b")
    allowance.hold([a, b], 4 * CENT, clock.boot_ms)
    assert (a.available_nano_usd, b.available_nano_usd) == (96 * CENT, 96 * CENT)
    allowance.settle([a, b], 4 * CENT, CENT)
    assert (a.available_nano_usd, b.available_nano_usd) == (99 * CENT, 99 * CENT)
    assert (a.spent_nano_usd, b.spent_nano_usd) == (CENT, CENT)
    assert a.held_nano_usd == a.open_calls == 0


def test_grants_merge_by_maximum_so_repeated_and_reordered_answers_do_nothing() -> None:
    allowance, clock = Allowance(), HandClock()
    leased(allowance, clock, granted=3 * DOLLAR)
    leased(allowance, clock, granted=2 * DOLLAR)
    lease = leased(allowance, clock, granted=3 * DOLLAR)
    assert lease.granted_nano_usd == 3 * DOLLAR


def test_an_answer_that_is_older_than_the_last_is_not_believed_about_what_is_left() -> None:
    allowance, clock = Allowance(), HandClock()
    allowance.merge(grant(unspent=CENT), clock.boot_ms, renews=True)
    lease = allowance.merge(grant(unspent=DOLLAR), clock.boot_ms - 5, renews=True)
    assert lease.latest is not None
    assert lease.latest.unspent_nano_usd == CENT


def test_authority_counts_from_before_the_sync_was_sent_and_never_shrinks() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock, authority_ms=60_000)
    sent = clock.boot_ms
    assert lease.authority_boot_ms == sent + 60_000
    clock.forward(1_000)
    leased(allowance, clock, authority_ms=1_000)
    assert lease.authority_boot_ms == sent + 60_000
    assert lease.usable(sent + 59_999)
    assert not lease.usable(sent + 60_000)


def test_an_answer_under_another_policy_brings_money_but_no_authority() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = allowance.merge(grant(), clock.boot_ms, renews=False)
    assert lease.available_nano_usd == DOLLAR
    assert not lease.usable(clock.boot_ms)


def test_what_is_above_keep_goes_back_with_the_next_sync() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock, keep=30 * CENT)
    used(allowance, lease, clock)
    assert allowance.take_returns(clock.now()) == [lease]
    assert lease.available_nano_usd == 30 * CENT
    assert lease.returned_nano_usd == 69 * CENT
    assert allowance.take_returns(clock.now()) == []


def test_direct_mode_gives_everything_back_but_what_calls_hold() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock, keep=0)
    allowance.hold([lease], 40 * CENT, clock.boot_ms)
    allowance.take_returns(clock.now())
    assert lease.available_nano_usd == 0
    assert (lease.held_nano_usd, lease.returned_nano_usd) == (40 * CENT, 60 * CENT)


def test_an_idle_lease_gives_back_all_but_sixteen_median_calls() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock)
    for worst in (CENT // 10, CENT // 5, 9 * CENT):
        used(allowance, lease, clock, worst)
    clock.forward(9_999)
    assert allowance.take_returns(clock.now()) == []
    clock.forward(1)
    assert allowance.take_returns(clock.now()) == [lease]
    assert lease.available_nano_usd == 16 * CENT // 5


def test_an_idle_lease_keeps_no_more_than_its_share_of_the_headroom() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock, keep=CENT)
    used(allowance, lease, clock, 2 * CENT)
    clock.forward(10_000)
    allowance.take_returns(clock.now())
    assert lease.available_nano_usd == CENT


def test_with_less_than_a_tenth_of_the_cap_left_an_idle_second_gives_everything_back() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock, cap=100 * DOLLAR, unspent=9 * DOLLAR)
    used(allowance, lease, clock)
    clock.forward(999)
    assert allowance.take_returns(clock.now()) == []
    clock.forward(1)
    allowance.take_returns(clock.now())
    assert lease.available_nano_usd == 0


def test_a_budget_that_was_not_used_for_a_day_keeps_nothing() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock)
    used(allowance, lease, clock)
    clock.forward(24 * 3_600_000)
    allowance.take_returns(clock.now())
    assert lease.available_nano_usd == 0


def test_money_of_a_period_that_ended_goes_back_and_that_of_the_next_stays() -> None:
    allowance, clock = Allowance(), HandClock()
    old = leased(allowance, clock, end=NOON + 60_000)
    new = leased(allowance, clock, period="2026-12-01", start=NOON + 60_000)
    clock.forward(60_000)
    used(allowance, new, clock, 0)
    assert old.account.lease_at(clock.unix_ms) is new
    assert allowance.take_returns(clock.now()) == [old]
    assert (old.available_nano_usd, new.available_nano_usd) == (0, DOLLAR)


def test_money_of_a_period_to_come_waits_for_it() -> None:
    allowance, clock = Allowance(), HandClock()
    new = leased(allowance, clock, period="2026-12-01", start=NOON + 60_000, keep=0)
    assert new.account.lease_at(clock.unix_ms) is None
    assert allowance.take_returns(clock.now()) == []


def test_a_recall_leaves_what_it_names() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock)
    allowance.hold([lease], 20 * CENT, clock.boot_ms)
    assert allowance.recall(KEY, 30 * CENT) is lease
    assert lease.available_nano_usd == 30 * CENT
    assert allowance.recall(KEY, 30 * CENT) is None
    assert allowance.recall(LeaseKey("bgt_no", "", MONTH), 0) is None


def test_an_overrun_stops_the_lease_until_the_ledger_has_it() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock)
    allowance.overrun([lease], 7)
    assert not lease.usable(clock.boot_ms)
    allowance.acknowledged(6)
    assert not lease.usable(clock.boot_ms)
    allowance.acknowledged(7)
    assert lease.usable(clock.boot_ms)


def test_a_lost_call_is_charged_at_its_worst_case() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = allowance.restore(stored(granted=DOLLAR), clock.boot_ms, same_boot=True)
    allowance.charge_lost([lease], 40 * CENT)
    assert (lease.spent_nano_usd, lease.available_nano_usd) == (40 * CENT, 60 * CENT)


def stored(granted: int = DOLLAR, authority: int = 2_000_000) -> StoredLease:
    return StoredLease(
        key=KEY,
        period_start_unix_ms=NOON - 1,
        period_end_unix_ms=None,
        granted_nano_usd=granted,
        returned_nano_usd=0,
        spent_nano_usd=0,
        authority_boot_ms=authority,
        median_worst_nano_usd=3 * CENT,
        frozen=False,
    )


def test_authority_lives_through_a_restart_but_not_through_a_reboot() -> None:
    clock = HandClock()
    assert Allowance().restore(stored(), clock.boot_ms, same_boot=True).usable(clock.boot_ms)
    assert not Allowance().restore(stored(), clock.boot_ms, same_boot=False).usable(clock.boot_ms)


def test_a_restarted_lease_remembers_what_its_calls_were_like() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = allowance.restore(stored(), clock.boot_ms, same_boot=True)
    assert lease.account.want_nano_usd == 48 * CENT


def test_the_want_of_a_lease_is_sixteen_median_calls_or_a_minute_of_its_burn() -> None:
    account, clock = Account(AccountKey("bgt_a", "")), HandClock()
    account.note_opened(CENT, clock.boot_ms)
    assert account.want_nano_usd == 16 * CENT
    for _ in range(60):
        account.note_opened(CENT, clock.forward(500).boot_ms)
    # Two cents a second for half a minute are decayed to about two cents times 30 s / ln 2, halved.
    assert 55 * CENT < account.want_nano_usd < 65 * CENT


def test_burn_is_halved_in_half_a_minute_and_forgotten_in_ten() -> None:
    account, clock = Account(AccountKey("bgt_a", "")), HandClock()
    account.note_opened(DOLLAR, clock.boot_ms)
    account.decay(clock.forward(30_000).boot_ms)
    assert 49 * CENT < account.burn_nano_usd < 51 * CENT
    account.decay(clock.forward(600_000).boot_ms)
    assert account.burn_nano_usd == 0


def test_a_quiet_lease_wants_its_floor_only_and_says_how_long_it_was_quiet() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock)
    for _ in range(40):
        used(allowance, lease, clock)
    levels = allowance.levels(lease, clock.now())
    assert levels.want_nano_usd > 16 * CENT
    assert levels.idle_ms == 0
    clock.forward(10_000)
    levels = allowance.levels(lease, clock.now())
    assert (levels.want_nano_usd, levels.idle_ms) == (16 * CENT, 10_000)
    clock.forward(24 * 3_600_000)
    assert allowance.levels(lease, clock.now()).want_nano_usd == 0


def test_near_the_cap_a_quiet_lease_wants_nothing() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock, cap=100 * DOLLAR, unspent=9 * DOLLAR)
    used(allowance, lease, clock)
    clock.forward(1_000)
    assert allowance.levels(lease, clock.now()).want_nano_usd == 0


def test_a_told_lease_remembers_its_median_for_the_journal() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock)
    used(allowance, lease, clock)
    levels = allowance.levels(lease, clock.now())
    assert levels.median_worst_nano_usd == CENT


def test_a_lease_is_told_while_it_changed_holds_money_or_its_budget_is_in_use() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock)
    other = leased(allowance, clock, budget_id="bgt_b", granted=0)
    used(allowance, lease, clock)
    assert allowance.reportable(clock.now()) == [lease, other]
    lease.changed = other.changed = False
    assert allowance.changed() == []
    assert allowance.reportable(clock.now()) == [lease]
    allowance.recall(KEY, 0)
    lease.changed = False
    # Empty, but in use within a day: only what is told is filled up.
    assert allowance.reportable(clock.now()) == [lease]
    clock.forward(24 * 3_600_000)
    assert allowance.reportable(clock.now()) == []


def test_a_budget_that_is_used_up_is_asked_about_again_though_nothing_was_opened_here() -> None:
    """Money comes back without a new cap too: a lost journal is found, an estimate corrected."""
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock, granted=0, unspent=0)
    lease.changed = False
    assert allowance.reportable(clock.now()) == [lease]
    leased(allowance, clock, granted=0, unspent=50 * DOLLAR)
    assert allowance.reportable(clock.now()) == []


def test_whoever_gave_all_back_at_the_end_wants_nothing_more() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock)
    used(allowance, lease, clock)
    assert allowance.levels(lease, clock.now()).want_nano_usd > 0
    assert allowance.take_all() == [lease]
    told = allowance.levels(lease, clock.now())
    assert told.available_nano_usd == told.want_nano_usd == told.median_worst_nano_usd == 0


def ended(allowance: Allowance, clock: HandClock, *, spent: int) -> Lease:
    """A lease whose period ended, of which all was spent, given back and told."""
    lease = leased(allowance, clock, end=clock.unix_ms + 1)
    used(allowance, lease, clock, spent)
    clock.forward(1_000)
    allowance.take_returns(clock.now())
    lease.changed = False
    return lease


def test_an_ended_lease_is_set_aside_once_nothing_of_it_is_left_to_tell() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock, end=NOON + 1)
    allowance.hold([lease], CENT, clock.boot_ms)
    clock.forward(1_000)
    allowance.take_returns(clock.now())
    lease.changed = False
    allowance.set_ended_aside(clock.now())
    assert allowance.lease(lease.key) is lease
    allowance.settle([lease], CENT, CENT)
    allowance.set_ended_aside(clock.now())
    assert allowance.lease(lease.key) is lease
    lease.changed = False
    allowance.set_ended_aside(clock.now())
    assert allowance.lease(lease.key) is None


def test_a_call_that_holds_nothing_keeps_its_lease() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = leased(allowance, clock, granted=0, end=NOON + 1)
    allowance.hold([lease], 0, clock.boot_ms)
    clock.forward(1_000)
    lease.changed = False
    allowance.set_ended_aside(clock.now())
    assert allowance.lease(lease.key) is lease


def test_what_was_spent_of_a_lease_is_known_again_when_the_clock_was_wrong() -> None:
    """The control plane still counts the period as running, and grants another cent on it."""
    allowance, clock = Allowance(), HandClock()
    lease = ended(allowance, clock, spent=40 * CENT)
    allowance.set_ended_aside(clock.now())
    clock.unix_ms -= 1_000
    again = leased(allowance, clock, granted=DOLLAR + CENT, end=lease.period_end_unix_ms)
    assert again.available_nano_usd == CENT
    assert (again.returned_nano_usd, again.spent_nano_usd) == (60 * CENT, 40 * CENT)
    assert again.account.lease_at(clock.unix_ms) is again
    assert allowance.account(AccountKey("bgt_a", "")) is again.account


def test_what_a_late_answer_brings_to_an_ended_lease_goes_back_and_no_more() -> None:
    allowance, clock = Allowance(), HandClock()
    lease = ended(allowance, clock, spent=40 * CENT)
    allowance.set_ended_aside(clock.now())
    again = leased(allowance, clock, granted=DOLLAR + CENT, end=lease.period_end_unix_ms)
    assert allowance.take_returns(clock.now()) == [again]
    assert again.returned_nano_usd == 61 * CENT


def many_ended(allowance: Allowance, clock: HandClock, count: int) -> None:
    """So many partitions were used up in a window that is over, the first of them the earliest."""
    for number in range(count):
        told = grant(partition=f"w{number}", end=clock.unix_ms - 10_000_000 + number)
        lease = allowance.merge(told, clock.boot_ms, renews=True)
        lease.returned_nano_usd, lease.changed = lease.granted_nano_usd, False


def test_leases_that_were_set_aside_are_forgotten_when_they_are_many_the_oldest_first() -> None:
    clock = HandClock()
    allowance = Allowance()
    many_ended(allowance, clock, ENDED_LEASES_MAX)
    assert allowance.set_ended_aside(clock.now()) == []
    many_ended(allowance, clock, ENDED_LEASES_MAX + 1)
    forgotten = allowance.set_ended_aside(clock.now())
    assert [key.partition for key in forgotten] == [
        f"w{number}" for number in range(ENDED_LEASES_MAX + 1 - LEFT_ENDED_LEASES)
    ]


def test_an_answer_about_a_lease_that_may_have_been_forgotten_brings_nothing_back() -> None:
    clock = HandClock()
    allowance = Allowance()
    many_ended(allowance, clock, ENDED_LEASES_MAX + 1)
    allowance.set_ended_aside(clock.now())
    old = clock.unix_ms - 10_000_000
    assert not allowance.takes(grant(partition="w0", end=old))
    assert not allowance.takes(grant(partition="never heard of", end=old))
    with pytest.raises(AssertionError):
        allowance.merge(grant(partition="w0", end=old), clock.boot_ms, renews=True)
    kept = grant(partition=f"w{ENDED_LEASES_MAX}", end=old + ENDED_LEASES_MAX)
    assert allowance.takes(kept)
    assert allowance.merge(kept, clock.boot_ms, renews=True).available_nano_usd == 0
    assert allowance.takes(grant(partition="w0", period="2026-12-01"))
    assert allowance.takes(grant(partition="w0", period="once", end=None))


def test_labels_of_callers_cannot_fill_the_memory() -> None:
    allowance, clock = Allowance(), HandClock()
    kept = leased(allowance, clock).account
    for number in range(1_000):
        allowance.account(AccountKey("bgt_w", f"workflow-{number}"))
    assert len(allowance._accounts) <= 2
    assert allowance.account(kept.key) is kept


def test_a_call_that_waits_gets_its_lease_whatever_labels_come_meanwhile() -> None:
    allowance, clock = Allowance(), HandClock()
    waited_for = allowance.account(AccountKey("bgt_w", "mine"))
    crowd = [allowance.account(AccountKey("bgt_w", f"workflow-{n}")) for n in range(1_000)]
    lease = leased(allowance, clock, budget_id="bgt_w", partition="mine")
    assert waited_for.lease_at(clock.unix_ms) is lease
    assert len(crowd) == 1_000


class LeaseMachine(RuleBasedStateMachine):
    """Any order of grants, holds, settles, returns and time keeps a lease's sum."""

    def __init__(self) -> None:
        super().__init__()
        self.allowance = Allowance()
        self.clock = HandClock()
        self.open: list[int] = []
        self.granted = 0
        self.lease = leased(self.allowance, self.clock, granted=0)

    @rule(more=st.integers(0, DOLLAR), keep=st.sampled_from([0, CENT, DOLLAR]))
    def answer(self, more: int, keep: int) -> None:
        self.granted += more
        leased(self.allowance, self.clock, granted=self.granted, keep=keep)

    @rule(stale=st.integers(0, DOLLAR))
    def stale_answer(self, stale: int) -> None:
        leased(self.allowance, self.clock, granted=min(stale, self.granted))

    @rule(part=st.integers(1, 4))
    def hold(self, part: int) -> None:
        worst = self.lease.available_nano_usd // part
        self.allowance.hold([self.lease], worst, self.clock.boot_ms)
        self.open.append(worst)

    @rule(part=st.integers(1, 3))
    def settle(self, part: int) -> None:
        if self.open:
            worst = self.open.pop()
            self.allowance.settle([self.lease], worst, worst // part)

    @rule(ms=st.sampled_from([1, 1_000, 60_000, 90_000_000]))
    def wait(self, ms: int) -> None:
        self.clock.forward(ms)

    @rule()
    def sync(self) -> None:
        self.allowance.take_returns(self.clock.now())

    @rule(keep=st.integers(0, DOLLAR))
    def recall(self, keep: int) -> None:
        self.allowance.recall(KEY, keep)

    @invariant()
    def nothing_is_spent_twice_or_lost(self) -> None:
        lease = self.lease
        assert lease.available_nano_usd >= 0
        assert lease.held_nano_usd == sum(self.open)
        assert lease.open_calls == len(self.open)
        assert lease.granted_nano_usd == self.granted


TestLeaseMachine = LeaseMachine.TestCase
TestLeaseMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=60))
def test_the_median_is_one_of_the_latest_forty_calls(worsts: list[int]) -> None:
    account = Account(AccountKey("bgt_a", ""))
    for worst in worsts:
        account.note_opened(worst, 0)
    recent = sorted(worsts[-40:])
    assert account.median_worst_nano_usd == recent[len(recent) // 2]
    assert account.smallest_worst_nano_usd == recent[0]


def test_an_offer_brings_money_and_what_is_left_but_no_authority() -> None:
    allowance = Allowance()
    lease = allowance.merge(grant(granted=5 * CENT, authority_ms=10_000), 1_000, renews=True)
    later = grant(granted=9 * CENT, authority_ms=99_000, unspent=20 * CENT)
    assert allowance.merge_offer(later, 1_000) is lease
    assert lease.granted_nano_usd == 9 * CENT
    assert lease.latest is not None
    assert lease.latest.unspent_nano_usd == 20 * CENT
    assert (lease.authority_boot_ms, lease.heard_boot_ms) == (11_000, 1_000)
    allowance.merge_offer(grant(granted=7 * CENT), 1_000)
    assert lease.granted_nano_usd == 9 * CENT
    allowance.merge(grant(granted=9 * CENT, keep=0), 1_000, renews=True)
    assert lease.direct
