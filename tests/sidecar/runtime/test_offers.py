"""Money that a sidecar's stream brings without a Sync."""

from pathlib import Path

import pytest
import trio

from protos.bursar.sidecar import v1 as wire
from sidecar.core.refusals import Reason, Refusal, Refused
from tests.sidecar.builders import CENT
from tests.sidecar.control_plane_double import ControlPlaneDouble
from tests.sidecar.runtime.link_world import LEASE, Sidecar, asked, running, until

pytestmark = pytest.mark.trio


async def waiting_call(sidecar: Sidecar, cp: ControlPlaneDouble) -> str:
    """A call that the control plane knows of and does not name."""
    await asked(cp, lambda: len(cp.watches) > 0 and any(sync.demands for sync in cp.syncs))
    await until(lambda: sidecar.link.answered_sync_no == cp.syncs[-1].sync_no)
    demand = next(sync.demands[0] for sync in cp.syncs if sync.demands)
    return demand.call_id


def short(cp: ControlPlaneDouble) -> None:
    cp.decide = lambda request: cp.answer(
        request, leases=[cp.lease(LEASE, granted_nano_usd=0, keep_nano_usd=0, short=True)]
    )


def offer(sidecar: Sidecar, cp: ControlPlaneDouble, call_id: str, **changes: int) -> wire.Offer:
    fields = {
        "epoch": sidecar.journal.epoch,
        "generation": cp.generation,
        "sync_no": sidecar.link.answered_sync_no,
    }
    lease = cp.lease(LEASE, granted_nano_usd=CENT, keep_nano_usd=0, authority_ms=999_000)
    return wire.Offer(leases=[lease], named_call_ids=[call_id], **(fields | changes))


async def test_a_waiting_call_opens_with_what_is_offered_and_authority_stays(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    short(cp)
    async with running(tmp_path, cp) as sidecar, trio.open_nursery() as nursery:
        nursery.start_soon(sidecar.call)
        call_id = await waiting_call(sidecar, cp)
        authority = sidecar.lease.authority_boot_ms
        cp.say(offer=offer(sidecar, cp, call_id))
        await until(lambda: sidecar.admission.open_calls == 1)
        assert sidecar.lease.authority_boot_ms < authority + 500_000


async def test_a_call_is_refused_once_its_stream_tells_that_too_little_is_left(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    short(cp)
    refused: list[Refusal] = []

    async def call() -> None:
        with pytest.raises(Refused) as caught:
            await sidecar.call()
        refused.append(caught.value.refusal)

    async with running(tmp_path, cp) as sidecar, trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await waiting_call(sidecar, cp)
        count = len(cp.syncs)
        told = wire.Left(
            lease=cp.lease(LEASE).lease,
            generation=cp.generation + 1,  # Another database says so.
            cap_version=1,
            unspent_nano_usd=CENT - 1,
        )
        cp.say(left=told)
        cp.say(nudge=wire.Nudge())
        await asked(cp, lambda: len(cp.syncs) > count)
        assert not refused
        told.generation = cp.generation
        cp.say(left=told)
        await until(lambda: bool(refused))
    assert refused[0].reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    "changes", [{"epoch": 9}, {"generation": 9}, {"sync_no": 0}], ids=lambda each: next(iter(each))
)
async def test_an_offer_to_another_life_or_of_another_database_or_an_old_one_is_ignored(
    tmp_path: Path, cp: ControlPlaneDouble, changes: dict[str, int]
) -> None:
    short(cp)
    async with running(tmp_path, cp) as sidecar, trio.open_nursery() as nursery:
        nursery.start_soon(sidecar.call)
        call_id = await waiting_call(sidecar, cp)
        count = len(cp.syncs)
        cp.say(offer=offer(sidecar, cp, call_id, **changes))
        cp.say(nudge=wire.Nudge())  # It comes behind.
        await asked(cp, lambda: len(cp.syncs) > count)
        assert sidecar.lease.granted_nano_usd == 0
        assert sidecar.admission.open_calls == 0
        nursery.cancel_scope.cancel()
