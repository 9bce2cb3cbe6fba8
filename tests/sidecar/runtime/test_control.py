"""The control link's Register and Sync, against a control plane that says what the story wants."""

import hashlib
import io
import sqlite3
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from protos.bursar.sidecar import v1 as wire
from sidecar.clock import SystemClock
from sidecar.core.refusals import Reason, Refused
from sidecar.entropy import SystemEntropy
from sidecar.runtime import identity
from sidecar.runtime.channel import Target, open_channel
from sidecar.runtime.joining import JoinRefusedError, join
from sidecar.runtime.journal_file import NO_CHAIN
from sidecar.telemetry import Log
from tests.sidecar.builders import CENT, DOLLAR, NOON, new_call
from tests.sidecar.control_plane_double import ControlPlaneDouble, policy_message
from tests.sidecar.runtime.link_world import (
    KEY,
    LEASE,
    OK,
    NoonClock,
    asked,
    member,
    running,
    synced,
    until,
)

pytestmark = pytest.mark.trio

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


async def test_what_cannot_be_written_down_is_not_told(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    sick: list[bool] = []

    class Sick(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "COMMIT" and sick:
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *parameters)

    def connect(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Sick)

    async with running(tmp_path, cp, connect) as sidecar:
        await sidecar.paid()
        await until(lambda: sidecar.journal.acked_seq == 1)
        await synced(sidecar, cp)
        count = len(cp.syncs)
        sick.append(True)
        lease = sidecar.admission.allowance.recall(KEY, 0)
        assert lease is not None
        sidecar.admission.give_back([lease])
        sidecar.admission.hurry()
        await until(lambda: "ALARM journal_failed" in sidecar.text.getvalue())
        assert len(cp.syncs) == count
        with pytest.raises(Refused) as caught:
            await sidecar.call(0)
        assert caught.value.refusal.reason is Reason.JOURNAL_FAILED


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


async def test_a_revoked_sidecar_gives_back_what_no_call_holds_and_goes_on_telling(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        hold = await sidecar.call()
        cp.decide = lambda request: cp.answer(
            request, status=wire.SyncStatus.SYNC_STATUS_FENCED, revoked=True
        )
        sidecar.admission.hurry()
        await until(lambda: sidecar.admission.fenced)
        await asked(cp, lambda: kinds(cp) == ["return"])
        await asked(cp, lambda: cp.syncs[-1].stopped)
        sidecar.admission.settle(hold, OK)
        await asked(cp, lambda: "settle" in kinds(cp))
        with pytest.raises(Refused) as caught:
            await sidecar.call()
        assert caught.value.refusal.reason is Reason.FENCED


async def test_a_revoked_sidecar_opens_nothing_and_tells_after_a_restart_too(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        await sidecar.call()
    cp.decide = lambda request: cp.answer(
        request, status=wire.SyncStatus.SYNC_STATUS_FENCED, revoked=True
    )
    cp.register_status = wire.SyncStatus.SYNC_STATUS_FENCED
    async with running(tmp_path, cp) as sidecar:
        await until(lambda: sidecar.admission.fenced)
        # The call that the end of the process left open, and the rest of the lease.
        await asked(cp, lambda: sorted(kinds(cp)) == ["return", "settle"])
        with pytest.raises(Refused) as caught:
            await sidecar.call()
        assert caught.value.refusal.reason is Reason.FENCED


async def test_a_revoked_sidecar_with_a_new_journal_has_nothing_to_tell(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    """It is given no epoch, and a Sync without one is refused as malformed."""
    cp.register_status = wire.SyncStatus.SYNC_STATUS_FENCED
    async with running(tmp_path, cp) as sidecar:
        await asked(cp, lambda: len(cp.registrations) == 2)
        assert sidecar.admission.fenced
        assert cp.syncs == []


def kinds(cp: ControlPlaneDouble) -> list[str]:
    """What the records say that were told, in their order."""
    found = sorted(cp.records.items())
    return [wire.Record.FromString(body).WhichOneof("kind") or "" for _, body in found]


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


async def test_a_new_journal_asks_for_the_policy_of_the_database_that_is_there_now(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    """The policy on the disk may be of a database that was lost, and count further than this."""
    cp.policy = policy_message(7)
    async with running(tmp_path, cp) as sidecar:
        await until(lambda: sidecar.admission.policy.version == 7)
        await sidecar.paid()
    (tmp_path / "journal.db").unlink()
    cp.policy, cp.epoch, cp.generation = policy_message(3), 2, 2
    async with running(tmp_path, cp) as sidecar:
        await until(lambda: sidecar.admission.policy.version == 3)
        assert cp.registrations[-1].policy_version == 0
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


async def test_an_identity_that_finds_no_room_is_kept_later_and_ends_nothing(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    member(tmp_path)
    in_the_way = tmp_path / "identity.json.new"
    in_the_way.mkdir()
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        await synced(sidecar, cp)
        kept = identity.load(tmp_path)
        assert kept is not None
        assert kept.epoch == 0
        assert sidecar.text.getvalue().count("ALARM identity_not_kept") == 1
        in_the_way.rmdir()
        await synced(sidecar, cp)
        await synced(sidecar, cp)
        kept = identity.load(tmp_path)
        assert kept is not None
        assert kept.epoch == 1


async def test_a_wall_clock_that_is_wrong_by_months_makes_no_call_wait_or_go_astray(
    tmp_path: Path, cp: ControlPlaneDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NoonClock, "wrong_ms", 90 * 24 * 3_600_000)
    cp.now_unix_ms = NOON
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        assert abs(sidecar.clock.now().unix_ms - NOON) < 60_000
        await until(lambda: sidecar.journal.acked_seq == 1)
        record = wire.Record.FromString(cp.records[1])
        assert abs(record.settle.call.started_unix_ms - NOON) < 60_000
    assert "WARNING clock_wrong ahead_ms=77760" in sidecar.text.getvalue()
    # The next process, of the same boot, knows it before it has asked anybody.
    cp.stop()
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
