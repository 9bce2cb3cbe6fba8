"""Directives, outages and the end of the control link."""

from pathlib import Path

import pytest
import trio

from protos.bursar.sidecar import v1 as wire
from sidecar.core import allowance, cadence
from sidecar.core.leases import LeaseKey
from sidecar.core.refusals import Reason, Refused
from sidecar.limits import UNREACHABLE_PATIENCE_MS
from sidecar.runtime import policy_file
from tests.sidecar.builders import CENT, DOLLAR, MONTH
from tests.sidecar.control_plane_double import ControlPlaneDouble, policy_message
from tests.sidecar.runtime.link_world import LEASE, asked, member, running, synced, until

pytestmark = pytest.mark.trio

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


async def test_a_restored_database_is_asked_for_its_policy_even_under_the_same_number(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        assert not sidecar.admission.policy.keys[0].revoked
        authority = sidecar.lease.authority_boot_ms
        cp.authority_ms = 999_000
        cp.generation = 2
        await synced(sidecar, cp)
        assert sidecar.lease.authority_boot_ms == authority
        cp.policy = policy_message(1, revoked=True)
        await until(lambda: sidecar.admission.policy.keys[0].revoked)
        await until(lambda: sidecar.lease.authority_boot_ms > authority + 500_000)


async def test_a_generation_counts_as_seen_once_all_leases_are_told_in_it(
    tmp_path: Path, cp: ControlPlaneDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "REPORTED_LEASES_MAX", 1)
    async with running(tmp_path, cp) as sidecar:
        await sidecar.paid()
        cp.granted["bgt_b", "", MONTH] = DOLLAR
        await synced(sidecar, cp)
        assert sidecar.admission.allowance.lease(LeaseKey("bgt_b", "", MONTH)) is not None
        cp.generation = 2
        await synced(sidecar, cp)
        count = len(cp.syncs)
        # A process that begins now has to tell all leases again.
        assert sidecar.link._generation_told == 1
        for _ in range(2):
            await synced(sidecar, cp)
        told = {sync.leases[0].lease.budget_id: sync.generation_seen for sync in cp.syncs[count:]}
        assert sorted(told.values()) == [1, 2]


async def test_a_silent_stream_makes_a_sidecar_ask_while_its_calls_wait(
    tmp_path: Path, cp: ControlPlaneDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cadence, "STREAM_SILENT_MS", 60)
    cp.decide = lambda request: cp.answer(
        request, leases=[cp.lease(LEASE, granted_nano_usd=0, keep_nano_usd=0, short=True)]
    )
    async with running(tmp_path, cp) as sidecar, trio.open_nursery() as nursery:
        nursery.start_soon(sidecar.call)
        await asked(cp, lambda: sum(len(sync.demands) for sync in cp.syncs) >= 3)
        before = sidecar.admission.cadence.stream_boot_ms
        cp.say(heartbeat=wire.Heartbeat())
        await until(lambda: sidecar.admission.cadence.stream_boot_ms > before)
        nursery.cancel_scope.cancel()


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


async def test_a_control_plane_that_lost_its_encryption_key_takes_no_secret_away(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    at, moved = "http://127.0.0.1:1", "http://127.0.0.1:2"

    def told(number: int, url: str, own: bytes, more: bytes, secret_version: int = 3) -> None:
        provider = wire.Provider(
            provider="openai",
            family="openai",
            base_url=url,
            sealed_secret=own,
            secret_version=secret_version,
        )
        secret = wire.ProviderSecret(
            provider_secret_id="psc_a", provider="openai", project_id="prj_a", sealed_secret=more
        )
        cp.policy = policy_message(number, providers=[provider], secrets=[secret])
        cp.say(policy=cp.policy)

    async with running(tmp_path, cp) as sidecar:
        await asked(cp, lambda: len(cp.watches) > 0)

        async def here(number: int) -> list[bytes]:
            await until(lambda: sidecar.admission.policy.version == number)
            return [one.sealed for one in sidecar.admission.policy.every_secret()]

        told(2, at, b"own", b"more")
        assert await here(2) == [b"own", b"more"]
        told(3, at, b"", b"")
        assert await here(3) == [b"own", b"more"]
        told(4, at, b"", b"new")
        assert await here(4) == [b"own", b"new"]
        await asked(cp, lambda: any(sync.policy_acked == 4 for sync in cp.syncs))
        kept = policy_file.load(tmp_path, "eu")
        assert kept is not None
        assert [one.sealed for one in kept.every_secret()] == [b"own", b"new"]
        told(5, moved, b"", b"")
        assert await here(5) == [b""], "no secret goes to an address that it was not given for"
        told(6, at, b"own", b"more")
        await here(6)
        told(7, at, b"", b"", secret_version=4)
        assert await here(7) == [b"more"], "nor does one that was replaced come back"


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
        assert trio.current_time() - started < UNREACHABLE_PATIENCE_MS / 1_000, (
            "it was not waited for once more"
        )


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
