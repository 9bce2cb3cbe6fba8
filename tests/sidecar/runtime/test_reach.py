"""What follows when the control plane does not answer, or not in time."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import trio

from sidecar.limits import RECONNECT_MAX_MS, RECONNECT_MIN_MS
from sidecar.runtime.reach import Reach
from sidecar.telemetry import Log
from tests.sidecar.builders import DOLLAR, new_call
from tests.sidecar.control_plane_double import ControlPlaneDouble, policy_message
from tests.sidecar.runtime.admission_world import World, waiting, world
from tests.sidecar.runtime.link_world import asked, running, synced, until

pytestmark = pytest.mark.trio


class Failure(grpc.RpcError):
    """What gRPC raises."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "for the story"


LATE = Failure(grpc.StatusCode.DEADLINE_EXCEEDED)
GONE = Failure(grpc.StatusCode.UNAVAILABLE)


@asynccontextmanager
async def reached(folder: Path) -> AsyncIterator[tuple[World, Reach]]:
    async with world(folder) as sidecar:
        sidecar.told()
        log = Log(sidecar.clock, io.StringIO())
        yield sidecar, Reach(sidecar.admission, sidecar.journal, sidecar.kept, log)


async def test_one_answer_that_had_little_time_does_not_mean_that_nobody_is_there(
    tmp_path: Path,
) -> None:
    async with reached(tmp_path) as (sidecar, reach):
        admission = sidecar.admission
        reach.failed(sidecar.kept.now(), LATE, hasty=True)
        said = [(admission.silent, admission.away)]
        reach.failed(sidecar.kept.now(), LATE, hasty=True)
        said.append((admission.silent, admission.away))
        reach.answered(sidecar.kept.now())
        admission.answered(sidecar.kept.now())
        said.append((admission.silent, admission.away))
    assert said == [(True, False), (True, True), (False, False)]


@pytest.mark.parametrize(
    ("error", "hasty"),
    [
        pytest.param(LATE, False, id="it had the whole time"),
        pytest.param(GONE, True, id="nobody listens"),
    ],
)
async def test_a_plain_failure_means_that_nobody_is_there(
    tmp_path: Path, error: Failure, hasty: bool
) -> None:
    async with reached(tmp_path) as (sidecar, reach):
        reach.failed(sidecar.kept.now(), error, hasty=hasty)
        assert sidecar.admission.away


async def test_a_call_near_the_cap_keeps_its_turn_through_one_late_answer(tmp_path: Path) -> None:
    async with reached(tmp_path) as (sidecar, reach), trio.open_nursery() as nursery:
        sidecar.told(keep=0)
        nursery.start_soon(sidecar.admission.open, new_call())
        await waiting(sidecar)
        reach.failed(sidecar.kept.now(), LATE, hasty=True)
        assert sidecar.admission.open_calls == 0
        reach.failed(sidecar.kept.now(), LATE, hasty=True)
        assert sidecar.admission.open_calls == 1


async def test_records_alone_do_not_make_it_ask_again_and_again(tmp_path: Path) -> None:
    async with reached(tmp_path) as (sidecar, reach):
        cadence = sidecar.admission.cadence
        now = sidecar.kept.now().boot_ms
        cadence.sent(now, 0)

        def due(*, someone_waits: bool) -> int:
            return cadence.due_boot_ms(waiting=someone_waits, records=99, records_since_boot_ms=0)

        for _ in range(8):
            reach.failed(sidecar.kept.now(), GONE)
        assert due(someone_waits=False) == now + RECONNECT_MAX_MS
        assert due(someone_waits=True) == now + RECONNECT_MIN_MS


async def test_what_was_read_for_an_attempt_in_vain_is_not_read_again(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        for _ in range(3):
            sidecar.journal.record(lambda seq: b"%d" % seq, sidecar.kept.now())
        first, chain = await sidecar.journal.records(1)
        again, _ = await sidecar.journal.records(1)
        assert again is first
        sidecar.journal.record(lambda seq: b"%d" % seq, sidecar.kept.now())
        more, _ = await sidecar.journal.records(1)
        assert len(more) == 4
        sidecar.journal.acknowledge(2)
        rest, _ = await sidecar.journal.records(3)
        assert rest == more[2:]
        assert chain


# --- With a control plane that says odd things ---------------------------------------------------


async def test_a_ledger_that_is_ahead_of_the_journal_stops_it_at_once(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    """The disk was rolled back: what was told since is not known here any more."""
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        await until(lambda: sidecar.journal.acked_seq == 1)
    cp.records |= {2: b"", 3: b""}
    async with running(tmp_path, cp) as sidecar:
        await asked(cp, lambda: len(cp.registrations) == 2)
        await until(lambda: sidecar.admission.fenced)
        assert "the ledger has records that this journal does not" in sidecar.text.getvalue()


async def test_a_policy_of_an_older_database_is_asked_for_anew_also_after_a_crash(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    cp.policy = policy_message(7)
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        # Restored to a time before: the same number may mean another policy, and it is not kept.
        in_the_way = tmp_path / "policy.bin.new"
        in_the_way.mkdir()
        cp.policy, cp.generation = policy_message(7, revoked=True), 2
        count = len(cp.syncs)
        sidecar.admission.hurry()
        await asked(cp, lambda: len(cp.syncs) > count + 1)
        await sidecar.journal.flush()
        assert cp.syncs[-1].policy_acked == 0
    in_the_way.rmdir()
    async with running(tmp_path, cp) as sidecar:
        await asked(cp, lambda: cp.registrations[-1].policy_version == 0)
        await until(lambda: sidecar.admission.policy.keys[0].revoked)
        await synced(sidecar, cp)
        assert cp.syncs[-1].policy_acked == 7
        assert sidecar.lease.granted_nano_usd == DOLLAR
