"""Calls at the door of their rate limits: who waits, who is told to come back, who leaves."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from sidecar.core.calls import Hold, Outcome, Settlement
from sidecar.core.instants import Now
from sidecar.core.policy import Policy
from sidecar.core.rate_limits import RateLimit, Share
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
        self.throttle = Throttle(self.clock, lambda: None)
        self.throttle.rates.take_limits([limit])
        found = self.throttle.rates.meter(limit.rate_limit_id)
        assert found is not None
        self.meter = found

    def share(self, share: Share) -> None:
        now_ms = self.clock.now().boot_ms
        self.meter.take_share(share, now_ms, now_ms + 5 * MINUTE)
        self.throttle.wake()

    async def enter(self) -> None:
        call = new_call()
        taken = await self.throttle.enter(self.throttle.counting(call), call, 20_000)
        taken.goes_out(self.clock.now().boot_ms)


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
            await throttle.enter(throttle.counting(wanted), wanted, 20_000)
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
