"""Calls at the door of their rate limits: who waits, who is told to come back, who leaves."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from sidecar.core.calls import Bound, Hold, Outcome, Settlement
from sidecar.core.instants import Now
from sidecar.core.policy import Policy
from sidecar.core.rate_limits import RateLimit, Share, Taken
from sidecar.core.refusals import Reason, Refused
from sidecar.runtime import rate_wire
from sidecar.runtime.throttle import Throttle
from tests.sidecar.builders import CENT, HandClock, attributes, bound, new_call, policy, project
from tests.sidecar.runtime.admission_world import OK, World, world

pytestmark = pytest.mark.trio

MINUTE = 60_000
OWN = RateLimit("rlm_own", "requests", 2, MINUTE, project_id="prj_a")
AT_ONCE = RateLimit("rlm_once", "calls", 1, 0, project_id="prj_a")
TOKENS = RateLimit("rlm_tokens", "tokens", 100, MINUTE, project_id="prj_a")
SECOND = RateLimit("rlm_second", "requests", 2, 1_000, project_id="prj_a")


class TrioClock(HandClock):
    """A clock that goes on with trio's own, which a test may let jump."""

    def __init__(self) -> None:
        super().__init__()
        self._began = trio.current_time()
        self._begin = super().now()

    def now(self) -> Now:
        passed_ms = round((trio.current_time() - self._began) * 1_000)
        begin = self._begin
        return begin._replace(unix_ms=begin.unix_ms + passed_ms, boot_ms=begin.boot_ms + passed_ms)


class Door:
    """A throttle by itself, whose time goes by at once, and whose calls go out at once."""

    def __init__(self, limit: RateLimit) -> None:
        self.clock = TrioClock()
        self.asked = 0
        self.throttle = Throttle(self.clock, self._asked)
        self.throttle.rates.take_limits([limit])
        found = self.throttle.rates.meter(limit.rate_limit_id)
        assert found is not None
        self.meter = found

    def share(self, share: Share) -> None:
        now_ms = self.clock.now().boot_ms
        self.meter.take_share(share, now_ms, now_ms + 5 * MINUTE)
        self.throttle.shares_came()

    def _asked(self) -> None:
        self.asked += 1

    async def take(self, what: Bound | None = None) -> Taken:
        call = new_call(what=what)
        return await self.throttle.enter(self.throttle.counting(call), call, 20_000, lambda: None)

    async def enter(self) -> None:
        (await self.take()).goes_out(self.clock.now().boot_ms)


def limited(*limits: RateLimit, patience_ms: int = 20_000) -> Policy:
    known = policy(projects=(project(patience_ms=patience_ms),))
    return Policy(
        version=2,
        projects=known.projects,
        keys=known.keys,
        budgets=known.budgets,
        prices=known.prices,
        providers=known.providers,
        rate_limits=limits,
    )


def share_out(sidecar: World, *limits: RateLimit, share: Share | None = None) -> None:
    now_ms = sidecar.clock.now().boot_ms
    for limit in limits:
        meter = sidecar.admission.throttle.rates.meter(limit.rate_limit_id)
        assert meter is not None
        meter.take_share(share or Share(limit.amount), now_ms, now_ms + 5 * MINUTE)
    sidecar.admission.throttle.wake()


def used(sidecar: World, limit: RateLimit) -> int:
    meter = sidecar.admission.throttle.rates.meter(limit.rate_limit_id)
    assert meter is not None
    return meter.level(sidecar.clock.now().boot_ms).used


async def refused(sidecar: World) -> Refused:
    with pytest.raises(Refused) as caught:
        await sidecar.admission.open(new_call())
    return caught.value


async def until(true: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not true():
            await trio.lowlevel.checkpoint()


async def test_a_call_without_room_is_told_when_there_is(tmp_path: Path) -> None:
    async with world(tmp_path, limited(OWN)) as sidecar:
        sidecar.told()
        share_out(sidecar, OWN)
        for _ in range(2):
            await sidecar.admission.open(new_call())
        sidecar.clock.forward(10_000)
        refusal = (await refused(sidecar)).refusal
        assert refusal.reason is Reason.RATE_LIMITED
        assert refusal.retryable
        assert refusal.retry_after_ms is not None
        assert 50_000 <= refusal.retry_after_ms <= 52_000
        assert "2 requests a minute of this client" in refusal.message
        assert refusal.fields["rate_limit_id"] == "rlm_own"
        sidecar.clock.forward(refusal.retry_after_ms)
        await sidecar.admission.open(new_call())
        [told] = sidecar.admission.tallies.refusals()
        assert (told.kind.reason, told.kind.project_id, told.calls) == ("rate_limited", "prj_a", 1)


async def test_who_waits_for_less_than_its_patience_is_not_refused(
    autojump_clock: MockClock,
) -> None:
    door = Door(SECOND)
    door.share(Share(2))
    order: list[int] = []

    async def call(number: int) -> None:
        await door.enter()
        order.append(number)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(call, number)
            await trio.testing.wait_all_tasks_blocked()
    assert order == list(range(8)), "in the order in which they came"
    assert 3.0 <= trio.current_time() - began <= 3.3


async def test_a_call_that_ends_lets_the_next_one_in(tmp_path: Path) -> None:
    async with world(tmp_path, limited(AT_ONCE)) as sidecar, trio.open_nursery() as nursery:
        sidecar.told()
        share_out(sidecar, AT_ONCE)
        holds: list[Hold] = []

        async def call() -> None:
            holds.append(await sidecar.admission.open(new_call()))

        nursery.start_soon(call)
        await until(lambda: len(holds) == 1)
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        assert len(holds) == 1
        assert sidecar.admission.cadence.refill, "more is asked for"
        sidecar.admission.settle(holds[0], OK)
        await until(lambda: len(holds) == 2)
        sidecar.admission.void(holds[1], Settlement(outcome=Outcome.NOT_SENT))
        assert used(sidecar, AT_ONCE) == 0


async def test_who_hangs_up_leaves_nothing_taken(tmp_path: Path) -> None:
    async with world(tmp_path, limited(AT_ONCE)) as sidecar:
        sidecar.told()
        share_out(sidecar, AT_ONCE)
        hold = await sidecar.admission.open(new_call())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sidecar.admission.open, new_call())
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        sidecar.admission.settle(hold, OK)
        assert used(sidecar, AT_ONCE) == 0
        await sidecar.admission.open(new_call())


async def test_a_call_that_money_refuses_gives_its_room_back(tmp_path: Path) -> None:
    async with world(tmp_path, limited(OWN, AT_ONCE)) as sidecar:
        sidecar.told(granted=0, keep=0, unspent=0, spent=CENT)
        share_out(sidecar, OWN, AT_ONCE)
        assert (await refused(sidecar)).refusal.reason is Reason.EXHAUSTED
        assert used(sidecar, OWN) == used(sidecar, AT_ONCE) == 0


async def test_tokens_count_by_the_bound_until_the_call_settles(tmp_path: Path) -> None:
    async with world(tmp_path, limited(TOKENS)) as sidecar:
        sidecar.told()
        share_out(sidecar, TOKENS)
        what = replace(bound(output_rate=1, output_max=60, limit=40), input_tokens=30)
        hold = await sidecar.admission.open(new_call(what=what))
        assert used(sidecar, TOKENS) == 70
        sidecar.admission.settle(hold, OK)
        assert used(sidecar, TOKENS) == 12
        unseen = await sidecar.admission.open(new_call(what=what))
        gone = Settlement(outcome=Outcome.CLIENT_GONE, cost_nano_usd=CENT, estimated=True)
        sidecar.admission.settle(unseen, gone)
        assert used(sidecar, TOKENS) == 82


async def test_without_a_share_calls_wait_for_one(tmp_path: Path) -> None:
    async with world(tmp_path, limited(OWN)) as sidecar, trio.open_nursery() as nursery:
        sidecar.told()
        holds: list[Hold] = []

        async def call() -> None:
            holds.append(await sidecar.admission.open(new_call()))

        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        assert not holds
        share_out(sidecar, OWN)
        await until(lambda: len(holds) == 1)


async def test_a_share_that_may_grow_is_waited_for_but_not_for_long(
    autojump_clock: MockClock,
) -> None:
    door = Door(OWN)
    door.share(Share(1))
    await door.enter()
    began = trio.current_time()
    with pytest.raises(Refused):
        await door.enter()
    assert 2.9 <= trio.current_time() - began <= 3.1
    door.meter.level(door.clock.now().boot_ms)
    door.share(Share(1))
    began = trio.current_time()
    with pytest.raises(Refused):
        await door.enter()
    assert trio.current_time() == began, "nobody has more: it was asked a moment ago"


async def test_a_queue_is_judged_by_the_share_that_is_due(autojump_clock: MockClock) -> None:
    """A share that others still hold is on its way: nobody is sent away for a minute meanwhile."""
    door = Door(replace(SECOND, amount=200))
    door.share(Share(5, due=100))
    passed: list[float] = []

    async def call() -> None:
        await door.enter()
        passed.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(200):  # At five a second it would take forty of them.
            nursery.start_soon(call)
            door.meter.level(door.clock.now().boot_ms)
        await trio.testing.wait_all_tasks_blocked()
        asked = door.asked
        door.share(Share(5, due=100))
        assert door.asked == asked + 1, "it is asked again, as others have what is lacking"
        nursery.start_soon(call)
        await trio.sleep(2)
        door.share(Share(100))
    assert len(passed) == 201
    assert passed[-1] - passed[0] < 6


async def test_a_client_that_has_just_begun_waits_for_what_is_kept_beside_its_part(
    autojump_clock: MockClock,
) -> None:
    """It used its part of the minute, and more of it becomes its own as the minute passes."""
    door = Door(replace(OWN, project_id="", amount=60))
    door.share(Share(60, spare=40, parts={"prj_a": 20}))
    for _ in range(20):
        await door.enter()
    door.meter.level(door.clock.now().boot_ms)
    door.share(Share(60, spare=40, parts={"prj_a": 20}))
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.enter)
        await trio.testing.wait_all_tasks_blocked()
        asked = door.asked
        door.share(Share(60, spare=40, parts={"prj_a": 20}))
        assert door.asked == asked + 1
        await trio.sleep(13)
        door.share(Share(60, spare=30, parts={"prj_a": 30}))
    assert 13 <= trio.current_time() - began < 14


async def test_a_queue_that_is_too_long_for_all_that_is_due_is_sent_away(
    autojump_clock: MockClock,
) -> None:
    door = Door(replace(SECOND, amount=200))
    door.share(Share(1, due=4))
    async with trio.open_nursery() as nursery:
        for _ in range(85):
            nursery.start_soon(door.take)
        await trio.testing.wait_all_tasks_blocked()
        door.meter.level(door.clock.now().boot_ms)
        door.share(Share(1, due=4))
        began = trio.current_time()
        with pytest.raises(Refused) as caught:
            await door.enter()
        assert trio.current_time() == began
        assert caught.value.refusal.retry_after_ms is not None
        assert 20_000 < caught.value.refusal.retry_after_ms <= 22_000
        nursery.cancel_scope.cancel()


async def test_what_goes_out_is_waited_for_no_longer_than_its_window(
    autojump_clock: MockClock,
) -> None:
    """While it is pinned no time tells when there is room; once it is out, its window does."""
    door = Door(replace(SECOND, amount=1))
    door.share(Share(1))
    first = await door.take()
    passed: list[float] = []

    async def call() -> None:
        await door.enter()
        passed.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await trio.sleep(3)
        door.throttle.goes_out(first, Hold("cll_1", new_call(), CENT, None, 0))
        began = trio.current_time()
    assert [round(at - began, 1) for at in passed] == [1.0], "though the call before lasts on"


async def test_a_call_of_no_tokens_needs_no_share_of_them(autojump_clock: MockClock) -> None:
    door = Door(TOKENS)
    free = replace(bound(output_rate=0, output_max=0, limit=None), input_tokens=0)
    taken = await door.take(free)
    assert door.meter.level(door.clock.now().boot_ms).wants == {}
    taken.goes_out(door.clock.now().boot_ms)
    door.meter.level(door.clock.now().boot_ms)
    taken.ended(sent=True, tokens=7)
    unsent = await door.take(free)
    unsent.ended(sent=False, tokens=None)


async def test_nobody_waits_for_room_whose_budget_is_used_up(tmp_path: Path) -> None:
    async with world(tmp_path, limited(AT_ONCE)) as sidecar:
        sidecar.told()
        share_out(sidecar, AT_ONCE)
        await sidecar.admission.open(new_call())
        reasons: list[Reason] = []

        async def call() -> None:
            reasons.append((await refused(sidecar)).refusal.reason)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            assert not reasons
            sidecar.told(granted=0, keep=0, unspent=0, spent=CENT)
            sidecar.admission.try_waiting(every=True)
        assert reasons == [Reason.EXHAUSTED] * 3
        assert (await refused(sidecar)).refusal.reason is Reason.EXHAUSTED, "nor who comes then"


async def test_an_orderly_end_sends_those_away_who_wait_for_room(tmp_path: Path) -> None:
    async with world(tmp_path, limited(AT_ONCE)) as sidecar, trio.open_nursery() as nursery:
        sidecar.told()
        share_out(sidecar, AT_ONCE)
        await sidecar.admission.open(new_call())
        reasons: list[Reason] = []

        async def call() -> None:
            reasons.append((await refused(sidecar)).refusal.reason)

        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        sidecar.admission.draining = True
        sidecar.admission.try_waiting(every=True)
        await until(lambda: reasons == [Reason.SHUTTING_DOWN])


async def test_who_waits_for_a_limit_that_is_taken_away_goes(
    autojump_clock: MockClock,
) -> None:
    door = Door(AT_ONCE)
    door.share(Share(1))
    await door.enter()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.enter)
        await trio.testing.wait_all_tasks_blocked()
        door.throttle.take_policy(limited())
    assert trio.current_time() == began


async def test_one_client_never_waits_behind_another(tmp_path: Path) -> None:
    shared = RateLimit("rlm_shared", "calls", 4, 0, provider="openai")
    async with world(tmp_path, limited(shared)) as sidecar, trio.open_nursery() as nursery:
        sidecar.told()
        share_out(sidecar, shared, share=Share(4, parts={"prj_a": 2, "prj_b": 2}))
        passed: list[str] = []

        async def call(client: str) -> None:
            throttle = sidecar.admission.throttle
            wanted = new_call(of=attributes(project=client))
            await throttle.enter(throttle.counting(wanted), wanted, 20_000, lambda: None)
            passed.append(client)

        for _ in range(5):
            nursery.start_soon(call, "prj_a")
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):
            nursery.start_soon(call, "prj_b")
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(passed) == ["prj_a", "prj_a", "prj_b", "prj_b"]
        nursery.cancel_scope.cancel()


async def test_a_new_process_counts_what_its_journal_says_was_sent(tmp_path: Path) -> None:
    limits = (OWN, TOKENS)
    async with world(tmp_path, limited(*limits)) as sidecar:
        sidecar.told()
        share_out(sidecar, *limits)
        what = replace(bound(output_rate=1, output_max=60, limit=20), input_tokens=20)
        first = await sidecar.admission.open(new_call(what=what))
        sidecar.admission.settle(first, OK)
        unsent = await sidecar.admission.open(new_call(what=what))
        sidecar.admission.void(unsent, Settlement(outcome=Outcome.NOT_SENT))
        await sidecar.journal.records(1)
        clock = sidecar.clock
    clock.forward(40_000)
    async with world(tmp_path, limited(*limits), clock) as again:
        now = clock.now()
        again.admission.throttle.rates.remember(rate_wire.earlier_calls(again.recovered, now))
        assert (used(again, OWN), used(again, TOKENS)) == (1, 12)
        clock.forward(22_000)
        assert (used(again, OWN), used(again, TOKENS)) == (0, 0)


async def test_a_record_that_rotted_keeps_no_process_from_starting(tmp_path: Path) -> None:
    async with world(tmp_path, limited(OWN)) as sidecar:
        recovered = replace(sidecar.recovered, recent_records=(b"\xff\xff",))
        assert rate_wire.earlier_calls(recovered, sidecar.clock.now()) == []


async def test_what_a_lost_call_used_is_taken_for_all_that_may_be(tmp_path: Path) -> None:
    async with world(tmp_path, limited(TOKENS)) as sidecar:
        sidecar.told()
        share_out(sidecar, TOKENS)
        await sidecar.admission.open(new_call())
        clock = sidecar.clock
    async with world(tmp_path, limited(TOKENS), clock) as again:
        earlier = rate_wire.earlier_calls(again.recovered, clock.now())
        again.admission.throttle.rates.remember(earlier)
        assert used(again, TOKENS) == TOKENS.amount
