"""Calls that wait at the door: whose turn it is, and what becomes of who hangs up."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio

from protos.bursar.sidecar.v1 import Outcome as WireOutcome
from sidecar.core.calls import Hold, Outcome, Settlement
from sidecar.core.refusals import Reason
from tests.sidecar.builders import (
    CENT,
    DOLLAR,
    HandClock,
    attributes,
    budget,
    key,
    new_call,
    policy,
    project,
)
from tests.sidecar.runtime.admission_world import World, found, refusal_of, waiting, world

pytestmark = pytest.mark.trio

# --- Waiting ----------------------------------------------------------------------------------


async def test_a_waiting_call_opens_when_a_settle_makes_room(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar, trio.open_nursery() as nursery:
        sidecar.told(granted=CENT)
        first = await sidecar.admission.open(new_call())
        opened: list[Hold] = []

        async def second() -> None:
            opened.append(await sidecar.admission.open(new_call()))

        nursery.start_soon(second)
        await waiting(sidecar)
        assert sidecar.admission.cadence.urgent
        sidecar.admission.void(first, Settlement(outcome=Outcome.NOT_SENT))
        with trio.fail_after(5):
            while not opened:
                await trio.lowlevel.checkpoint()
        assert len(sidecar.admission.waiting) == 0


async def test_a_named_call_opens_out_of_turn_in_direct_mode(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar, trio.open_nursery() as nursery:
        sidecar.told(granted=0, keep=0)
        opened: list[int] = []

        async def call(worst: int) -> None:
            hold = await sidecar.admission.open(new_call(worst))
            opened.append(hold.worst_nano_usd)

        nursery.start_soon(call, 2 * CENT)
        await waiting(sidecar)
        nursery.start_soon(call, CENT)
        await waiting(sidecar, 2)
        younger = sidecar.admission.waiting.demands(sidecar.clock.now())[1]
        sidecar.told(granted=CENT, keep=0)
        sidecar.admission.try_waiting([younger.call_id], every=True)
        with trio.fail_after(5):
            while not opened:
                await trio.lowlevel.checkpoint()
        assert opened == [CENT]
        assert len(sidecar.admission.waiting) == 1
        nursery.cancel_scope.cancel()


async def test_a_caller_that_hangs_up_while_waiting_leaves_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told(granted=0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sidecar.admission.open, new_call())
            await waiting(sidecar)
            nursery.cancel_scope.cancel()
        assert len(sidecar.admission.waiting) == 0
        assert sidecar.admission.open_calls == 0
        assert await sidecar.records() == []


async def test_a_caller_that_hangs_up_while_its_open_is_written_is_voided(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told()
        with trio.CancelScope() as scope:
            scope.cancel()
            await sidecar.admission.open(new_call())
        assert scope.cancelled_caught
        assert sidecar.admission.open_calls == 0
        assert sidecar.lease().available_nano_usd == DOLLAR
        [record] = await sidecar.records()
        assert record.void.call.outcome == WireOutcome.OUTCOME_NOT_SENT
    assert found(tmp_path).open_calls == ()


async def test_a_caller_that_hangs_up_just_as_its_turn_came_is_voided(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told(granted=0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sidecar.admission.open, new_call())
            await waiting(sidecar)
            sidecar.told(granted=CENT)
            nursery.cancel_scope.cancel()
            sidecar.admission.try_waiting()
            assert sidecar.admission.open_calls == 1
        assert sidecar.admission.open_calls == 0
        assert sidecar.lease().available_nano_usd == CENT


async def test_patience_ends_as_busy_and_is_the_clients_own(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    known = policy(projects=(project(patience_ms=7_000),))
    made = World(tmp_path, HandClock())
    made.admission.take_policy(known)
    made.told(granted=0, held=DOLLAR)
    started = trio.current_time()
    assert await refusal_of(made.admission) is Reason.BUSY
    assert trio.current_time() - started == pytest.approx(7, abs=0.1)


async def test_a_full_queue_refuses_at_once_and_only_its_own_client(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    known = policy(
        budget("bgt_a"),
        budget("bgt_b", project="prj_b"),
        projects=(project("prj_a"), project("prj_b")),
        keys=(key(), key("key_b", secret="sec_b", project="prj_b")),
    )
    made = World(tmp_path, HandClock())
    made.admission.take_policy(known)
    made.told("bgt_a", granted=0)
    made.told("bgt_b", granted=CENT)
    async with trio.open_nursery() as nursery:
        for _ in range(1_024):
            nursery.start_soon(made.admission.open, new_call())
        await waiting(made, 1_024)
        assert await refusal_of(made.admission) is Reason.BUSY
        nursery.cancel_scope.cancel()


# --- Without a control plane --------------------------------------------------------------------


async def test_without_a_control_plane_calls_go_on_from_what_is_here(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told(granted=CENT)
        sidecar.admission.unanswered(sidecar.clock.boot_ms, sidecar.clock.boot_ms)
        await sidecar.admission.open(new_call())


async def test_a_call_waits_two_seconds_for_a_control_plane_that_just_went(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as sidecar, trio.open_nursery() as nursery:
        sidecar.told(granted=0)
        reasons: list[Reason] = []

        async def call() -> None:
            reasons.append(await refusal_of(sidecar.admission))

        nursery.start_soon(call)
        await waiting(sidecar)
        down_since = sidecar.clock.forward(10).boot_ms
        sidecar.admission.unanswered(down_since, down_since)
        sidecar.clock.forward(1_900)
        sidecar.admission.unanswered(sidecar.clock.boot_ms, down_since)
        assert len(sidecar.admission.waiting) == 1
        sidecar.clock.forward(100)
        sidecar.admission.unanswered(sidecar.clock.boot_ms, down_since)
        with trio.fail_after(5):
            while not reasons:
                await trio.lowlevel.checkpoint()
        assert reasons == [Reason.UNREACHABLE]


async def test_what_a_call_that_gave_up_claimed_is_free_for_the_smaller_ones_behind_it(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as sidecar, trio.open_nursery() as nursery:
        sidecar.told(granted=2 * CENT)
        reasons: list[Reason] = []

        async def large() -> None:
            reasons.append(await refusal_of(sidecar.admission, worst=3 * CENT))

        nursery.start_soon(large)
        await waiting(sidecar)
        nursery.start_soon(sidecar.admission.open, new_call())
        await waiting(sidecar, 2)
        down_since = sidecar.clock.boot_ms
        sidecar.clock.forward(2_000)
        sidecar.admission.unanswered(sidecar.clock.boot_ms, down_since)
        with trio.fail_after(5):
            while not reasons:
                await trio.lowlevel.checkpoint()
        assert reasons == [Reason.UNREACHABLE]
        assert sidecar.admission.open_calls == 1


async def test_calls_that_all_end_at_once_leave_no_room_for_each_other(tmp_path: Path) -> None:
    """The third fits no more once the second went, and the last need not be refused with it."""
    async with world(tmp_path) as sidecar, trio.open_nursery() as nursery:
        sidecar.told(granted=7 * CENT)
        reasons: list[Reason] = []

        async def refused(worst: int) -> None:
            reasons.append(await refusal_of(sidecar.admission, worst=worst))

        nursery.start_soon(refused, 8 * CENT)
        await waiting(sidecar)
        nursery.start_soon(sidecar.admission.open, new_call(4 * CENT))
        await waiting(sidecar, 2)
        nursery.start_soon(refused, 4 * CENT)
        await waiting(sidecar, 3)
        nursery.start_soon(sidecar.admission.open, new_call())
        await waiting(sidecar, 4)
        down_since = sidecar.clock.boot_ms
        sidecar.clock.forward(2_000)
        sidecar.admission.unanswered(sidecar.clock.boot_ms, down_since)
        with trio.fail_after(5):
            while len(reasons) < 2:
                await trio.lowlevel.checkpoint()
        assert reasons == [Reason.UNREACHABLE] * 2
        assert sidecar.admission.open_calls == 2


async def test_a_small_call_that_left_room_for_a_large_one_opens_when_its_patience_ends(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Cut off, nobody brings what the large one lacks."""
    known = policy(
        budget("bgt_a", project=""),
        projects=(project("prj_a"), project("prj_b", patience_ms=5_000)),
        keys=(key(), key("key_b", secret="sec_b", project="prj_b")),
    )
    made = World(tmp_path, HandClock())
    made.admission.take_policy(known)
    made.told(granted=2 * CENT)
    made.admission.away = True
    small = new_call(of=attributes("prj_b", "key_b"), secret="sec_b")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.admission.open, new_call(3 * CENT))
        await waiting(made)
        nursery.start_soon(made.admission.open, small)
        await waiting(made, 2)
        await trio.sleep(4.9)
        assert made.admission.open_calls == 0
        await trio.sleep(0.2)
        assert made.admission.open_calls == 1
        assert len(made.admission.waiting) == 1
        nursery.cancel_scope.cancel()


async def test_a_call_whose_patience_ends_in_a_shutdown_is_told_of_the_shutdown(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    made = World(tmp_path, HandClock())
    made.admission.take_policy(policy())
    made.told(granted=0)
    reasons: list[Reason] = []

    async def call() -> None:
        reasons.append(await refusal_of(made.admission))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await waiting(made)
        made.told(granted=CENT)
        made.admission.draining = made.admission.away = True
    assert reasons == [Reason.SHUTTING_DOWN]


async def test_a_control_plane_that_hangs_is_waited_for_no_longer_than_one_that_is_gone(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Nothing fails, as nothing is answered: the registration of a new process takes its time."""
    made = World(tmp_path, HandClock())
    made.admission.take_policy(policy())
    started = trio.current_time()
    assert await refusal_of(made.admission) is Reason.UNREACHABLE
    assert trio.current_time() - started == pytest.approx(2, abs=0.1)


async def test_one_missed_answer_does_not_refuse_calls_that_waited_their_turn_for_long(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as sidecar, trio.open_nursery() as nursery:
        sidecar.told(granted=0)
        nursery.start_soon(sidecar.admission.open, new_call())
        await waiting(sidecar)
        sent = sidecar.clock.forward(15_000).boot_ms
        sidecar.clock.forward(300)
        sidecar.admission.unanswered(sent, sent)
        assert len(sidecar.admission.waiting) == 1
        sidecar.told(granted=CENT)
        sidecar.admission.try_waiting()


async def test_a_call_that_comes_in_a_long_outage_is_refused_after_one_vain_attempt(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as sidecar, trio.open_nursery() as nursery:
        down_since = sidecar.clock.boot_ms
        sidecar.told(granted=0)
        sent_before = sidecar.clock.forward(60_000).boot_ms
        sidecar.admission.away = True
        sidecar.clock.forward(5)
        reasons: list[Reason] = []

        async def call() -> None:
            reasons.append(await refusal_of(sidecar.admission))

        nursery.start_soon(call)
        await waiting(sidecar)
        # An attempt from before it came says nothing about it.
        sidecar.admission.unanswered(sent_before, down_since)
        assert len(sidecar.admission.waiting) == 1
        sidecar.admission.unanswered(sidecar.clock.boot_ms, down_since)
        with trio.fail_after(5):
            while not reasons:
                await trio.lowlevel.checkpoint()
        assert reasons == [Reason.UNREACHABLE]


async def test_a_machine_that_slept_asks_before_it_opens_anything(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar, trio.open_nursery() as nursery:
        sidecar.told()
        sidecar.clock.unix_ms += 2_001
        nursery.start_soon(sidecar.admission.open, new_call())
        await waiting(sidecar)
        sidecar.admission.answered(sidecar.kept.now())
        sidecar.admission.try_waiting()
        assert sidecar.admission.open_calls == 1


async def test_authority_that_ends_while_the_open_is_written_lets_nothing_out(
    tmp_path: Path,
) -> None:
    clock = HandClock()

    class Slow(sqlite3.Connection):
        """Lets the authority pass while an OPEN is written."""

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "COMMIT" and expires:
                expires.clear()
                clock.forward(1_000)
            return super().execute(sql, *parameters)

    expires: list[bool] = []
    async with world(
        tmp_path,
        clock=clock,
        connect=lambda path: sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, factory=Slow
        ),
    ) as sidecar:
        sidecar.told(authority_ms=1_000)
        await sidecar.journal.flush()
        expires.append(True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sidecar.admission.open, new_call())
            with trio.fail_after(5):
                await waiting(sidecar)
            assert sidecar.lease().held_nano_usd == 0
            nursery.cancel_scope.cancel()
        [record] = await sidecar.records()
        assert record.void.call.outcome == WireOutcome.OUTCOME_NOT_SENT


async def test_a_small_call_is_not_refused_because_a_large_one_before_it_cannot_be_paid(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as sidecar, trio.open_nursery() as nursery:
        sidecar.told(granted=10 * CENT)
        refused: list[Reason] = []

        async def large() -> None:
            refused.append(await refusal_of(sidecar.admission, worst=11 * CENT))

        nursery.start_soon(large)
        await waiting(sidecar)
        nursery.start_soon(sidecar.admission.open, new_call(4 * CENT))
        await waiting(sidecar, 2)
        sent = sidecar.clock.forward(3_000).boot_ms
        sidecar.admission.unanswered(sent, sent - 3_000)
        assert sidecar.admission.open_calls == 1
    assert refused == [Reason.UNREACHABLE]
