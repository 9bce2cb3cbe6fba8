"""The control link, against a control plane that says what the story wants."""

import hashlib
import io
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trio

from protos.bursar.sidecar import v1 as wire
from sidecar.clock import SystemClock
from sidecar.core.calls import Hold, Outcome, Settlement
from sidecar.core.instants import Now
from sidecar.core.leases import LeaseKey
from sidecar.core.refusals import Reason, Refused
from sidecar.entropy import SystemEntropy
from sidecar.runtime import identity, policy_file
from sidecar.runtime.admission import Admission
from sidecar.runtime.channel import Target, open_channel
from sidecar.runtime.control import ControlLink, Surroundings
from sidecar.runtime.identity import Host, Identity
from sidecar.runtime.joining import JoinRefusedError, join
from sidecar.runtime.journal import Journal
from sidecar.runtime.journal_file import NO_CHAIN, JournalFile
from sidecar.runtime.recovery import recover
from sidecar.runtime.secrets import ProviderSecrets
from sidecar.telemetry import Log
from tests.sidecar.builders import CENT, DOLLAR, MONTH, NOON, new_call
from tests.sidecar.control_plane_double import ControlPlaneDouble, policy_message

pytestmark = pytest.mark.trio

KEY = LeaseKey("bgt_a", "", MONTH)
LEASE = ("bgt_a", "", MONTH)
OK = Settlement(outcome=Outcome.OK, cost_nano_usd=CENT)
HOST = Host("machine", "boot")


class NoonClock:
    """The real passing of time, but always about the same noon."""

    def __init__(self) -> None:
        self._real = SystemClock()
        self._begun = self._real.now()

    def now(self) -> Now:
        real = self._real.now()
        return Now(NOON + real.boot_ms - self._begun.boot_ms, real.boot_ms)


class Sidecar:
    """Everything but the proxy."""

    def __init__(self, folder: Path, stub: Any, me: Identity) -> None:
        file, recovered = JournalFile.open(folder)
        clock = NoonClock()
        self.clock = clock
        self.text = io.StringIO()
        log = Log(clock, self.text)
        self.journal = Journal(file, recovered, clock)
        self.admission = Admission(
            journal=self.journal,
            clock=clock,
            entropy=SystemEntropy(),
            secrets=ProviderSecrets(me.sealing_key),
            log=log,
        )
        recover(
            recovered,
            admission=self.admission,
            journal=self.journal,
            clock=clock,
            log=log,
            host=HOST,
        )
        known = policy_file.load(folder, me.region)
        if known is not None:
            self.admission.take_policy(known)
        around = Surroundings(
            stub=stub,
            admission=self.admission,
            journal=self.journal,
            folder=folder,
            host=HOST,
            clock=clock,
            entropy=SystemEntropy(),
            log=log,
            software_version="test",
        )
        self.link = ControlLink(around, me, recovered.generation)

    async def call(self, worst: int = CENT) -> Hold:
        await self.link.has_policy.wait()
        return await self.admission.open(new_call(worst))

    async def paid(self, worst: int = CENT) -> None:
        self.admission.settle(await self.call(worst), OK)

    @property
    def lease(self) -> Any:
        return self.admission.allowance.lease(KEY)


@pytest.fixture
def cp() -> Iterator[ControlPlaneDouble]:
    double = ControlPlaneDouble()
    double.start()
    yield double
    double.stop()


def member(folder: Path) -> Identity:
    """A sidecar that has joined."""
    known = identity.load(folder)
    if known is None:
        known = identity.named(identity.make(SystemEntropy()), "sdc_1", "one", "eu")
        identity.save(folder, known)
    return known


@asynccontextmanager
async def running(folder: Path, cp: ControlPlaneDouble) -> AsyncIterator[Sidecar]:
    """A sidecar that runs until the block ends; then as if it had been killed."""
    channel = open_channel(Target(cp.address, None))
    stub = wire.SidecarServiceStub(channel)
    sidecar = Sidecar(folder, stub, member(folder))
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(sidecar.journal.run)
            nursery.start_soon(sidecar.link.run)
            yield sidecar
            await sidecar.journal.close()
            nursery.cancel_scope.cancel()
    channel.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the tasks here bring about."""
    while not condition():  # noqa: ASYNC110 - many conditions, none with an event of its own
        await trio.sleep(0.005)


async def asked(cp: ControlPlaneDouble, condition: Callable[[], bool]) -> None:
    """Wait for something that the control plane is asked."""
    await trio.to_thread.run_sync(cp.until, condition)


async def synced(sidecar: Sidecar, cp: ControlPlaneDouble) -> None:
    """Let a Sync go out and be answered."""
    count = len(cp.syncs)
    await until(lambda: sidecar.link._registered)
    sidecar.admission.hurry()
    await asked(cp, lambda: len(cp.syncs) > count)
    number = cp.syncs[-1].sync_no
    await until(lambda: sidecar.link.answered_sync_no >= number)


# --- Join and register --------------------------------------------------------------------------


async def test_a_sidecar_joins_with_what_it_made_itself(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    me = identity.make(SystemEntropy())
    with open_channel(Target(cp.address, None)) as channel:
        stub: Any = wire.SidecarServiceStub(channel)
        joined = await join(stub, me, "bursar_jt_token", Log(SystemClock(), io.StringIO()))
        again = await join(stub, me, "bursar_jt_token", Log(SystemClock(), io.StringIO()))
    assert joined == again
    assert (joined.sidecar_id, joined.region) == ("sdc_1", "eu")
    first, second = cp.joins
    assert first == second
    assert first.credential_digest == hashlib.sha256(me.credential.encode()).digest()
    assert first.sealing_public_key == me.sealing_public_key
    assert me.credential.encode() not in first.SerializeToString()


async def test_a_refused_token_is_no_reason_to_go_on_asking(cp: ControlPlaneDouble) -> None:
    cp.refuse = grpc.StatusCode.UNAUTHENTICATED
    with open_channel(Target(cp.address, None)) as channel:
        stub: Any = wire.SidecarServiceStub(channel)
        with pytest.raises(JoinRefusedError, match="new join token"):
            await join(stub, identity.make(SystemEntropy()), "x", Log(SystemClock(), io.StringIO()))
    assert len(cp.joins) == 1


async def test_a_new_journal_gets_its_epoch_and_a_known_one_goes_on(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    cp.epoch = 4
    async with running(tmp_path, cp) as sidecar:
        await asked(cp, lambda: len(cp.syncs) > 0)
        assert sidecar.journal.epoch == 4
        await sidecar.paid()
        await asked(cp, lambda: len(cp.records) == 1)
    async with running(tmp_path, cp) as sidecar:
        await asked(cp, lambda: len(cp.registrations) == 2)
        await until(lambda: sidecar.link._registered)
    first, second = cp.registrations
    assert first.WhichOneof("journal") == "lost"
    assert second.intact.epoch == 4
    assert second.intact.last_seq == 1
    assert second.intact.chain == hashlib.sha256(NO_CHAIN + cp.records[1]).digest()
    assert first.incarnation != second.incarnation
    assert (second.machine_id, second.boot_id) == ("machine", "boot")
    [credential] = cp.credentials
    assert credential == f"Bearer {member(tmp_path).credential}"


async def test_sync_numbers_rise_over_restarts(tmp_path: Path, cp: ControlPlaneDouble) -> None:
    for _ in range(2):
        async with running(tmp_path, cp) as sidecar:
            for _ in range(2):
                await synced(sidecar, cp)
    numbers = [sync.sync_no for sync in cp.syncs]
    assert numbers == sorted(set(numbers))


# --- Sync ---------------------------------------------------------------------------------------


async def test_a_call_that_waits_is_asked_for_at_once_and_opens_when_named(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        hold = await sidecar.call(4 * CENT)
        [demand] = next(sync.demands for sync in cp.syncs if sync.demands)
        assert demand.call_id == hold.call_id
        assert demand.worst_nano_usd == 4 * CENT
        assert [ref.budget_id for ref in demand.budgets] == ["bgt_a"]
        assert demand.patience_ms == 20_000
        assert sidecar.lease.available_nano_usd == 96 * CENT


async def test_records_are_told_within_a_second_chained_and_byte_for_byte(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        for _ in range(3):
            await sidecar.paid()
        await asked(cp, lambda: len(cp.records) == 3)
        await until(lambda: sidecar.journal.acked_seq == 3)
        bodies, chain = await sidecar.journal.records(1)
    assert bodies == [cp.records[seq] for seq in (1, 2, 3)]
    told = [sync for sync in cp.syncs if sync.records]
    assert told[-1].chain == chain
    settled = wire.Record.FromString(cp.records[3]).settle
    assert settled.amount_nano_usd == CENT


async def test_a_lost_answer_is_made_up_for_by_saying_it_again(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    lost: list[bool] = []
    go_on = threading.Event()

    def lose_one(request: wire.SyncRequest) -> wire.SyncResponse:
        if request.records and not lost:
            lost.append(True)
            go_on.wait(5)
        return cp.grant(request)

    async with running(tmp_path, cp) as sidecar:
        await sidecar.call()
        cp.decide = lose_one
        await sidecar.paid()
        await asked(cp, lambda: sum(1 for sync in cp.syncs if sync.records) >= 1)
        go_on.set()
        await until(lambda: sidecar.journal.acked_seq == 1)
        assert sidecar.lease.spent_nano_usd == CENT
    assert set(cp.records) == {1}


async def test_what_is_above_keep_is_given_back_and_told_when_durable(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        cp.keep = 20 * CENT
        await synced(sidecar, cp)
        await synced(sidecar, cp)
        await asked(cp, lambda: len(cp.records) >= 2)
        returned = getattr(wire.Record.FromString(cp.records[2]), "return")
        assert returned.returned_nano_usd == 79 * CENT
        assert returned.lease.budget_id == "bgt_a"
        assert sidecar.lease.available_nano_usd == 20 * CENT
        told = next(
            sync
            for sync in cp.syncs
            if len(sync.records) and sync.from_seq + len(sync.records) - 1 >= 2
        )
        [report] = told.leases
        assert report.returned_nano_usd == 79 * CENT
        assert report.available_nano_usd == 20 * CENT


async def test_an_answer_of_an_older_generation_is_ignored(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    cp.generation = 5
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        granted = sidecar.lease.granted_nano_usd
        cp.generation = 4
        cp.granted[LEASE] = 50 * DOLLAR
        count = len(cp.syncs)
        sidecar.admission.hurry()
        await asked(cp, lambda: len(cp.syncs) >= count + 2)
        assert sidecar.lease.granted_nano_usd == granted
        assert sidecar.admission.away
    assert "older_generation_ignored" in sidecar.text.getvalue()


async def test_a_gap_is_closed_from_the_journal(tmp_path: Path, cp: ControlPlaneDouble) -> None:
    async with running(tmp_path, cp) as sidecar:
        for _ in range(3):
            await sidecar.paid()
        await until(lambda: sidecar.journal.acked_seq == 3)
        del cp.records[3], cp.records[2]

        def gap_once(request: wire.SyncRequest) -> wire.SyncResponse:
            if len(cp.records) < 3:
                return cp.answer(
                    request, status=wire.SyncStatus.SYNC_STATUS_GAP, need_seq=2, acked_seq=1
                )
            return cp.grant(request)

        cp.decide = gap_once
        sidecar.admission.hurry()
        await until(lambda: set(cp.records) == {1, 2, 3})
        await until(lambda: sidecar.journal.acked_seq == 3)


async def test_a_fenced_sidecar_opens_nothing_but_goes_on_telling(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        hold = await sidecar.call()
        cp.decide = lambda request: cp.answer(request, status=wire.SyncStatus.SYNC_STATUS_FENCED)
        sidecar.admission.hurry()
        await until(lambda: sidecar.admission.fenced)
        with pytest.raises(Refused) as caught:
            await sidecar.call()
        assert caught.value.refusal.reason is Reason.FENCED
        sidecar.admission.settle(hold, OK)
        await asked(cp, lambda: len(cp.records) == 1)
    assert "ALARM fenced" in sidecar.text.getvalue()


async def test_a_ledger_that_is_ahead_of_the_journal_fences_it(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    cp.decide = lambda request: cp.answer(request, acked_seq=5)
    async with running(tmp_path, cp) as sidecar:
        await until(lambda: sidecar.admission.fenced)


async def test_a_revoked_credential_stops_new_calls(tmp_path: Path, cp: ControlPlaneDouble) -> None:
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        cp.refuse = grpc.StatusCode.UNAUTHENTICATED
        sidecar.admission.hurry()
        await until(lambda: sidecar.admission.fenced)


async def test_a_stale_sync_number_is_made_up_for_by_registering(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    stale: list[bool] = []

    def stale_once(request: wire.SyncRequest) -> wire.SyncResponse:
        if not stale:
            stale.append(True)
            return cp.answer(request, status=wire.SyncStatus.SYNC_STATUS_STALE)
        return cp.grant(request)

    cp.decide = stale_once
    async with running(tmp_path, cp) as sidecar:
        await asked(cp, lambda: len(cp.registrations) == 2)
        await sidecar.paid()


async def test_hopeless_calls_are_refused(tmp_path: Path, cp: ControlPlaneDouble) -> None:
    def hopeless(request: wire.SyncRequest) -> wire.SyncResponse:
        return cp.answer(request, hopeless_call_ids=[demand.call_id for demand in request.demands])

    cp.decide = hopeless
    async with running(tmp_path, cp) as sidecar:
        await until(lambda: sidecar.admission.policy.version == 1)
        with pytest.raises(Refused) as caught:
            await sidecar.call()
        assert caught.value.refusal.reason is Reason.EXHAUSTED


async def test_refusals_and_uses_are_told_once(tmp_path: Path, cp: ControlPlaneDouble) -> None:
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        with pytest.raises(Refused):
            await sidecar.admission.open(new_call(secret="sec_unknown"))
        sidecar.admission.hurry()
        await asked(cp, lambda: any(sync.refusals for sync in cp.syncs))
        count = len(cp.syncs)
        sidecar.admission.hurry()
        await asked(cp, lambda: len(cp.syncs) > count)
    told = [refusal for sync in cp.syncs for refusal in sync.refusals]
    assert [(refusal.reason, refusal.count) for refusal in told] == [("key_revoked", 1)]
    uses = [use.secret_id for sync in cp.syncs for use in sync.secret_uses]
    assert set(uses) == {"sec_a"}
    assert not cp.syncs[-1].secret_uses


# --- Policy and directives --------------------------------------------------------------------


async def test_a_pushed_policy_binds_at_once_is_kept_and_acknowledged(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        await asked(cp, lambda: len(cp.watches) > 0)
        cp.policy = policy_message(2, revoked=True)
        cp.say(policy=cp.policy)
        await until(lambda: sidecar.admission.policy.version == 2)
        with pytest.raises(Refused) as caught:
            await sidecar.call()
        assert caught.value.refusal.reason is Reason.KEY_REVOKED
        await asked(cp, lambda: any(sync.policy_acked == 2 for sync in cp.syncs))
        kept = policy_file.load(tmp_path, "eu")
        assert kept is not None
        assert kept.version == 2
    assert (tmp_path / "policy.bin").stat().st_mode & 0o777 == 0o600


async def test_authority_is_not_prolonged_under_a_policy_that_is_not_here(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        authority = sidecar.lease.authority_boot_ms
        newer = policy_message(2)
        cp.decide = lambda request: cp.answer(
            request, policy_version=2, leases=[cp.lease(LEASE, authority_ms=999_000)]
        )
        sidecar.admission.hurry()
        count = len(cp.syncs)
        await asked(cp, lambda: len(cp.syncs) > count)
        await until(lambda: sidecar.link._policy_late_since is not None)
        assert sidecar.lease.authority_boot_ms == authority
        # The stream is opened again for it, and when that brings nothing, Register does.
        await asked(cp, lambda: len(cp.watches) >= 2)
        cp.policy = newer
        await until(lambda: sidecar.admission.policy.version == 2)
        await until(lambda: sidecar.lease.authority_boot_ms > authority + 500_000)


async def test_a_policy_that_is_not_understood_leaves_the_last_one_in_force(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        await asked(cp, lambda: len(cp.watches) > 0)
        strange = policy_message(2)
        strange.providers[0].family = "telepathy"
        cp.say(policy=strange)
        await asked(cp, lambda: any("telepathy" in sync.policy_refused for sync in cp.syncs))
        assert sidecar.admission.policy.version == 1
        cp.policy = policy_message(3)
        cp.say(policy=cp.policy)
        await asked(cp, lambda: any(sync.policy_acked == 3 for sync in cp.syncs))
        assert cp.syncs[-1].policy_refused == ""


async def test_a_recall_is_followed_at_once_and_told(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        await until(lambda: sidecar.journal.acked_seq == 1)
        await asked(cp, lambda: len(cp.watches) > 0)
        lease = wire.LeaseKey(budget_id="bgt_a", period_id=MONTH)
        cp.say(recall=wire.Recall(lease=lease, keep_nano_usd=30 * CENT))
        await asked(cp, lambda: len(cp.records) == 2)
        assert sidecar.lease.available_nano_usd == 30 * CENT


async def test_a_nudge_brings_a_sync(tmp_path: Path, cp: ControlPlaneDouble) -> None:
    async with running(tmp_path, cp) as sidecar:
        await asked(cp, lambda: len(cp.watches) > 0)
        await until(lambda: not sidecar.admission.cadence.urgent and len(cp.syncs) > 0)
        count = len(cp.syncs)
        cp.say(nudge=wire.Nudge())
        await asked(cp, lambda: len(cp.syncs) > count)


async def test_a_stream_that_ends_is_opened_again(tmp_path: Path, cp: ControlPlaneDouble) -> None:
    async with running(tmp_path, cp) as sidecar:
        await asked(cp, lambda: len(cp.watches) > 0)
        cp.stop()
        cp.start()
        await asked(cp, lambda: len(cp.watches) > 1)
        await sidecar.paid()


# --- Away and back ------------------------------------------------------------------------------


async def test_calls_go_on_while_the_control_plane_is_away_and_are_told_when_it_is_back(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        cp.stop()
        for _ in range(5):
            await sidecar.paid()
        await until(lambda: sidecar.admission.away)
        # Nothing is given back while nobody answers, though keep says so.
        sidecar.lease.latest = None
    async with running(tmp_path, cp) as sidecar:
        assert sidecar.link.has_policy.is_set()
        for _ in range(5):
            await sidecar.paid()
        assert sidecar.lease.spent_nano_usd == 11 * CENT
        cp.start()
        await until(lambda: sidecar.journal.acked_seq == 11)
    calls = [wire.Record.FromString(body).settle.call.call_id for body in cp.records.values()]
    assert len(set(calls)) == 11


async def test_without_money_and_without_a_control_plane_a_call_is_unreachable(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        cp.stop()
        started = trio.current_time()
        with pytest.raises(Refused) as caught:
            await sidecar.call(5 * DOLLAR)
        assert caught.value.refusal.reason is Reason.UNREACHABLE
        assert trio.current_time() - started < 5
        started = trio.current_time()
        with pytest.raises(Refused):
            await sidecar.call(5 * DOLLAR)
        assert trio.current_time() - started < 1


async def test_a_clean_end_tells_everything_gives_everything_back_and_says_goodbye(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        for _ in range(3):
            await sidecar.paid()
        await sidecar.link.drain()
        assert sidecar.journal.acked_seq == sidecar.journal.last_seq
    [drain] = cp.drains
    assert drain.last_seq == len(cp.records)
    last = getattr(wire.Record.FromString(cp.records[len(cp.records)]), "return")
    assert last.returned_nano_usd == 97 * CENT


async def test_without_a_control_plane_the_end_keeps_the_leases_for_the_next_start(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        await until(lambda: sidecar.journal.acked_seq == 1)
        cp.stop()
        await sidecar.link.drain()
        assert sidecar.lease.available_nano_usd == 99 * CENT
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()


async def test_nothing_secret_is_logged(tmp_path: Path, cp: ControlPlaneDouble) -> None:
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        cp.stop()
        await until(lambda: sidecar.admission.away)
    me = member(tmp_path)
    assert me.credential not in sidecar.text.getvalue()
    assert me.credential not in repr(me)
    assert me.sealing_key.hex() not in repr(me)
    assert (tmp_path / "identity.json").stat().st_mode & 0o777 == 0o600
